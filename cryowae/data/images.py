"""Sets of small images for the 2-D baselines, kept in memory as they are stored, with 8 bits per value."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.errors import ImagesError
from cryowae.objectives import Batch, BatchSource


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
    """Batches of images in random order, all of them once in an epoch but for an incomplete last batch.

    Parameters
    ----------
    images
        `(n, c, size, size)` uint8, on the device of the batches.
    count
        Images of a batch.
    seed
        With the number of the epoch, it gives the order of the images.

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


def signed(images: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def unsigned(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8; values beyond are clipped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
