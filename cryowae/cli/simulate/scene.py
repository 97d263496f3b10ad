"""`cryowae simulate scene`."""

from __future__ import annotations


def scene() -> None:
    """In the making."""
