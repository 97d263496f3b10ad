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
from cryowae.fourier.grids import hermitian_weights, radius
from cryowae.fourier.shells import cross_sums
from cryowae.fourier.wedge import Wedge
from cryowae.restore.core import restore_array
from cryowae.restore.network import Model
from cryowae.tomogram.item import Item
from cryowae.tomogram.statistics import robust_statistics
from cryowae.tomogram.volumes import Region, Volume

BANDS = torch.tensor([0.01, 0.05, 0.10, 0.20], dtype=torch.float64)
"""Edges of the bands in cycles per voxel; the score is the mean over the three."""

_REMOVED = 18.0  # degrees of each end of the tilt range that are removed and predicted
_CLIP = 8.0  # standard deviations; beads would dominate
_WIDEST = 192  # voxels of the judged region along each axis
_TAPER, _SHARE = 12, 6  # voxels at each face where the region fades to 0; at most one in six of its voxels
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

    The region fades to 0 at its faces before the components are removed, and no window is applied after that: the input
    has exactly nothing there. A window on the restored volume would carry the components that were kept over the
    border, with their noise, and the input would have nearly the score of the truth.

    Attributes
    ----------
    item
        The tomogram. The centre of `held_out_region` is judged.

    Raises
    ------
    TiltError
        If the tilt range is too narrow to remove components.
    """

    item: Item

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
            spectrum = _spectrum(torch.from_numpy(cast(NDArray[np.float32], made.data)))
            scores.append(_bands(spectrum, self._reference, self._removed(keep), radius(self._observed.shape)))
        return float(np.mean(scores))

    def _removed(self, keep: Wedge) -> Tensor:
        """Weight of each component that was removed."""
        shape = self._observed.shape
        return (1 - keep.mask(shape)) * self.item.wedge.mask(shape) * hermitian_weights(shape[2])

    @cached_property
    def _region(self) -> Region:
        part = held_out_region(self.item.tomogram.shape)
        starts = [one.start + max(0, one.stop - one.start - _WIDEST) // 2 for one in part]
        z, y, x = (slice(a, min(one.stop, a + _WIDEST)) for a, one in zip(starts, part, strict=True))
        return z, y, x

    @cached_property
    def _observed(self) -> Tensor:
        halves = self.item.halves
        return _faded(self.item.volume if halves is None else halves[0], self._region)

    @cached_property
    def _reference(self) -> Tensor:
        halves = self.item.halves
        return _spectrum(self._observed if halves is None else _faded(halves[1], self._region))


def _faded(volume: Volume, region: Region) -> Tensor:
    """A region about its mean, without the tails of beads, that fades to 0 at its faces."""
    statistics = robust_statistics(volume)
    block = torch.from_numpy(np.array(volume[region], np.float32)) - statistics.mean
    block = block.clamp(-_CLIP * statistics.sigma, _CLIP * statistics.sigma)
    for axis, n in enumerate(block.shape):
        voxels, wide = torch.arange(n) + 0.5, max(1, min(_TAPER, n // _SHARE))
        inside = (torch.minimum(voxels, n - voxels) / wide).clamp(max=1)
        block = block * (0.5 - 0.5 * torch.cos(torch.pi * inside)).view([-1 if a == axis else 1 for a in range(3)])
    return block


def _spectrum(volume: Tensor) -> Tensor:
    spectrum: Tensor = torch.fft.rfftn(volume - volume.mean())
    return spectrum


def _bands(first: Tensor, second: Tensor, weight: Tensor, distance: Tensor) -> float:
    """Mean correlation of a prediction with the data over the bands; 0 where only rounding errors are predicted."""
    sums = cross_sums(first, second, weight, distance, BANDS)
    norm = np.sqrt(np.maximum(sums.power_a, _ROUNDING * sums.power_b) * sums.power_b)
    found = np.divide(sums.cross, norm, out=np.zeros_like(norm), where=norm > 0)
    there = sums.count > 0  # in a small region, nothing was removed from the lowest band
    return float(found[there].mean()) if there.any() else 0.0
