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
from cryowae.tomogram.content import content_of
from cryowae.tomogram.item import Item
from cryowae.tomogram.standardised import Standardised
from cryowae.tomogram.statistics import OUTLIER, robust_statistics
from cryowae.tomogram.volumes import Region, Volume

_GRID = 8  # voxels between the places that are tried
_SEEN = 0.5  # share of the places that are used: those with the most structure
_BAND = (1.5, 6.0)  # voxels: widths of the Gaussians whose difference shows molecules
_CLIP = 5.0  # standard deviations
_ROOM = 192  # voxels along y that leave room for subtomograms on both sides of the slab
_NOISE = 192  # voxels of the block of noise along each axis
_WIDEST = (256, 720, 720)  # voxels (z, y, x) of the central part from which subtomograms are taken
_SLAB, _HALO = 32, 8  # voxels along z, even: a Gaussian of 1.5 voxels ends after 6


@dataclass(frozen=True, eq=False)
class OwnSubtomograms:
    """Random subtomograms of one tomogram, standardised, protein bright.

    They come from the central part of at most 256 x 720 x 720 voxels, so that the memory is bounded.

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
        On construction, if the tomogram is smaller than a subtomogram, or nothing of it is left beside the region; when
        the first batch is drawn, if the mask leaves no place.
    """

    item: Item
    crop: int
    seed: int
    held_out: Region
    noise: Tensor | None = None

    def __post_init__(self) -> None:
        _ = self._grid

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
        # (y1 - y2) / sqrt(2) has no signal, and the noise of one half. The half turn about y keeps its spectrum, and
        # makes it independent of the observation even at the same place
        noise = (self._blocks(first, elsewhere) - self._blocks(other, elsewhere)) / 2**0.5
        return Batch(observation, other=self._blocks(other, places), tilts=tilts, noise=noise.flip(-3, -1))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """`(n, 3)` first voxels of the subtomograms that may be drawn: those with the most structure."""
        grid, part = self._grid, _central(self.item.tomogram.shape)
        centres = grid + self.crop // 2 - [one.start for one in part]
        mask = self.item.mask_volume
        if mask is not None:
            inside = np.asarray(mask[part])[tuple(centres.T)] > 0.5
            if not inside.any():
                raise TomogramError(
                    f"{self.item.mask} is 0 at every place of a subtomogram; expected 1 at the specimen"
                )
            grid, centres = grid[inside], centres[inside]
        score = _structure(self._views[0].part(part))[tuple(centres.T // 2)]
        kept: NDArray[np.int64] = grid[np.argsort(-score, kind="stable")[: max(1, int(_SEEN * len(grid)))]]
        return kept

    @cached_property
    def _grid(self) -> NDArray[np.int64]:
        """`(n, 3)` first voxels of the subtomograms that do not touch the held-out region."""
        shape = self.item.tomogram.shape
        if min(shape) < self.crop:
            z, y, x = shape
            raise TomogramError(
                f"{self.item.tomogram.path} has {z} x {y} x {x} voxels (z, y, x); expected at least {self.crop} along "
                "each axis, the edge of a subtomogram"
            )
        ends = [(one.start, one.stop - self.crop) for one in _central(shape)]
        starts = [np.unique(np.append(np.arange(first, last, _GRID), last)) for first, last in ends]
        grid: NDArray[np.int64] = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3)
        inside = [
            (grid[:, axis] < part.stop) & (grid[:, axis] + self.crop > part.start)
            for axis, part in enumerate(self.held_out)
        ]
        grid = grid[~np.logical_and.reduce(inside)]
        if len(grid) == 0:
            raise TomogramError(f"{self.item.tomogram.path} is too small to fit on one part and to judge on another")
        return grid

    @cached_property
    def _views(self) -> tuple[Standardised, Standardised]:
        """The halves, or twice the volume, each in units of its standard deviation."""
        sign = 1 if self.item.protein == "bright" else -1
        if self.item.halves is None:
            one = Standardised(self.item.content, sign)
            return one, one
        first, second = (Standardised(content_of(half), sign) for half in self.item.halves)
        return first, second

    def _blocks(self, volume: Volume, places: NDArray[np.int64]) -> Tensor:
        blocks = [volume[tuple(slice(int(a), int(a) + self.crop) for a in place)] for place in places]
        return torch.from_numpy(np.stack(blocks)[:, None]).clamp(-OUTLIER, OUTLIER)


def real_noise(item: Item, crop: int) -> Tensor | None:
    """`(2, z, y, x)` noise of a tomogram with halves, from outside the held-out region.

    None without halves, and where there is no room for crops of `crop` voxels.

    It is half the difference of the halves, and its negative: without signal, and with the noise of their mean. Two
    crops from different places are independent. Beads are clipped.
    """
    if item.halves is None:
        return None
    held_out = held_out_region(item.tomogram.shape)
    before = [slice(0, h.start or n) for h, n in zip(held_out, item.tomogram.shape, strict=True)]
    starts = [max(0, (part.stop - _NOISE) // 2) for part in before]
    place = tuple(slice(a, min(part.stop, a + _NOISE)) for a, part in zip(starts, before, strict=True))
    if min(one.stop - one.start for one in place) < crop:
        return None
    first, second = (content_of(half)[place] for half in item.halves)
    difference = (first - second) / 2
    spread = robust_statistics(difference).sigma
    noise = torch.from_numpy(difference - difference.mean()).clamp(-_CLIP * spread, _CLIP * spread)
    return torch.stack([noise, -noise])


def held_out_region(shape: tuple[int, int, int]) -> Region:
    """The part of a tomogram that is kept for judging: a slab across its middle.

    It is cut out of y if there is room, because a long x resolves the tilts best; otherwise of the longer axis.
    """
    axis = 1 if shape[1] >= min(_ROOM, shape[2]) else 2
    wide = min(96, max(32, shape[axis] // 4), shape[axis])
    start = (shape[axis] - wide) // 2
    parts = [slice(0, n) for n in shape]
    parts[axis] = slice(start, start + wide)
    return parts[0], parts[1], parts[2]


def _central(shape: tuple[int, int, int]) -> Region:
    sizes = [min(n, most) for n, most in zip(shape, _WIDEST, strict=True)]
    starts = [(n - size) // 2 for n, size in zip(shape, sizes, strict=True)]
    z, y, x = (slice(a, a + size) for a, size in zip(starts, sizes, strict=True))
    return z, y, x


def _structure(volume: Volume) -> NDArray[np.float32]:
    """Local power of the density at the size of molecules, on a grid twice as coarse; read slab by slab."""
    fine = np.concatenate([_coarser(volume, z) for z in range(0, volume.shape[0], _SLAB)])
    band = fine - gaussian_filter(fine, _BAND[1] / 2)
    power: NDArray[np.float32] = uniform_filter(band * band, 16)
    return power


def _coarser(volume: Volume, start: int) -> NDArray[np.float32]:
    """Every second voxel of the smoothed slab that begins at a z."""
    before = min(start, _HALO)
    values = np.clip(volume[start - before : start + _SLAB + _HALO], -_CLIP, _CLIP)
    smooth: NDArray[np.float32] = gaussian_filter(values, _BAND[0])[before : before + _SLAB : 2, ::2, ::2]
    return smooth


def _noise_blocks(noise: Tensor, edge: int, count: int, rng: np.random.Generator) -> Tensor:
    corners = [[int(rng.integers(0, n - edge + 1)) for n in noise.shape] for _ in range(count)]
    return torch.stack([noise[z : z + edge, y : y + edge, x : x + edge] for z, y, x in corners])[:, None].float()
