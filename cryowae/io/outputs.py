"""Output files: paths are checked before the work starts, space is reserved, and no partial file is left."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from cryowae.errors import OutputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def check_output(path: str | Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Raise `OutputError` if `path` cannot be written or is one of the inputs. Call it before the work starts."""
    path = Path(path)
    folder, there, packed = path.parent, path.exists(), path.suffix in (".gz", ".bz2")
    read = there and any(Path(source).exists() and path.samefile(source) for source in inputs)
    for wrong, fault in (
        (read, f"{path} is an input and would be overwritten; give another name with --output"),
        (packed, f"{path} has the ending of a compressed file; expected a name that ends in .mrc"),
        (path.is_dir(), f"{path} is a folder; expected the name of a file to write"),
        (there and not overwrite, f"{path} exists already; give another name, or --overwrite to replace it"),
        (not folder.is_dir(), f"{folder} is not a folder; create it first, or choose another place with --output"),
        (not os.access(folder, os.W_OK | os.X_OK), f"{folder} is not writable; choose another place with --output"),
    ):
        if wrong:
            raise OutputError(fault)


def make_folder(path: str | Path) -> Path:
    """Create a folder for outputs if it does not exist; raises `OutputError` if this is not possible."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot make the folder {folder} ({reason}): choose another with --output") from error
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a small text file in UTF-8; parameters and errors are those of `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, *, what: str = "") -> None:
    """Write a file under a temporary name and rename it. An existing file is replaced when the new one is complete.

    Parameters
    ----------
    path
        The file; its folder must exist.
    content
        All bytes of the file.
    what
        Kind of the file, for the error message.

    Raises
    ------
    OutputError
        If the file cannot be written. The temporary file is removed and an existing file is unchanged.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{what} {path} cannot be written ({reason}); choose another place".lstrip()) from error
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """A hidden, unused name in the folder of `path`, for the file that will be renamed to `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def reserve_file(path: str | Path, size: int) -> None:
    """Create the new file `path` of `size` zero bytes and allocate all of them on the disk.

    Raises
    ------
    OutputError
        If there is no space or no permission; the file is then removed.
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
        problem, remedy = f"cannot be written ({error.strerror})", ""
        if error.errno in _NO_SPACE:
            free = shutil.disk_usage(path.parent).free
            problem = f"is too full: {size / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB are free"
            remedy = "make room, or "
        raise OutputError(f"{path.parent} {problem}; {remedy}choose another place with --output") from None


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:  # not every system has the function, not every file system can do it
        if isinstance(error, OSError) and error.errno not in _CANNOT_RESERVE:
            raise
        zeros = bytes(1 << 20)
        while size > 0:
            size -= os.write(descriptor, zeros[:size])
