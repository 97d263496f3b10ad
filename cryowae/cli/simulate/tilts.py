"""`cryowae simulate tilts`."""

from __future__ import annotations


def tilts() -> None:
    """In the making."""
