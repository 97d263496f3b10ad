"""One folder for what the widgets make and nobody has saved yet; it goes when Python ends."""

from __future__ import annotations

import secrets
import tempfile
from functools import cache
from pathlib import Path


def scratch_folder() -> Path:
    """A new folder below that of this run of Python, which lies where `TMPDIR` says."""
    folder = Path(_root().name) / secrets.token_hex(4)
    folder.mkdir()
    return folder


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cryowae-", ignore_cleanup_errors=True)
