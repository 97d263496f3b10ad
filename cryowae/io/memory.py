"""Memory that the machine has left, asked for before it is taken: where it is missing, a process is killed unheard."""

from __future__ import annotations

import math
from pathlib import Path

from cryowae.errors import TomogramError

_SPARE_BYTES = 2**28


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise `TomogramError` if `needed` bytes, and a quarter of a gigabyte to spare, are not free.

    Parameters
    ----------
    needed
        Bytes.
    what
        Needs them, for the user.
    remedy
        What the user can do.
    """
    needed, free = needed + _SPARE_BYTES, free_memory()
    if needed > free:
        raise TomogramError(f"{what} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {remedy}")


def free_memory() -> float:
    """Bytes that a process can still take; infinite where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf
