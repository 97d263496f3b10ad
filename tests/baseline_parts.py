"""Common parts of the tests of the baselines: images with visible classes, short runs, a substitute for Inception."""

from __future__ import annotations

import torch

from cryowae.config import BaselineConfig, baseline_config
from cryowae.data.images import ImageSet


def blobs(count: int) -> ImageSet:
    """Discs whose position depends on their class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 10
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    angle = labels * (2 * torch.pi / 10) + 0.1 * torch.randn(count, generator=generator)
    cy, cx = 16 + 9 * angle.sin(), 16 + 9 * angle.cos()
    distance = (y - cy[:, None, None]).square() + (x - cx[:, None, None]).square()
    images = (255 * torch.exp(-distance / 18)).to(torch.uint8)
    return ImageSet("mnist-train", images[:, None], labels)


def config(model: str, *overrides: str) -> BaselineConfig:
    """On digits, under `fixed`: two epochs of batches of 16, measured after each."""
    return baseline_config("mnist", model, "fixed", ["epochs=2", "batch=16", "evaluate_every=1", *overrides])


class Corners(torch.nn.Module):
    """Substitute for Inception: values of its input at two corners of every channel."""

    def forward(self, images):
        assert images.shape[1:] == (3, 299, 299)
        return torch.cat([images[:, :, 0, 0], images[:, :, -1, -1]], 1)
