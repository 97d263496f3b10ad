"""Checkpoints: named arrays and JSON metadata in one safetensors file. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cryowae.errors import CheckpointError, OutputError

FORMAT = 1
"""Format that is written; readers refuse any other."""

_FORMAT_KEY = "cryowae_format"
_METADATA_KEY = "cryowae_metadata"
_HEADER_LIMIT = 100_000_000  # bytes, of the safetensors format itself


def write_checkpoint(path: str | Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint; an existing file is replaced when the new one is complete.

    Parameters
    ----------
    path
        The file, usually `*.safetensors`.
    tensors
        Arrays by name, of any shape.
    metadata
        Anything that JSON can hold: config, normalisation, voxel sizes, training data, version.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind and an older file stays as it was.
    """
    path = Path(path)
    texts = {_FORMAT_KEY: str(FORMAT), _METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)}
    content = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, texts)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"checkpoint {path} cannot be written ({error.strerror or error}); choose another place"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint.

    Returns
    -------
    tensors, metadata
        As they were given to `write_checkpoint`.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another program or of another format.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error.strerror}); expected a .safetensors file of cryowae"
        ) from None
    if content[:4] == b"PK\x03\x04" or (content[:1] == b"\x80" and content[8:9] != b"{"):  # else a length
        raise CheckpointError(
            f"{path} is a pickled file, as torch.save writes it, and unpickling runs code; "
            "expected a .safetensors file of cryowae"
        )
    metadata = _metadata(path, content)
    try:
        return load(content), metadata
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged ({_one_line(error)}); copy or train it again") from None


def _metadata(path: Path, content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    damaged = (
        f"checkpoint {path} is damaged or foreign; expected a .safetensors file of cryowae: copy or train it again"
    )
    if len(content) < 8 or not 2 <= length <= min(_HEADER_LIMIT, len(content) - 8):
        raise CheckpointError(damaged)
    try:
        texts = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
        if _FORMAT_KEY not in texts:
            raise CheckpointError(f"{path} is a safetensors file of another program; expected one that cryowae wrote")
        if texts[_FORMAT_KEY] != str(FORMAT):
            raise CheckpointError(
                f"checkpoint {path} has format {texts[_FORMAT_KEY]}, expected {FORMAT}: use the cryowae that wrote it"
            )
        metadata = json.loads(texts[_METADATA_KEY])
    except (ValueError, KeyError, AttributeError, TypeError):
        raise CheckpointError(damaged) from None
    if not isinstance(metadata, dict):
        raise CheckpointError(damaged)
    return metadata


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
