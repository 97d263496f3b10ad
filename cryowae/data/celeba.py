"""CelebA (Liu et al. 2015) from the folder of its authors: aligned and cropped faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cryowae.data.images import ImageSet, named_folder
from cryowae.errors import ImagesError
from cryowae.progress import SILENT, Progress

VARIABLE = "CRYOWAE_CELEBA"
FOLDER = "img_align_celeba"
CROP = 148
"""Edge of the central square that is used, in pixels of the 178 x 218 file."""


def read_celeba(
    folder: Path | None = None, count: int = 100_000, size: int = 64, progress: Progress = SILENT
) -> ImageSet:
    """The first faces, in the order of their names.

    Parameters
    ----------
    folder
        Holds `img_align_celeba/000001.jpg` and so on, or is that folder; by default `CRYOWAE_CELEBA`.
    count
        Maximum number of faces.
    size
        Edge of the central square after resizing: bilinear with antialiasing.
    progress
        Advances with every image. Images are decoded once and kept with 8 bits a value, 12 KB each at 64 pixels.

    Raises
    ------
    ImagesError
        If there are no images, or an image is damaged or too small.
    """
    where = named_folder(folder, VARIABLE, "CelebA", "`python tools/make_celeba_like.py FOLDER` draws test images")
    where = where / FOLDER if (where / FOLDER).is_dir() else where
    paths = sorted(where.glob("*.jpg"))[:count]
    if not paths:
        raise ImagesError(f"no .jpg in {where}; expected CelebA's folder {FOLDER}/ with 000001.jpg and so on")
    images = np.empty((len(paths), size, size, 3), np.uint8)
    progress.begin("reading CelebA", len(paths), "images")
    for i, path in enumerate(paths):
        images[i] = _face(path, size)
        progress.advance()
    progress.end()
    return ImageSet("celeba", torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def _face(path: Path, size: int) -> NDArray[np.uint8]:
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
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
