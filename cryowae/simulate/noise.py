"""The noise of a weighted back-projection, made in Fourier space: no projection is needed for it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from cryowae.fourier.grids import frequency_grid
from cryowae.fourier.wedge import Wedge

STEP = 3.0
"""Degrees between tilts, where only their range is known: noise and its strength depend on them."""


def tilts_of(wedge: Wedge) -> tuple[float, ...]:
    """The tilts of a wedge in degrees; every `STEP` degrees, or nearly so, where only their range is known."""
    count = max(2, round((wedge.tilt_max - wedge.tilt_min) / STEP) + 1)
    return wedge.angles or tuple(float(t) for t in np.linspace(wedge.tilt_min, wedge.tilt_max, count))


def noise_amplitude(wedge: Wedge, shape: tuple[int, int]) -> Tensor:
    """How strong the back-projection of white noise is, before the mask of the wedge.

    A ramp-weighted back-projection puts `span^2 k^2` of a tilt's unit noise power on its plane, where `span` is the
    angle in radians that the tilt stands for and `k` the distance from the tilt axis; planes lie `span k` apart. Hence
    a density of `span k` where they overlap, and in single slabs of thickness `d` of `span^2 k^2 / d`.

    Parameters
    ----------
    wedge
        Not rotated.
    shape
        `(z, x)` of the volume.

    Returns
    -------
    amplitude
        `(z, x // 2 + 1)`, the factor on the transform of white noise of the projections' standard deviation; 0 beyond
        0.5 cycles per voxel, which no projection holds.
    """
    tilts = tilts_of(wedge)
    span = math.radians(tilts[-1] - tilts[0]) / (len(tilts) - 1)
    kz, _, kx = frequency_grid((shape[0], 1, shape[1]))
    k = (kz * kz + kx * kx).sqrt()[:, 0]
    power = span * k
    if wedge.angles:
        power = power * (span * k / wedge.thickness).clamp(min=1)
    return torch.where(k <= 0.5, power, 0).sqrt()
