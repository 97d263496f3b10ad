"""Subtomograms of the user's own tomogram: blocks of it where there is something to see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor

from cryowae.errors import TomogramError
from cryowae.objectives import Batch
from cryowae.tomogram.item import Item
from cryowae.tomogram.statistics import OUTLIER, robust_statistics
from cryowae.tomogram.volumes import Region, Standardised, Volume

_GRID = 8  # voxels between the places that are tried
_SEEN = 0.5  # share of the places that are used: those with the most structure
_BAND = (1.5, 6.0)  # voxels: widths of the Gaussians whose difference shows molecules
_CLIP = 5.0  # standard deviations
_NOISE = 192  # voxels of the block of noise along each axis


@dataclass(frozen=True, eq=False)
class OwnSubtomograms:
    """Random subtomograms of one tomogram, standardised, protein bright.

    Attributes
    ----------
    item
        The tomogram. With halves, one is observed and the other is `other`; otherwise the volume is observed.
    crop
        Edge of the subtomograms in voxels.
    seed
        Seed of the places.
    held_out
        Region that no subtomogram touches.
    noise
        `(z, y, x)` noise of the tomogram in units of its standard deviation, used where there are no halves.

    Raises
    ------
    TomogramError
        If the tomogram is smaller than a subtomogram, or nothing of it is left beside the region.
    """

    item: Item
    crop: int
    seed: int
    held_out: Region
    noise: Tensor | None = None

    def batch(self, step: int, count: int) -> Batch:
        """`count` subtomograms for a step: a function of the seed and of `step` alone."""
        rng = np.random.default_rng([self.seed, 3, step])
        wedge = self.item.wedge
        places = self.places[rng.integers(len(self.places), size=count)]
        elsewhere = self.places[rng.integers(len(self.places), size=count)]
        first, other = self._views if rng.random() < 0.5 else self._views[::-1]
        observation = self._blocks(first, places)
        tilts = ((wedge.tilt_min, wedge.tilt_max),) * count
        if self.item.halves is None:
            noise = None if self.noise is None else _noise_blocks(self.noise, self.crop, count, rng)
            return Batch(observation, tilts=tilts, noise=noise)
        # (y1 - y2) / sqrt(2) has no signal, and the noise of one half
        noise = (self._blocks(first, elsewhere) - self._blocks(other, elsewhere)) / 2**0.5
        return Batch(observation, other=self._blocks(other, places), tilts=tilts, noise=noise)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """`(n, 3)` first voxels of the subtomograms that may be drawn: those with the most structure."""
        shape = self.item.tomogram.shape
        if min(shape) < self.crop:
            z, y, x = shape
            raise TomogramError(
                f"{self.item.tomogram.path} has {z} x {y} x {x} voxels (z, y, x); expected at least {self.crop} along "
                "each axis, the edge of a subtomogram"
            )
        starts = [np.unique(np.append(np.arange(0, n - self.crop, _GRID), n - self.crop)) for n in shape]
        grid = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3)
        inside = [
            (grid[:, axis] < part.stop) & (grid[:, axis] + self.crop > part.start)
            for axis, part in enumerate(self.held_out)
        ]
        grid = grid[~np.logical_and.reduce(inside)]
        if len(grid) == 0:
            raise TomogramError(f"{self.item.tomogram.path} is too small to fit on one part and to judge on another")
        middle = (grid + self.crop // 2).T // 2
        score = _structure(self._views[0])[tuple(middle)]
        mask = self.item.mask_volume
        if mask is not None:
            score = score * (np.asarray(mask[::2, ::2, ::2])[tuple(middle)] > 0.5)
        kept: NDArray[np.int64] = grid[np.argsort(-score, kind="stable")[: max(1, int(_SEEN * len(grid)))]]
        return kept

    @cached_property
    def _views(self) -> tuple[Standardised, Standardised]:
        """The halves, or twice the volume; with the mean and the scale of the first."""
        one, two = self.item.halves or (self.item.volume, self.item.volume)
        statistics, sign = robust_statistics(one), 1 if self.item.protein == "bright" else -1
        return (
            Standardised(one, statistics.mean, statistics.sigma, sign),
            Standardised(two, robust_statistics(two).mean, statistics.sigma, sign),
        )

    def _blocks(self, volume: Volume, places: NDArray[np.int64]) -> Tensor:
        blocks = [volume[tuple(slice(int(a), int(a) + self.crop) for a in place)] for place in places]
        return torch.from_numpy(np.stack(blocks)[:, None]).clamp(-OUTLIER, OUTLIER)


def real_noise(item: Item) -> Tensor | None:
    """`(2, z, y, x)` noise of a tomogram with halves, from outside the held-out region; None without halves.

    It is half the difference of the halves, and its negative: without signal, and with the noise of their mean. Two
    crops from different places are independent. Beads are clipped.
    """
    if item.halves is None:
        return None
    held_out = held_out_region(item.tomogram.shape)
    before = [slice(0, h.start or n) for h, n in zip(held_out, item.tomogram.shape, strict=True)]
    starts = [max(0, (part.stop - _NOISE) // 2) for part in before]
    place = tuple(slice(a, min(part.stop, a + _NOISE)) for a, part in zip(starts, before, strict=True))
    first, second = (np.asarray(half[place], np.float32) for half in item.halves)
    difference = (first - second) / 2
    spread = robust_statistics(difference).sigma
    noise = torch.from_numpy(difference - difference.mean()).clamp(-_CLIP * spread, _CLIP * spread)
    return torch.stack([noise, -noise])


def held_out_region(shape: tuple[int, int, int]) -> Region:
    """The part of a tomogram that is kept for judging: a slab across the middle of the longer of y and x."""
    axis = 1 if shape[1] >= shape[2] else 2
    wide = min(96, max(32, shape[axis] // 4))
    start = (shape[axis] - wide) // 2
    parts = [slice(0, n) for n in shape]
    parts[axis] = slice(start, start + wide)
    return parts[0], parts[1], parts[2]


def _structure(volume: Volume) -> NDArray[np.float32]:
    """Local power of the density at the size of molecules, on a grid twice as coarse."""
    values = np.clip(np.asarray(volume[:], np.float32), -_CLIP, _CLIP)
    fine = gaussian_filter(values, _BAND[0])[::2, ::2, ::2]
    band = fine - gaussian_filter(fine, _BAND[1] / 2)
    power: NDArray[np.float32] = uniform_filter(band * band, 16)
    return power


def _noise_blocks(noise: Tensor, edge: int, count: int, rng: np.random.Generator) -> Tensor:
    corners = [[int(rng.integers(0, n - edge + 1)) for n in noise.shape] for _ in range(count)]
    return torch.stack([noise[z : z + edge, y : y + edge, x : x + edge] for z, y, x in corners])[:, None].float()
