"""Where a restored volume is uncertain: its standard deviation against its own contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cryowae.errors import TomogramError
from cryowae.tomogram.statistics import sample_rows
from cryowae.tomogram.volumes import Volume

HALF_CONTRAST = 0.5
"""Standard deviation, as a fraction of the contrast, above which a feature of one voxel is a guess."""

_VOXELS = 2_000_000  # from which contrast and shares are calculated
_TAIL = 1.0  # percent of the voxels that are the densest structure


class UncertainVoxels:
    """The voxels whose standard deviation is above a fraction of the restored contrast, as 1 among 0, `(z, y, x)`.

    The measure is a fraction of the contrast and not a quantile of the standard deviation. A quantile marks the same
    share of voxels in every volume, also where nothing is uncertain. A fraction says how far a grey value can be off,
    in units of what is looked at. It marks nothing where all samples agree.

    Blocks are computed when they are read, so that the marks of a mapped volume take no memory.

    Parameters
    ----------
    deviation
        Standard deviation of the samples, `(z, y, x)`.
    contrast
        Of the restored volume, in the same units, see `restored_contrast`.
    fraction
        Of the contrast.

    Attributes
    ----------
    level
        The standard deviation above which a voxel is marked.

    Raises
    ------
    TomogramError
        If there is no contrast.
    """

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, deviation: Volume, contrast: float, fraction: float = HALF_CONTRAST) -> None:
        if not contrast > 0:
            raise TomogramError("the restored volume is constant: it has no contrast to compare its deviation with")
        self.deviation, self.level = deviation, contrast * fraction
        self.shape = tuple(map(int, deviation.shape))
        self.size = int(np.prod(self.shape))

    def __getitem__(self, key: Any, /) -> NDArray[np.uint8]:
        return np.asarray(np.asarray(self.deviation[key]) > self.level).astype(np.uint8)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    @property
    def share(self) -> float:
        """Share of the marked voxels, from rows that are spread evenly over the volume."""
        return float(np.mean(np.asarray(sample_rows(self.deviation, _VOXELS)) > self.level))


def restored_contrast(volume: Volume) -> float:
    """Contrast of a restored volume: distance of its densest structure from its median, in its own units.

    The densest structure is one percent of the voxels, on the side of the median on which they lie farther away. So
    the result for `-volume` is the same, and it need not be known whether protein is dark or bright. With few molecules
    the median is the grey value of the solvent.

    Parameters
    ----------
    volume
        `(z, y, x)`; evenly spread rows of it are read. The contrast of a constant volume is 0.
    """
    sample = np.asarray(sample_rows(volume, _VOXELS), np.float32)
    sample = sample[np.isfinite(sample)]
    low, middle, high = np.percentile(sample, (_TAIL, 50, 100 - _TAIL)) if sample.size else (0.0, 0.0, 0.0)
    return float(max(middle - low, high - middle))
