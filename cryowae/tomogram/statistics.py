"""Robust mean and standard deviation of a volume, without beads and padding, and checks of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.tomogram.volumes import Volume

OUTLIER = 12.0
"""Standard deviations that beads exceed and molecules do not, even if they are few and the noise is weak.

Values beyond are left out of the statistics, and clipped before a network sees them.
"""

_PADDING = 0.01  # share of exact zeros above which they are treated as padding


@dataclass(frozen=True)
class Statistics:
    """Robust mean and standard deviation of a volume, in its own unit."""

    mean: float
    sigma: float


def robust_statistics(volume: Volume, *, voxels: int = 2_000_000, where: str = "the volume") -> Statistics:
    """Mean and standard deviation without outliers, from whole rows that are spread evenly over the volume.

    Starts from the median and the median absolute deviation, and leaves out values farther than 12 standard deviations
    until convergence. So beads are left out, and molecules are kept, even where they are few and high above the
    noise: the result is the plain standard deviation of a volume without beads. Many exact zeros in a floating-point
    volume are padding and are left out too. The result for `-volume` has the opposite mean and the same sigma.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type, possibly mapped. At most about `voxels` of it are read.
    where
        Name of the volume in error messages.

    Raises
    ------
    TomogramError
        If the sample has NaN or infinite values, or the volume is constant.
    """
    sample = require_finite(sample_rows(volume, voxels), where).ravel()
    if np.issubdtype(volume.dtype, np.floating) and np.mean(sample == 0) > _PADDING:
        sample = sample[sample != 0]
    if sample.size == 0 or sample.min() == sample.max():
        return _whole(volume, where)
    mean = float(np.median(sample))
    sigma = 1.4826 * float(np.median(np.abs(sample - mean))) or float(sample.std(dtype=np.float64))
    for _ in range(50):
        kept = sample[np.abs(sample - mean) <= OUTLIER * sigma]
        before = mean, sigma
        mean, sigma = float(kept.mean(dtype=np.float64)), float(kept.std(dtype=np.float64))
        if sigma == 0 or (mean, sigma) == before:
            break
    return Statistics(mean, sigma) if sigma > 0 else _whole(volume, where)


def require_finite(block: NDArray[Any], where: str) -> NDArray[np.float32]:
    """The block as float32; raises `TomogramError` if it has NaN or infinite values, also after the conversion."""
    with np.errstate(over="ignore"):
        values = np.asarray(block, np.float32)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        kind = "NaN" if np.isnan(values).any() else "infinite"
        raise TomogramError(
            f"{where} has {kind} values ({count} of {values.size} voxels looked at); expected finite numbers: "
            "reconstruct it again, or replace them"
        )
    return values


def sample_rows(volume: Volume, voxels: int) -> NDArray[Any]:
    """View of whole x rows, evenly spread over z and y, of about `voxels` voxels in all."""
    z, y, x = volume.shape
    step = max(1.0, (z * y * x / voxels) ** 0.5)
    dz = max(1, min(z // 8, round(step)))  # in thin volumes, fewer rows are taken along y
    dy = max(1, min(y // 8, round(z * y * x / voxels / dz)))
    rows: NDArray[Any] = volume[dz // 2 :: dz, dy // 2 :: dy]
    return rows


def _whole(volume: Volume, where: str) -> Statistics:
    """Plain statistics, section by section, of a volume that has mostly one value."""
    total, square, count = 0.0, 0.0, 0
    low, high = np.inf, -np.inf
    first = float(volume[0, 0, 0])
    for z in range(volume.shape[0]):
        values = require_finite(volume[z], where).astype(np.float64) - first
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        total, square, count = total + float(values.sum()), square + float((values**2).sum()), count + values.size
    if low == high:
        raise TomogramError(f"{where} is constant ({first:g} everywhere); expected a reconstruction: is it complete?")
    mean = total / count
    return Statistics(first + mean, (square / count - mean**2) ** 0.5)
