"""Small text files out: whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryowae.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it into place, over what is there.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        raise OutputError(f"{path} could not be written ({error.strerror or error}); choose another place") from error
    finally:
        scratch.unlink(missing_ok=True)
