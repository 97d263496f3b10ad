"""The few training images whose class an adversarial autoencoder is told."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from cryowae.data.images import ImageSet, signed
from cryowae.errors import ImagesError

Labelled = tuple[Tensor, Tensor]
"""Images in [-1, 1] and their classes."""


def choose_labelled(images: ImageSet, count: int, seed: int) -> ImageSet:
    """The images whose class is told: `count` of them, as many of each of ten classes, chosen by the seed.

    Raises
    ------
    ImagesError
        If a class has too few.
    """
    assert images.labels is not None
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(images.labels.device)
    fewest = int(images.labels.bincount(minlength=10).min())
    if count > 10 * fewest:
        raise ImagesError(f"got labels={count}, as many of each class, expected at most {10 * fewest} here")
    classes = images.labels[order]
    chosen = torch.cat([order[classes == label][: count // 10] for label in range(10)])
    return ImageSet(images.name, images.images[chosen], images.labels[chosen])


def draw_labelled(told: ImageSet, count: int, shift: int, generator: torch.Generator) -> Labelled:
    """Random images whose class is told, each moved by up to `shift` pixels over black, and their classes."""
    chosen = torch.randint(len(told), (count,), generator=generator)
    moves = torch.randint(2 * shift + 1, (count, 2), generator=generator).tolist()
    assert told.labels is not None
    chosen = chosen.to(told.images.device)
    wide, size = pad(signed(told.images[chosen]), [shift] * 4, value=-1.0), told.images.shape[-1]
    moved = [image[:, y : y + size, x : x + size] for image, (y, x) in zip(wide, moves, strict=True)]
    return torch.stack(moved), told.labels[chosen]
