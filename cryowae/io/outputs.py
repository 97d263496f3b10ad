"""Output files: paths are checked before the work starts, space is reserved, and no partial file is left."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cryowae.errors import OutputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 255  # bytes, on most file systems
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def check_output(path: str | Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Raise `OutputError` if `path` cannot be written or is one of the inputs. Call it before the work starts.

    A folder that does not exist is no fault: it is made when the file is written.
    """
    path = Path(path)
    try:
        fault = next((text for wrong, text in _faults(path, overwrite, inputs) if wrong), None)
    except OSError as error:  # a folder on the way may not be searched, or a name is too long
        fault = f"{path} cannot be written ({error.strerror}); choose another place or name with --output"
    if fault:
        raise OutputError(fault)


def require_space(path: str | Path, size: int) -> None:
    """Raise `OutputError` unless the disk of the file `path` has `size` bytes left. Call it before the work starts."""
    folder = _existing(Path(path).parent)
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if size > free:
        raise OutputError(_too_full(folder, size, free))


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
        The file; its folder is made if it does not exist.
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
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{what} {path} cannot be written ({reason}); choose another place".lstrip()) from error
    finally:
        discard(temporary)


def in_letters(name: str) -> str:
    """The name of a file for people: bytes that are no text are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def temporary_path(path: Path) -> Path:
    """A hidden, unused name in the folder of `path`, for the file that will be renamed to `path`."""
    return hidden_path(path, f"{secrets.token_hex(4)}.partial")


def hidden_path(path: Path, ending: str) -> Path:
    """The hidden name `.NAME.ENDING` beside `path`, shortened to what file systems allow."""
    name = os.fsdecode(os.fsencode(path.name)[: _LONGEST_NAME - len(ending) - 2])
    return path.with_name(f".{name}.{ending}")


def discard(path: Path) -> None:
    """Remove a file if it is there; its folder may be missing, or may not be searched."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def reserve_file(path: str | Path, size: int) -> None:
    """Create the new file `path` of `size` zero bytes, and its folder, and allocate all of them on the disk.

    Raises
    ------
    OutputError
        If there is no space or no permission; the file is then removed.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            _allocate(descriptor, size)
        except BaseException:
            discard(path)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise OutputError(_too_full(path.parent, size, shutil.disk_usage(path.parent).free)) from None
        fault = f"{path.parent} cannot be written ({error.strerror})"
        raise OutputError(f"{fault}; choose another place with --output") from None


def _faults(path: Path, overwrite: bool, inputs: Sequence[str | Path]) -> Iterator[tuple[bool, str]]:
    """What may be wrong with an output, one after another, and what to tell the user."""
    folder, there = _existing(path.parent), path.exists()
    read = there and any(Path(source).exists() and path.samefile(source) for source in inputs)
    packed = path.suffix in (".gz", ".bz2")
    yield read, f"{path} is an input and would be overwritten; give another name with --output"
    yield packed, f"{path} has the ending of a compressed file; expected a name that ends in .mrc"
    yield path.is_dir(), f"{path} is a folder; expected the name of a file to write"
    yield there and not overwrite, f"{path} exists already; give another name, or --overwrite to replace it"
    yield not folder.is_dir(), f"{folder} is not a folder; choose another place with --output"
    usable = os.access(folder, os.W_OK | os.X_OK)
    yield not usable, f"{folder} is not writable; choose another place with --output"


def _existing(folder: Path) -> Path:
    """The folder itself, or the first one above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.exists()), folder)


def _too_full(folder: Path, size: int, free: int) -> str:
    need = f"{size / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB are free"
    return f"{folder} is too full: {need}; make room, or choose another place with --output"


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:  # not every system has the function, not every file system can do it
        if isinstance(error, OSError) and error.errno not in _CANNOT_RESERVE:
            raise
        zeros = bytes(1 << 20)
        while size > 0:
            size -= os.write(descriptor, zeros[:size])
