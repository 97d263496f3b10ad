"""A small scene whose tilt series is a formula, and models that replace the network."""

from __future__ import annotations

import numpy as np
import torch

SHAPE = (32, 64, 96)  # z, y, x
SIGMA = 1.5  # voxels
ANGLES = tuple(np.arange(-60.0, 60.1, 4.0).tolist())


def blobs(seed=0, count=150):
    """Centres `(x, y, z)` from the middle of the box, in voxels, and weights."""
    generator = np.random.default_rng(seed)
    z, y, x = SHAPE
    low = np.array([x, y, z]) / 2 - 5
    return generator.uniform(-low, low, (count, 3)), generator.uniform(0.5, 1.5, count)


def density(centres, weights):
    """`SHAPE`, protein bright."""
    zs, ys, xs = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    total = np.zeros(SHAPE)
    for (x, y, z), weight in zip(centres, weights, strict=True):
        parts = (np.exp(-((g - c) ** 2) / (2 * SIGMA**2)) for g, c in zip((zs, ys, xs), (z, y, x), strict=True))
        along, down, across = parts
        total += weight * along[:, None, None] * down[:, None] * across
    return total.astype(np.float32)


def tilt_images(centres, weights, angles):
    """`(tilts, y, x)`: a Gaussian projects to a Gaussian at `u = x cos t + z sin t`."""
    ys, us = (np.arange(n) - (n - 1) / 2 for n in SHAPE[1:])
    series = np.zeros((len(angles), *SHAPE[1:]))
    for image, t in zip(series, np.deg2rad(angles), strict=True):
        for (x, y, z), weight in zip(centres, weights, strict=True):
            u = x * np.cos(t) + z * np.sin(t)
            spot = np.exp(-((ys[:, None] - y) ** 2 + (us - u) ** 2) / (2 * SIGMA**2))
            image += weight * np.sqrt(2 * np.pi) * SIGMA * spot
    return series.astype(np.float32)


class Fake:
    """A model that gives a fixed volume, protein bright, or the window itself, in place of a network."""

    stride, receptive_field, voxel_sizes, name, sha256 = 8, 8, (1.0, 100.0), "fake", "0"
    device = torch.device("cpu")

    def __init__(self, volume=None):
        self.volume = None if volume is None else torch.from_numpy(volume)

    def __call__(self, window):
        if self.volume is None:
            return window
        assert window.shape[-3:] == self.volume.shape, "the whole volume must be one window"
        return self.volume[None, None]
