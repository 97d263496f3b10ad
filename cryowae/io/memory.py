"""Memory for large arrays: check of the free memory, and scratch files for arrays that do not fit.

Free memory is checked before an array is allocated. Otherwise the operating system kills the process without a message
when memory runs out.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cryowae.errors import TomogramError
from cryowae.io.outputs import discard, reserve_file, temporary_path

_SPARE_BYTES = 2**28


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise `TomogramError` unless `needed` bytes and a quarter of a gigabyte more are free.

    Parameters
    ----------
    needed
        Bytes.
    what
        Name of the step that needs them, for the error message.
    remedy
        Advice to the user.
    """
    needed, free = needed + _SPARE_BYTES, free_memory()
    if needed > free:
        raise TomogramError(f"{what} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {remedy}")


def free_memory() -> float:
    """Bytes that a process can still allocate; infinite if the operating system does not report them."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf


@contextmanager
def scratch_array(
    shape: tuple[int, ...], dtype: DTypeLike, folder: str | Path | None = None, *, max_bytes: int = 0
) -> Iterator[NDArray[Any]]:
    """An array in memory if it is small. Otherwise it is mapped from a file, whose space is reserved first.

    The file is deleted as soon as it is mapped, so that no file is left after a crash.

    Parameters
    ----------
    shape, dtype
        Shape and type of the array; its content is undefined.
    folder
        Folder of the file; the system's folder for temporary files if not given.
    max_bytes
        Size up to which memory is used.

    Raises
    ------
    OutputError
        If there is no space for the file.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= max_bytes:
        yield np.empty(shape, dtype)
        return
    file = temporary_path(Path(folder or tempfile.gettempdir(), "scratch"))
    try:
        reserve_file(file, size)
        array = np.memmap(file, dtype=dtype, mode="r+", shape=shape)
        if os.name == "posix":  # the mapping stays valid without the name
            file.unlink()
        yield array
    finally:
        discard(file)
