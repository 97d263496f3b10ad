"""Arrays that live in a scratch file while they are needed and leave nothing behind."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cryowae.io.space import reserve_file


@contextmanager
def scratch_array(
    shape: tuple[int, ...], dtype: DTypeLike, folder: str | Path | None = None, *, max_bytes: int = 0
) -> Iterator[NDArray[Any]]:
    """An array, in memory if it is small and else mapped from a file whose space is reserved first.

    The file loses its name as soon as it is mapped, so that it is gone whatever happens.

    Parameters
    ----------
    shape, dtype
        Of the array; its content is undefined.
    folder
        Where the file may lie; the system's folder for temporary files if not given.
    max_bytes
        Size up to which memory is used.

    Raises
    ------
    OutputError
        If there is no room for the file.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= max_bytes:
        yield np.empty(shape, dtype)
        return
    file = Path(folder or tempfile.gettempdir()) / f".scratch.{secrets.token_hex(4)}.partial"
    try:
        reserve_file(file, size)
        array = np.memmap(file, dtype=dtype, mode="r+", shape=shape)
        if os.name == "posix":  # the mapping lives on without the name
            file.unlink()
        yield array
    finally:
        file.unlink(missing_ok=True)
