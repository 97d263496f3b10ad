"""`cryowae simulate reconstruct`."""

from __future__ import annotations


def reconstruct() -> None:
    """In the making."""
