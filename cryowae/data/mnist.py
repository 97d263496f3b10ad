"""MNIST (LeCun et al. 1998) from its idx files, plain or gzipped, each checked by its hash."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from cryowae.data.images import ImageSet, named_folder
from cryowae.errors import ImagesError

VARIABLE = "CRYOWAE_MNIST"
FETCH = "`python tools/fetch_mnist.py` downloads it"

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""Of the uncompressed files."""


def read_mnist(folder: Path | None = None, part: str = "train", size: int = 32) -> ImageSet:
    """Digits and their classes.

    Parameters
    ----------
    folder
        Holds the four idx files, plain or with `.gz`; by default the folder that `CRYOWAE_MNIST` names.
    part
        `train` (60 000 digits) or `t10k` (10 000).
    size
        Edge after resizing: bilinear, centres of pixels aligned, rounded to 8 bits.

    Raises
    ------
    ImagesError
        If a file is missing or is not the official one.
    """
    where = named_folder(folder, VARIABLE, "MNIST", FETCH)
    images = torch.from_numpy(_checked(where, f"{part}-images-idx3-ubyte"))[:, None]
    labels = torch.from_numpy(_checked(where, f"{part}-labels-idx1-ubyte")).long()
    return ImageSet(f"mnist-{part}", _resized(images, size), labels)


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """The array of bytes in an idx file: two zeros, type 8, the number of axes, their lengths, the values.

    Raises
    ------
    ValueError
        If the content is no such file, or has another length than its header says.
    """
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError("not an idx file of bytes")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(bytearray(content[4 + 4 * axes :]), np.uint8).reshape(shape)


def write_idx(array: NDArray[np.uint8]) -> bytes:
    """The inverse of `read_idx`."""
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _checked(folder: Path, name: str) -> NDArray[np.uint8]:
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise ImagesError(f"no {name} or {name}.gz in {folder}; expected the four idx files of MNIST: {FETCH}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ImagesError(f"{path} cannot be read ({error}); download it again") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[name]:
        raise ImagesError(f"{path} has the md5 {found}, expected {MD5[name]} (uncompressed): download it again")
    return read_idx(content)


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images
    parts = (interpolate(some.float(), (size, size), mode="bilinear") for some in images.split(4096))
    return torch.cat([part.round().to(torch.uint8) for part in parts])
