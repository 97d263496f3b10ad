"""Judges of weights on data that no training step saw: held-out tilts, halves, or Fourier components.

A restoration is right as far as it predicts measurements that it did not see. The score is the correlation of the
prediction with them; since they have noise, even a perfect restoration does not reach 1. Only differences between
weights have a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.options import RestoreOptions
from cryowae.errors import TiltError
from cryowae.fit.own import held_out_region
from cryowae.fourier.grids import frequency_grid, hermitian_weights, radius
from cryowae.fourier.shells import cross_sums
from cryowae.fourier.wedge import Wedge
from cryowae.restore.core import restore_array
from cryowae.restore.network import Model
from cryowae.tomogram.content import content_of
from cryowae.tomogram.item import Item
from cryowae.tomogram.spectrum import windowed_spectrum
from cryowae.tomogram.volumes import Region, Volume

BANDS = torch.tensor([0.01, 0.05, 0.10, 0.20], dtype=torch.float64)
"""Edges of the bands in cycles per voxel; the score is the mean over the three."""

_REMOVED = 18.0  # degrees of each end of the tilt range that are removed and predicted
_CLIP = 8.0  # standard deviations; beads would dominate
_WIDEST = (128, 288, 288)  # voxels of the judged region along z, y and x
_MARGIN = 0.5  # Fourier voxels about the kept components
_ROUNDING = 1e-6  # share of the power
_NARROWEST = 20.0  # degrees that are left of the tilt range
_FAST = RestoreOptions(fast=True)


class Judge(Protocol):
    """Scores weights; a larger score is better.

    Attributes
    ----------
    question
        What the score tests, for the user.
    """

    @property
    def question(self) -> str: ...

    def score(self, model: Model) -> float:
        """Mean correlation with measurements that the weights did not see."""
        ...


@dataclass(frozen=True, eq=False)
class ComponentJudge:
    """Removes the components of the outer tilts from the tomogram, and predicts them.

    The tilt range is made narrower at one end, then at the other. The restored volume is correlated with the original
    one over the removed components. With halves, one half is restored and the other is compared, so that their noise is
    independent.

    Both are compared under a Hann window, and components nearer than half a Fourier voxel to the kept ones are left
    out. The window still carries a little of the kept components over the border, with their noise: the score of a
    volume that keeps its noise says nothing. It is meant for restorations. On a real tilt series it ranked eight of
    them nearly as images did that were left out (docs/ablation.md); the same score without the window did not.

    Attributes
    ----------
    item
        The tomogram.
    whole
        Judge the centre of the whole tomogram, when no step learns from it; otherwise that of `held_out_region`. The
        coarsest band has few components: on a real tomogram, a slab of 96 rows ranked the shipped weights above ones
        that predict images much better, and the whole did not (docs/ablation.md).

    Raises
    ------
    TiltError
        If the tilt range is too narrow to remove components.
    """

    item: Item
    whole: bool = False

    def __post_init__(self) -> None:
        low, high = self.item.wedge.tilt_min, self.item.wedge.tilt_max
        if high - low < _REMOVED + _NARROWEST:
            expected = f"expected at least {_REMOVED + _NARROWEST:.0f} degrees, so that a part can be left out"
            raise TiltError(f"{self.item.tomogram.path} has a tilt range from {low:g} to {high:g} degrees; {expected}")

    @property
    def question(self) -> str:
        lost = f"components of the outer {_REMOVED:.0f} degrees at either end of the tilt range"
        return f"correlation with {lost}, which were removed before the restoration"

    def score(self, model: Model) -> float:
        wedge, options = self.item.wedge, _FAST
        low, high = wedge.tilt_min, wedge.tilt_max
        scores = []
        for keep in (Wedge.binary(low, high - _REMOVED), Wedge.binary(low + _REMOVED, high)):
            seen = keep.apply(self._observed).numpy()
            size, protein = self.item.tomogram.voxel_size, self.item.protein
            made = restore_array(seen, wedge=keep, voxel_size=size, model=model, options=options, contrast=protein)
            spectrum = windowed_spectrum(cast(NDArray[np.float32], made.data))
            scores.append(_bands(spectrum, self._reference, self._removed(keep), radius(self._observed.shape)))
        return float(np.mean(scores))

    def _removed(self, keep: Wedge) -> Tensor:
        """Weight of each component that was removed; those near the kept ones have none."""
        shape = self._observed.shape
        kz, ky, kx = frequency_grid(shape)
        lost = keep.missing(kz, ky, kx, (_MARGIN / shape[0], _MARGIN / shape[2]))
        return lost * self.item.wedge.mask(shape) * hermitian_weights(shape[2])

    @cached_property
    def _region(self) -> Region:
        shape = self.item.tomogram.shape
        part = tuple(slice(0, n) for n in shape) if self.whole else held_out_region(shape)
        sizes = [min(one.stop - one.start, most) for one, most in zip(part, _WIDEST, strict=True)]
        starts = [(one.start + one.stop - size) // 2 for one, size in zip(part, sizes, strict=True)]
        z, y, x = (slice(a, a + size) for a, size in zip(starts, sizes, strict=True))
        return z, y, x

    @cached_property
    def _observed(self) -> Tensor:
        halves = self.item.halves
        return _clipped(self.item.volume if halves is None else halves[0], self._region)

    @cached_property
    def _reference(self) -> Tensor:
        halves = self.item.halves
        reference = self._observed if halves is None else _clipped(halves[1], self._region)
        return windowed_spectrum(reference.numpy())


def _clipped(volume: Volume, region: Region) -> Tensor:
    """A region about the mean of the volume, without the tails of beads."""
    content = content_of(volume)
    statistics = content.statistics
    block = torch.from_numpy(np.array(content[region], np.float32)) - statistics.mean
    return block.clamp(-_CLIP * statistics.sigma, _CLIP * statistics.sigma)


def _bands(first: Tensor, second: Tensor, weight: Tensor, distance: Tensor) -> float:
    """Mean correlation of a prediction with the data over the bands; 0 where only rounding errors are predicted."""
    sums = cross_sums(first, second, weight, distance, BANDS)
    norm = np.sqrt(np.maximum(sums.power_a, _ROUNDING * sums.power_b) * sums.power_b)
    found = np.divide(sums.cross, norm, out=np.zeros_like(norm), where=norm > 0)
    there = sums.count > 0  # in a small region, nothing was removed from the lowest band
    return float(found[there].mean()) if there.any() else 0.0
