"""Places to write to: free, writable and large enough, before the work begins."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cryowae.errors import OutputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def check_output(path: str | Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Raise `OutputError` if `path` cannot become an output, or is one of the inputs: call it before the work."""
    path = Path(path)
    if path.exists() and any(Path(source).exists() and path.samefile(source) for source in inputs):
        raise OutputError(f"{path} would replace what is read; give another name with --output")
    if path.suffix in (".gz", ".bz2"):
        raise OutputError(f"{path} would be compressed; volumes are written plain: give a name that ends in .mrc")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file to write")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; give another name, or --overwrite to replace it")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} is not a folder; make it first, or write somewhere else")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent} is not writable; choose another place with --output")


def make_folder(path: str | Path) -> Path:
    """Make a folder for outputs, if it is not there; raises `OutputError` if that cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot make the folder {folder} ({reason}): choose another with --output") from error
    return folder


def reserve_file(path: str | Path, size: int) -> None:
    """Make the new file `path` of `size` zero bytes, all of them allocated on the disk.

    Raises
    ------
    OutputError
        If there is no room or no permission; the file is then removed.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            _allocate(descriptor, size)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _NO_SPACE:
            free = shutil.disk_usage(path.parent).free
            raise OutputError(
                f"{path.parent} is too full: {size / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB are free; "
                "make room, or choose another place with --output"
            ) from None
        raise OutputError(
            f"{path.parent} cannot be written ({error.strerror}); choose another place with --output"
        ) from None


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    zeros = bytes(1 << 20)
    while size > 0:
        size -= os.write(descriptor, zeros[:size])
