"""One folder for what the widgets make and nobody has saved yet; it goes when Python ends, each part with its layer."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any


def scratch_folder() -> Path:
    """A new folder below that of this run of Python, which lies where `TMPDIR` says."""
    folder = Path(_root().name) / secrets.token_hex(4)
    folder.mkdir()
    return folder


def is_scratch(path: Path) -> bool:
    """Whether a file will be gone when Python ends."""
    return path.is_relative_to(_root().name)


def delete_with(owner: Any, path: Path) -> None:
    """Delete the folder of a file as soon as nobody has `owner` any more; one that is not from here is left alone."""
    if is_scratch(path):
        weakref.finalize(owner, shutil.rmtree, path.parent, ignore_errors=True)


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cryowae-", ignore_cleanup_errors=True)
