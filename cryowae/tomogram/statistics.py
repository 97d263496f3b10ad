"""Robust mean and standard deviation of a volume, without beads and padding, and checks of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.tomogram.padding import find_padding, flat_step
from cryowae.tomogram.volumes import Region, Volume, slabs

OUTLIER = 12.0
"""Standard deviations that beads exceed and molecules do not, even if they are few and the noise is weak.

Values beyond are left out of the statistics, and clipped before a network sees them.
"""

SAMPLE = 2_000_000
"""Voxels of a large volume that are read for its statistics."""

_ROWS = 5  # neighbouring rows along z and along y that are read together, so that padding can be recognised
_LEAST = 1e-4  # share of a volume that is not padding


@dataclass(frozen=True)
class Statistics:
    """Robust mean and standard deviation of a volume, in its own unit."""

    mean: float
    sigma: float


@dataclass(frozen=True)
class ContentSample:
    """A sample of the voxels of a volume that are not padding.

    Attributes
    ----------
    values
        `(n,)` float32.
    share
        Share of the sample that is not padding.
    box
        Region outside of which there is only padding, as far as the sample shows.
    step
        Largest difference between neighbours in padding, see `flat_step`.
    """

    values: NDArray[np.float32]
    share: float
    box: Region
    step: float

    @classmethod
    def of(cls, volume: Volume, where: str = "the volume", voxels: int = SAMPLE) -> ContentSample:
        """Read groups of whole x rows that are evenly spread over z and y: the whole volume if it is small."""
        z, y, x = volume.shape
        groups = sample_groups(volume, voxels)
        blocks = [require_finite(volume[group], where) for group in groups]
        whole = np.dtype(volume.dtype)
        step = flat_step(np.concatenate([one.reshape(-1, x) for one in blocks]).astype(whole))
        kept = [~find_padding(one, step) for one in blocks]
        inside = [(group, one) for group, one in zip(groups, kept, strict=True) if one.any()]
        values = np.concatenate([one[mask] for one, mask in zip(blocks, kept, strict=True)])
        share = values.size / sum(one.size for one in blocks)
        if not inside:
            return cls(values, share, (slice(0, z), slice(0, y), slice(0, x)), step)
        sides = []
        for axis in range(3):
            ends = [(group[axis].start, np.flatnonzero(mask.any(_others(axis)))) for group, mask in inside]
            low, high = min(a + int(i[0]) for a, i in ends), max(a + int(i[-1]) + 1 for a, i in ends)
            starts = {group[axis].start for group in groups}
            stops = {group[axis].stop for group in groups}
            if len(starts) > 1 or (len(groups) > 1 and axis < 2):  # between two groups, nothing is known
                low = max([stop for stop in stops if stop <= low], default=0)
                high = min([start for start in starts if start >= high], default=volume.shape[axis])
            sides.append(slice(low, high))
        return cls(values, share, (sides[0], sides[1], sides[2]), step)


def robust_statistics(volume: Volume, *, voxels: int = SAMPLE, where: str = "the volume") -> Statistics:
    """Mean and standard deviation without outliers and padding, from rows that are spread evenly over the volume.

    Starts from the median and the median absolute deviation, and leaves out values farther than 12 standard deviations
    until convergence. So beads are left out, and molecules are kept, even where they are few and high above the
    noise: the result is the plain standard deviation of a volume without beads. Padding of any value is left out, see
    `find_padding`. The result for `-volume` has the opposite mean and the same sigma.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type, possibly mapped. At most about `voxels` of it are read.
    where
        Name of the volume in error messages.

    Raises
    ------
    TomogramError
        If the sample has NaN or infinite values, or the volume is constant apart from its padding.
    """
    return statistics_of(ContentSample.of(volume, where, voxels), volume, where)


def statistics_of(found: ContentSample, volume: Volume, where: str) -> Statistics:
    """The robust statistics of a sample; of the whole volume, section by section, if the sample is constant."""
    sample = found.values
    if sample.size == 0 or sample.min() == sample.max():
        return _whole(volume, found.step, where)
    mean = float(np.median(sample))
    sigma = 1.4826 * float(np.median(np.abs(sample - mean))) or float(sample.std(dtype=np.float64))
    for _ in range(50):
        kept = sample[np.abs(sample - mean) <= OUTLIER * sigma]
        before = mean, sigma
        mean, sigma = float(kept.mean(dtype=np.float64)), float(kept.std(dtype=np.float64))
        if sigma == 0 or (mean, sigma) == before:
            break
    return Statistics(mean, sigma) if sigma > 0 else _whole(volume, found.step, where)


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


def sample_groups(volume: Volume, voxels: int) -> list[Region]:
    """Regions of 5 x 5 whole x rows, evenly spread over z and y; the whole volume if it has no more voxels."""
    z, y, x = volume.shape
    if z * y * x <= voxels:
        return [(slice(0, z), slice(0, y), slice(0, x))]
    count = max(4.0, voxels / (min(_ROWS, z) * min(_ROWS, y) * x))
    along_z = min(max(1, round((count * z / y) ** 0.5)), -(-z // _ROWS))
    along_y = min(max(1, round(count / along_z)), -(-y // _ROWS))
    return [
        (slice(a, min(a + _ROWS, z)), slice(b, min(b + _ROWS, y)), slice(0, x))
        for a in _starts(z, along_z)
        for b in _starts(y, along_y)
    ]


def sample_rows(volume: Volume, voxels: int) -> NDArray[Any]:
    """View of whole x rows, evenly spread over z and y, of about `voxels` voxels in all."""
    z, y, x = volume.shape
    step = max(1.0, (z * y * x / voxels) ** 0.5)
    dz = max(1, min(z // 8, round(step)))  # in thin volumes, fewer rows are taken along y
    dy = max(1, min(y // 8, round(z * y * x / voxels / dz)))
    rows: NDArray[Any] = volume[dz // 2 :: dz, dy // 2 :: dy]
    return rows


def _starts(length: int, count: int) -> list[int]:
    """First rows of `count` groups, each in the middle of its share of an axis."""
    rows = min(_ROWS, length)
    middles = (np.arange(count) + 0.5) * length / count - rows / 2
    starts: list[int] = np.unique(middles.round().clip(0, length - rows).astype(int)).tolist()
    return starts


def _others(axis: int) -> tuple[int, int]:
    first, second = (one for one in range(3) if one != axis)
    return first, second


def _whole(volume: Volume, step: float, where: str) -> Statistics:
    """Plain statistics of the content, slab by slab, of a volume that has mostly one value."""
    total, square, count, least, most = 0.0, 0.0, 0, np.inf, -np.inf
    low, high = np.inf, -np.inf
    first = float(volume[0, 0, 0])
    for part in slabs(volume.shape):
        values = require_finite(volume[part], where)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        inside = values[~find_padding(values, step)].astype(np.float64)
        if inside.size:
            least, most = min(least, float(inside.min())), max(most, float(inside.max()))
            inside -= first
            total, square, count = total + float(inside.sum()), square + float((inside**2).sum()), count + inside.size
    z, y, x = volume.shape
    if low == high:
        raise TomogramError(f"{where} is constant ({first:g} everywhere); expected a reconstruction: is it complete?")
    if least >= most or count < _LEAST * z * y * x:
        raise TomogramError(
            f"{where} consists of constant parts ({low:g} to {high:g}); expected a reconstruction: is it a mask?"
        )
    mean = total / count
    return Statistics(first + mean, (square / count - mean**2) ** 0.5)
