"""Checkpoints: named arrays and JSON metadata in one safetensors file. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cryowae.errors import CheckpointError
from cryowae.io.memory import require_memory
from cryowae.io.outputs import write_bytes

FORMAT = 1  # format number in new files; files with another number are refused

_FORMAT_KEY = "cryowae_format"
_METADATA_KEY = "cryowae_metadata"
_HEADER_LIMIT = 100_000_000  # bytes, of the safetensors format itself
_DAMAGED = "is damaged or foreign; expected a .safetensors file of cryowae: copy or train it again"


def write_checkpoint(path: str | Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint; an existing file is replaced when the new one is complete.

    The same tensors and metadata give the same bytes.

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
        If the file cannot be written; no partial file is left and an existing file is unchanged.
    """
    texts = {_FORMAT_KEY: str(FORMAT), _METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)}
    content = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, texts)
    header, start = _header(content)
    # the library writes the texts in a random order
    head = json.dumps(header | {"__metadata__": texts}, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    whole = b"".join((len(head).to_bytes(8, "little"), head, memoryview(content)[start:]))
    write_bytes(Path(path), whole, what="checkpoint")


def read_checkpoint(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint.

    Returns
    -------
    tensors, metadata
        The arguments of `write_checkpoint`.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another program or of another format.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"checkpoint {path} is no regular file; expected a .safetensors file of cryowae")
        require_memory(path.stat().st_size, f"reading {path}", "is it a checkpoint?")
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error.strerror}); expected a .safetensors file of cryowae"
        ) from None
    if content[:4] == b"PK\x03\x04" or (content[:1] == b"\x80" and content[8:9] != b"{"):  # otherwise a length
        raise CheckpointError(
            f"{path} is a pickled file, as torch.save writes it, and unpickling runs code; "
            "expected a .safetensors file of cryowae"
        )
    try:
        texts = _header(content)[0].get("__metadata__") or {}
        if _FORMAT_KEY not in texts:
            raise CheckpointError(f"{path} is a safetensors file of another program; expected one that cryowae wrote")
        if texts[_FORMAT_KEY] != str(FORMAT):
            raise CheckpointError(
                f"checkpoint {path} has format {texts[_FORMAT_KEY]}, expected {FORMAT}: use the cryowae that wrote it"
            )
        metadata = dict(json.loads(texts[_METADATA_KEY]).items())
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise CheckpointError(f"checkpoint {path} {_DAMAGED}") from None
    return tensors, metadata


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the byte where its tensors begin; an exception if it is damaged."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 10 <= start <= min(8 + _HEADER_LIMIT, len(content)):
        raise ValueError
    return json.loads(content[8:start]), start
