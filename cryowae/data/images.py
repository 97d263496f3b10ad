"""Sets of small images for the 2-D baselines, kept in memory with 8 bits per value, and batches of them.

MNIST (LeCun et al. 1998) and CelebA (Liu et al. 2015) are read from the files of their authors.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from cryowae.errors import ImagesError
from cryowae.objectives import Batch, BatchSource
from cryowae.progress import SILENT, Progress

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 sums of the uncompressed files of MNIST."""

FACES = "img_align_celeba"
CROP = 148
"""Edge of the central square of a face that is used, in pixels of the 178 x 218 file."""
FACE = 64
"""Edge of this square after resizing."""
_FETCH = "`python tools/fetch_mnist.py` downloads it"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images, and their classes if known.

    Attributes
    ----------
    name
        Name of the data set.
    images
        `(n, c, size, size)` uint8.
    labels
        `(n,)` int64 class of each image, or None.
    """

    name: str
    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def part(self, first: int, last: int) -> ImageSet:
        """The images from `first` to before `last`."""
        labels = None if self.labels is None else self.labels[first:last]
        return ImageSet(self.name, self.images[first:last], labels)

    def halves(self, images: int = 0) -> tuple[ImageSet, ImageSet]:
        """The first four fifths, for training, and the last fifth, held out. Only the first `images` count, if given.

        Raises
        ------
        ImagesError
            If there are fewer than 20.
        """
        count = min(images or len(self), len(self))
        if count < 20:
            raise ImagesError(
                f"got {count} images of {self.name}, expected at least 20: four fifths for training, the rest held out"
            )
        return self.part(0, count * 4 // 5), self.part(count * 4 // 5, count)

    def to(self, device: torch.device) -> ImageSet:
        """The same set on a device."""
        return ImageSet(self.name, self.images.to(device), None if self.labels is None else self.labels.to(device))


class ImageEpochs(BatchSource):
    """Batches of images in random order, each once per epoch, except for an incomplete last batch.

    Parameters
    ----------
    images
        `(n, c, size, size)` uint8, on the device of the batches.
    count
        Number of images in a batch.
    seed
        Seed and epoch determine the order of the images.

    Attributes
    ----------
    epoch
        Steps of an epoch.

    Raises
    ------
    ImagesError
        If there is not one batch of images.
    """

    def __init__(self, images: Tensor, count: int, seed: int) -> None:
        self._images, self._count, self._seed = images, count, seed
        self._order: tuple[int, Tensor] | None = None
        self.epoch = len(images) // count
        if not self.epoch:
            raise ImagesError(f"got {len(images)} images to train on, expected at least a batch of {count}")

    def batch(self, step: int) -> Batch:
        """The images of step number `step`, in [-1, 1]."""
        epoch, within = divmod(step, self.epoch)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self._seed * 10_007 + epoch)
            self._order = epoch, torch.randperm(len(self._images), generator=generator)
        chosen = self._order[1][within * self._count : (within + 1) * self._count]
        return Batch(signed(self._images[chosen.to(self._images.device)]))


def read_mnist(folder: Path | None = None, part: str = "train", size: int = 32) -> ImageSet:
    """Digits and their classes.

    Parameters
    ----------
    folder
        Folder of the four idx files, plain or with `.gz`; by default the folder that `CRYOWAE_MNIST` names.
    part
        `train` (60 000 digits) or `t10k` (10 000).
    size
        Edge after resizing: bilinear, centres of pixels aligned, rounded to 8 bits.

    Raises
    ------
    ImagesError
        If a file is missing or is not the official one.
    """
    where = _named_folder(folder, "CRYOWAE_MNIST", "MNIST", _FETCH)
    images = torch.from_numpy(_checked(where, f"{part}-images-idx3-ubyte"))[:, None]
    labels = torch.from_numpy(_checked(where, f"{part}-labels-idx1-ubyte")).long()
    return ImageSet(f"mnist-{part}", _resized(images, size), labels)


def read_celeba(folder: Path | None = None, count: int = 100_000, progress: Progress = SILENT) -> ImageSet:
    """The first faces, in the order of their names.

    Parameters
    ----------
    folder
        Folder that contains `img_align_celeba/000001.jpg` and so on, or that folder itself; by default
        `CRYOWAE_CELEBA`.
    count
        Maximum number of faces.
    progress
        Advances with every image. Images are decoded once and kept with 8 bits a value, 12 KB each.

    Returns
    -------
    faces
        `(n, 3, 64, 64)`: the central square of each file, resized bilinearly with antialiasing.

    Raises
    ------
    ImagesError
        If there are no images, or an image is damaged or too small.
    """
    source = "`python tools/make_celeba_like.py FOLDER` draws test images"
    where = _named_folder(folder, "CRYOWAE_CELEBA", "CelebA", source)
    where = where / FACES if (where / FACES).is_dir() else where
    paths = sorted(where.glob("*.jpg"))[:count]
    if not paths:
        raise ImagesError(f"no .jpg in {where}; expected CelebA's folder {FACES}/ with 000001.jpg and so on")
    images = np.empty((len(paths), FACE, FACE, 3), np.uint8)
    for i, path in enumerate(progress.track("reading CelebA", paths, "images")):
        images[i] = _face(path)
    return ImageSet("celeba", torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def signed(images: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unsigned(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8; values beyond are clipped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """The array of bytes in an idx file: two zeros, type 8, the number of axes, their lengths, the values.

    Raises
    ------
    ValueError
        If the content is no such file, or its length differs from its header.
    """
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError("not an idx file of bytes")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(bytearray(content[4 + 4 * axes :]), np.uint8).reshape(shape)


def write_idx(array: NDArray[np.uint8]) -> bytes:
    """The inverse of `read_idx`."""
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _named_folder(given: Path | None, variable: str, what: str, source: str) -> Path:
    """The folder that was given, or the one that an environment variable names.

    Parameters
    ----------
    given
        The folder, or None for that of the environment variable.
    variable, what
        Names of the environment variable and of the images.
    source
        How to get the images, for the error message.

    Raises
    ------
    ImagesError
        If there is neither, or no such folder.
    """
    name = str(given) if given is not None else os.environ.get(variable, "")
    if not name:
        raise ImagesError(f"no folder of {what} is given; give --data FOLDER, or set {variable}; {source}")
    if not Path(name).is_dir():
        raise ImagesError(f"{name} is not a folder, expected that of {what}; correct --data or {variable}; {source}")
    return Path(name)


def _checked(folder: Path, name: str) -> NDArray[np.uint8]:
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise ImagesError(f"no {name} or {name}.gz in {folder}; expected the four idx files of MNIST: {_FETCH}")
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


def _face(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise ImagesError(f"{path} cannot be read as an image ({error}); copy it again") from error
    width, height = image.size
    if min(width, height) < CROP:
        raise ImagesError(f"{path} has {width} x {height} pixels, expected CelebA's aligned faces of 178 x 218")
    left, top = (width - CROP) // 2, (height - CROP) // 2
    square = image.crop((left, top, left + CROP, top + CROP))
    return np.asarray(square.resize((FACE, FACE), Image.Resampling.BILINEAR))
