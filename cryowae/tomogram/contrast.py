"""The contrast of a tomogram from its grey values, with a figure that says how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import uniform_filter

from cryowae.errors import TomogramError
from cryowae.tomogram.content import Content, content_of
from cryowae.tomogram.volumes import Region, Volume

Contrast = Literal["dark", "bright"]

SURE = 3.0
"""Least z-score of a contrast. Few volumes of pure noise reach it (3.6 at most, of 124; docs/conventions.md)."""

_BAND = (20.0, 60.0)  # angstrom: standard deviations of the Gaussians whose difference shows molecules
_COARSE = 10.0  # angstrom; finer volumes are binned to about this voxel size
_CELL = 160.0  # angstrom: edge of the cells; values in different cells are nearly independent
_SMALLEST = 8  # voxels along the edge of a cell, at least
_FEWEST, _CELLS = 8, 64  # cells: the least that decide, and those that small volumes are cut into
_BLOCK = 96  # binned voxels along each edge of the blocks that are read
_LARGEST = 256  # voxels along each edge of a block, before binning
_BLOCKS = 3  # blocks along y and along x at most
_MOST = 5.0  # standard deviations from the mean at which voxels are clipped
_TAIL = 4.0  # the same after the band-pass
_TRIMMED = 0.2  # share of the cells at either end that are pulled in: single objects do not decide
_FILLED = 0.5  # share of a cell that must be content


@dataclass(frozen=True)
class ContrastEstimate:
    """Whether protein is dark or bright, and how sure that is.

    Attributes
    ----------
    contrast
        The more likely one.
    z
        Mean skewness over its standard error: positive for bright, negative for dark, within about 2 for pure noise.
    """

    contrast: Contrast
    z: float

    @property
    def sure(self) -> bool:
        """Whether the figure is large enough to decide."""
        return abs(self.z) >= SURE

    @property
    def figure(self) -> str:
        """The figure as text."""
        return f"z = {abs(self.z):.1f}" if self.sure else f"z = {abs(self.z):.1f}, below {SURE:g}"

    def require(self, where: str) -> Contrast:
        """The contrast; raises `TomogramError` if it is not sure."""
        if not self.sure:
            raise TomogramError(
                f"the grey values of {where} do not show whether protein is dark or bright ({self.figure}); give "
                "--contrast dark or --contrast bright"
            )
        return self.contrast


def estimate_contrast(volume: Volume | Content, voxel_size: float) -> ContrastEstimate:
    """Whether protein is darker or brighter than ice. The result for `-volume` is the opposite.

    Molecules are compact and fill less than half of the volume. So the density, band-passed at their size, has a tail
    on their side. The difference of two Gaussians removes the background (ice against cytoplasm), which often has the
    opposite skewness. The skewness is taken in cells of 160 angstrom. The figure is the winsorised mean of the cells
    over its standard error (Tukey and McLaughlin 1963, Sankhya A 25, 331): a bead or a contaminant is in a few cells,
    and cannot decide. Padding is left out.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type. A sample of bounded size is read.
    voxel_size
        Angstrom; sets the size of molecules in voxels. Volumes finer than 7 angstrom are binned.

    Raises
    ------
    TomogramError
        If the sample is constant or not finite.
    """
    skewness = np.concatenate([np.zeros(0), *_skewness_of_blocks(content_of(volume), voxel_size)])
    z = _winsorised(skewness)
    return ContrastEstimate("bright" if z > 0 else "dark", z)


def _skewness_of_blocks(content: Content, voxel_size: float) -> Iterator[NDArray[np.float64]]:
    mean, sigma = np.float32(content.statistics.mean), np.float32(content.statistics.sigma)
    factor = min(4, max(1, round(_COARSE / voxel_size)))
    size = factor * voxel_size
    voxels = prod(one.stop - one.start for one in content.box) / factor**3
    edge = max(_SMALLEST, min(round(_CELL / size), int((voxels / _CELLS) ** (1 / 3))))
    for part in _parts(content.box, min(_BLOCK * factor, _LARGEST)):
        values, inside = content.read(part)
        values = np.where(inside, np.clip((values - mean) / sigma, -_MOST, _MOST), 0)
        values, known = _binned(values, factor), _binned(inside.astype(np.float32), factor)
        values = _band_pass(values, _BAND[0] / size, _BAND[1] / size)
        near = uniform_filter(known, 2 * max(1, round(_BAND[1] / size / 2)) + 1, mode="nearest")
        yield _skewness(values, (known > 0.99) & (near > 0.75), edge)


def _parts(box: Region, edge: int) -> Iterator[Region]:
    """Blocks around the middle section of the content, evenly spread over y and x. They do not overlap."""
    depth = min(box[0].stop - box[0].start, edge)
    z = box[0].start + (box[0].stop - box[0].start - depth) // 2
    most = _BLOCKS if edge <= _BLOCK else 2
    sides = []
    for one in box[1:]:
        n = one.stop - one.start
        count = min(most, max(1, n // edge))
        size = n // count if n < 1.5 * edge * count else edge
        sides.append([slice(int(a), int(a) + size) for a in np.linspace(one.start, one.stop - size, count)])
    for y, x in product(*sides):
        yield slice(z, z + depth), y, x


def _binned(block: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means over cubes of `factor` voxels; incomplete cubes are left out."""
    z, y, x = (n // factor for n in block.shape)
    if factor == 1 or min(z, y, x) == 0:
        return block
    whole = block[: factor * z, : factor * y, : factor * x]
    return np.asarray(whole.reshape(z, factor, y, factor, x, factor).mean((1, 3, 5)), np.float32)


def _band_pass(block: NDArray[np.float32], fine: float, coarse: float) -> NDArray[np.float32]:
    """Difference of two Gaussians, voxels, with mirrored borders: a product after the cosine transform."""
    k2 = sum(np.ix_(*[((np.pi * np.arange(n) / n) ** 2).astype(np.float32) for n in block.shape]))
    return np.asarray(idctn(dctn(block) * (np.exp(-0.5 * fine**2 * k2) - np.exp(-0.5 * coarse**2 * k2))), np.float32)


def _skewness(values: NDArray[np.float32], known: NDArray[np.bool_], edge: int) -> NDArray[np.float64]:
    """Third standardised moment of each cell that is mostly known, after clipping."""
    if not known.any():
        return np.zeros(0)
    middle = float(np.median(values[known]))
    spread = 1.4826 * float(np.median(np.abs(values[known] - middle)))
    clipped = np.clip(values - middle, -_TAIL * spread, _TAIL * spread)
    found = []
    cuts = [np.linspace(0, n, max(1, round(n / edge)) + 1).astype(int) for n in values.shape]
    for z, y, x in product(*[list(zip(cut[:-1], cut[1:], strict=True)) for cut in cuts]):
        place = slice(*z), slice(*y), slice(*x)
        cell = clipped[place][known[place]].astype(np.float64)
        if cell.size < _FILLED * known[place].size or cell.size < 2:
            continue
        cell -= cell.mean()
        variance = float((cell**2).mean())
        if variance > 0:
            found.append(float((cell**3).mean()) / variance**1.5)
    return np.array(found)


def _winsorised(values: NDArray[np.float64]) -> float:
    """Winsorised mean over its standard error; 0 if there are too few values."""
    n = len(values)
    if n < _FEWEST:
        return 0.0
    pulled, kept = np.sort(values), n - 2 * int(np.ceil(_TRIMMED * n))
    cut = (n - kept) // 2
    pulled[:cut], pulled[n - cut :] = pulled[cut], pulled[n - cut - 1]
    error = float(pulled.std(ddof=1)) / (kept / n) / n**0.5
    return float(pulled.mean()) / error if error > 0 else 0.0
