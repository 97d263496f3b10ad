"""Calibration of samples: does the truth lie among them as often as it should?

Samples and truth are compared shell by shell, inside and outside the missing wedge, after a band-pass filter: the error
of a voxel is mostly that of the strongest shell. The interval is that of a next sample of a normal law, whose mean and
deviation are known from K samples (Student's t; Geisser 1993, Predictive Inference, section 2.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from cryowae.errors import ConfigError
from cryowae.fourier.grids import frequency_grid
from cryowae.metrics.regions import EROSION, Array, Range, Region, as_tensor, as_wedge, inside

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages."""

EDGES = (0.02, 0.06, 0.10, 0.14, 0.18, 0.22, 0.26)
"""Edges of the shells in cycles per voxel."""

_SEEN = 0.25  # of the window: voxels nearer to the border are left out


@dataclass(frozen=True)
class Calibration:
    """How well samples describe their own error, in one region of Fourier space.

    Attributes
    ----------
    frequency
        `(shells,)` middles of the shells in cycles per voxel.
    levels
        Nominal coverages.
    coverage
        `(levels, shells)` share of voxels whose true value lies in the interval.
    spread
        `(shells,)` standard deviation that the samples predict for the error of their mean.
    error
        `(shells,)` root mean square of this error.
    power
        `(shells,)` amplitude of one sample relative to the truth.
    """

    frequency: NDArray[np.float64]
    levels: tuple[float, ...]
    coverage: NDArray[np.float64]
    spread: NDArray[np.float64]
    error: NDArray[np.float64]
    power: NDArray[np.float64]


def calibrate(
    truth: Array,
    samples: Sequence[Array],
    wedge: Range,
    region: Region = "all",
    *,
    where: NDArray[np.bool_] | None = None,
    levels: Sequence[float] = LEVELS,
    edges: Sequence[float] = EDGES,
) -> Calibration:
    """Compare samples with the truth in one region of Fourier space.

    Parameters
    ----------
    truth
        `(z, y, x)`.
    samples
        Two or more, of the same shape and in the same units; see `in_units_of`.
    wedge, region
        As in `cryowae.metrics.fsc`.
    where
        `(z, y, x)` voxels that count, such as particles; all by default. Voxels near the border never count.
    levels
        Nominal coverages.
    edges
        Edges of the shells in cycles per voxel.

    Raises
    ------
    ConfigError
        If there are fewer than two samples.
    """
    count = len(samples)
    if count < 2:
        raise ConfigError(f"got {count} samples, expected two or more for a standard deviation")
    shape = tuple(truth.shape)
    window = _window(shape)
    seen = window > _SEEN if where is None else (window > _SEEN) & torch.from_numpy(np.asarray(where))
    spectra = torch.stack([torch.fft.rfftn(as_tensor(v).float() * window) for v in (truth, *samples)])
    kz, ky, kx = frequency_grid(shape)
    part = inside(region, as_wedge(wedge), (kz, ky, kx), EROSION / min(shape))
    distance = (kz.square() + ky.square() + kx.square()).sqrt()
    factors = torch.tensor([student.ppf((1 + level) / 2, count - 1) * math.sqrt(1 + 1 / count) for level in levels])
    coverage, spread, error, power = [], [], [], []
    for low, high in pairwise(edges):
        fields = torch.fft.irfftn(spectra * (part & (distance >= low) & (distance < high)), s=shape)
        right, made = fields[0][seen], fields[1:, seen]
        mean, deviation = made.mean(0), made.std(0)
        off = (right - mean).abs()
        coverage.append([float((off <= factor * deviation).float().mean()) for factor in factors])
        spread.append(float(deviation.square().mean().sqrt()) * math.sqrt(1 + 1 / count))
        error.append(float(off.square().mean().sqrt()))
        power.append(float((made.square().mean() / right.square().mean()).sqrt()))
    middles = np.array([(low + high) / 2 for low, high in pairwise(edges)])
    return Calibration(middles, tuple(levels), np.array(coverage).T, np.array(spread), np.array(error), np.array(power))


def in_units_of(truth: Array, samples: Sequence[Array]) -> list[Tensor]:
    """Samples with the scale and the offset that bring their mean closest to the truth (least squares).

    If the samples have the law of the truth, given the data, this factor is 1 in the units of the truth.
    """
    target, made = as_tensor(truth).float(), [as_tensor(sample).float() for sample in samples]
    mean = torch.stack(made).mean(0)
    centred = mean - mean.mean()
    factor = float((centred * target).sum() / centred.square().sum().clamp(min=1e-20))
    return [(sample - mean.mean()) * factor + target.mean() for sample in made]


def sample_crps(truth: Array, samples: Sequence[Array]) -> float:
    """The fair continuous ranked probability score, mean over voxels, in the units of the truth (Ferro 2014)."""
    target, made = as_tensor(truth).float(), [as_tensor(sample).float() for sample in samples]
    error = sum(float((sample - target).abs().mean()) for sample in made) / len(made)
    pairs = [float((a - b).abs().mean()) for a, b in combinations(made, 2)]
    return error - sum(pairs) / (len(pairs) * 2)


def gain_of_mean(truth: Array, samples: Sequence[Array]) -> tuple[float, float]:
    """By how many decibels the mean of the samples is better than one, and by how many exact samples would be.

    Exact samples and the truth are exchangeable, so that the squared error of the mean of P is `(P + 1) / (2 P)` of
    that of one: 2.50 dB for P = 8.
    """
    target, made = as_tensor(truth).float(), torch.stack([as_tensor(sample).float() for sample in samples])
    single = float((made - target).square().mean())
    mean = float((made.mean(0) - target).square().mean())
    count = len(made)
    return 10 * math.log10(single / max(mean, 1e-20)), 10 * math.log10(2 * count / (count + 1))


def _window(shape: Sequence[int]) -> Tensor:
    window = torch.ones(())
    for axis, n in enumerate(shape):
        line = torch.hann_window(n + 2, periodic=False)[1:-1]
        window = window * line.view([-1 if i == axis else 1 for i in range(3)])
    return window
