"""Sets of small images for the 2-D baselines, kept as they are stored: 8 bits a value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cryowae.errors import ImagesError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images, and what they show.

    Attributes
    ----------
    name
        Of the set.
    images
        `(n, c, size, size)` uint8.
    labels
        `(n,)` int64 classes, or None.
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
        """The first four fifths, to train on, and the last fifth, held out; of the first `images` if given.

        Raises
        ------
        ImagesError
            If there are too few to hold any out.
        """
        count = min(images or len(self), len(self))
        if count < 20:
            raise ImagesError(
                f"got {count} images of {self.name}, expected at least 20: four fifths train, the rest test"
            )
        return self.part(0, count * 4 // 5), self.part(count * 4 // 5, count)

    def to(self, device: torch.device) -> ImageSet:
        """The same set on a device."""
        return ImageSet(self.name, self.images.to(device), None if self.labels is None else self.labels.to(device))


def signed(images: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unsigned(images: Tensor) -> Tensor:
    """Floats to uint8: what lies beyond [-1, 1] is cut, the rest rounded."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def named_folder(given: Path | None, variable: str, what: str, source: str) -> Path:
    """The folder that was given, or that an environment variable names.

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
