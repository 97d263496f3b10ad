"""The bytes of an MRC file: mapped, or unpacked in memory, and never more than the header states."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.io.header import HEADER_BYTES, MrcHeader, read_header
from cryowae.io.memory import require_memory

_SPARE_BYTES = 2**26  # for an extended header that the header does not name


def read_contents(path: Path) -> tuple[MrcHeader, NDArray[np.uint8]]:
    """Header and bytes of a file, read-only. A compressed file is unpacked up to the size that its header states.

    Raises
    ------
    TomogramError
        If the file cannot be read, is no regular file, is damaged, does not fit into the memory, or is no MRC file.
    """
    with _opened(path) as (file, packed):
        content = _unpacked(path, file) if packed else _mapped(path, file)
        return read_header(path, content), content


def header_of(path: str | Path) -> MrcHeader:
    """The header of a file alone, without its extended header; the rest is not read, and `TomogramError` is raised as
    by `read_contents`.
    """
    with _opened(Path(path)) as (file, _):
        return read_header(Path(path), np.frombuffer(file.read(HEADER_BYTES), np.uint8))


def require_written(path: Path, start: int) -> None:
    """Raise `TomogramError` if nothing was ever written behind byte `start` of a file: it is then not read at all."""
    seek = getattr(os, "SEEK_DATA", None)
    if seek is None:
        return
    block = 2**16  # the header shares the first block with voxels
    with path.open("rb") as file:
        file.seek(start)
        if any(file.read(block)):
            return
        try:
            os.lseek(file.fileno(), start + block, seek)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise TomogramError(
                    f"{path} has zeros alone, since its voxels were never written; expected a volume: copy or "
                    "reconstruct it again"
                ) from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """A file open at its first byte, unpacked if it is compressed, and whether it is."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise TomogramError(f"{path} is a folder; expected an MRC volume: name the file in it")
        if not stat.S_ISREG(mode):
            raise TomogramError(f"{path} is a device or a pipe; expected an MRC volume in a file")
        with path.open("rb") as file:
            magic = file.read(3)
            file.seek(0)
            unpack = gzip.open if magic[:2] == b"\x1f\x8b" else bz2.open if magic == b"BZh" else None
            if unpack is None:
                yield file, False
                return
            with unpack(file) as stream:
                yield cast(IO[bytes], stream), True
    except FileNotFoundError:
        raise TomogramError(f"{path} does not exist; expected an MRC volume: check the name") from None
    except (EOFError, zlib.error, OSError) as error:
        reason = getattr(error, "strerror", None)
        if reason is None:  # raised by gzip and bz2
            raise TomogramError(f"{path} is a truncated or damaged compressed file ({error}); copy it again") from None
        raise TomogramError(f"{path} cannot be read ({reason}); expected an MRC volume") from None


def _mapped(path: Path, file: IO[bytes]) -> NDArray[np.uint8]:
    return np.memmap(path, np.uint8, "r") if file.read(1) else np.empty(0, np.uint8)


def _unpacked(path: Path, stream: IO[bytes]) -> NDArray[np.uint8]:
    head = np.frombuffer(stream.read(HEADER_BYTES), np.uint8)
    header = read_header(path, head)
    size = HEADER_BYTES + header.extended_bytes + header.data_bytes + _SPARE_BYTES
    require_memory(size, f"unpacking {path}", "unpack the file: it is then read in place")
    content, used = np.empty(size, np.uint8), len(head)
    content[:used] = head
    space: Any = memoryview(cast(Any, content))
    while read := cast(Any, stream).readinto(space[used:]):
        used += read
    content.flags.writeable = False
    return content[:used]
