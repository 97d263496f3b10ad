"""`cryowae simulate wedge`."""

from __future__ import annotations


def wedge() -> None:
    """In the making."""
