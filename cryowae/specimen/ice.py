"""Uneven ice: density of low frequency, as from a crowded solution or a bent film."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

LENGTH = 120.0
"""Standard deviation in angstrom of the Gaussian that smooths white noise to ice: waves shorter than 300 angstrom have
less than 4 % of the amplitude of the longest."""


def uneven_ice(shape: tuple[int, int, int], voxel_size: float, spread: float, rng: np.random.Generator) -> Tensor:
    """A smooth random field.

    Parameters
    ----------
    shape
        `(z, y, x)` voxels.
    voxel_size
        Angstrom.
    spread
        Its standard deviation.
    rng
        Source of randomness.

    Returns
    -------
    ice
        `(z, y, x)` float32 on the CPU, of mean 0.
    """
    sigma = LENGTH / voxel_size
    step = max(int(sigma / 3), 1)  # drawn on a grid of a third of its width, and interpolated
    margin = int(4 * sigma / step) + 1
    size = [(n - 1) // step + 2 + 2 * margin for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), sigma / step)
    coarse = coarse[margin:-margin, margin:-margin, margin:-margin]
    fine = torch.nn.functional.interpolate(
        torch.from_numpy(coarse)[None, None],
        size=[(n - 1) * step + 1 for n in coarse.shape],
        mode="trilinear",
        align_corners=True,
    )[0, 0, : shape[0], : shape[1], : shape[2]]
    return (fine - fine.mean()) * (spread / fine.std())
