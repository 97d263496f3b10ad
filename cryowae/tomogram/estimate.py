"""An estimate from the voxels alone: the contrast of a tomogram.

The samples have a bounded size, so that a mapped volume of any size takes a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from cryowae.tomogram.statistics import require_finite, robust_statistics
from cryowae.tomogram.volumes import Volume

Contrast = Literal["dark", "bright"]

_COARSE = 10.0  # angstrom; the bands below are for this voxel size, within a factor of two
_BLOCK = 96  # binned voxels along each edge of the blocks in which the contrast is estimated
_LARGEST = 256  # voxels along each edge, before binning
_BLOCKS = 3  # blocks along y and along x at most
_MOST = 5.0  # standard deviations from the mean at which voxels are clipped
_BAND = (2.0, 6.0)  # standard deviations in voxels of the Gaussians whose difference is evaluated


def estimate_contrast(volume: Volume, voxel_size: float = _COARSE) -> Contrast:
    """Whether protein is darker or brighter than ice. The result for `-volume` is the opposite.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type.
    voxel_size
        Angstrom; sets the size of molecules in voxels. Volumes finer than 7 angstrom are binned.

    Raises
    ------
    TomogramError
        If the sample is constant or not finite.
    """
    return "bright" if contrast_skewness(volume, voxel_size) > 0 else "dark"


def contrast_skewness(volume: Volume, voxel_size: float = _COARSE) -> float:
    """Skewness of the band-passed density: positive when compact objects are bright, about 0 for pure noise.

    Molecules are compact and fill less than half of the volume. So the density, band-passed at their size, has a tail
    on their side. Outliers are clipped. The difference of two Gaussians removes the background (ice against
    cytoplasm), which often has the opposite skewness.
    """
    statistics = robust_statistics(volume)
    factor = min(4, max(1, round(_COARSE / voxel_size)))
    bands: tuple[list[NDArray[np.float32]], ...] = ([], [])
    for block in _blocks(volume, min(_BLOCK * factor, _LARGEST)):
        values = (require_finite(block, "the volume") - np.float32(statistics.mean)) / np.float32(statistics.sigma)
        values = np.clip(values, -_MOST, _MOST)
        values = _binned(values, factor)
        bands[0].append(_band_pass(values))
        bands[1].append(_band_pass(_binned(values, 2)))
    return float(np.mean([_skewness(np.concatenate(band)) for band in bands]))


def _blocks(volume: Volume, edge: int) -> Iterator[NDArray[Any]]:
    """Blocks around the middle section, evenly spread over y and x."""
    nz, ny, nx = (min(n, edge) for n in volume.shape)
    z = (volume.shape[0] - nz) // 2
    most = _BLOCKS if edge <= _BLOCK else 2
    rows, columns = (
        np.linspace(0, n - size, min(most, -(-n // size))).astype(int)
        for n, size in zip(volume.shape[1:], (ny, nx), strict=True)
    )
    for y in rows:
        for x in columns:
            yield volume[z : z + nz, y : y + ny, x : x + nx]


def _binned(block: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means over cubes of `factor` voxels; incomplete cubes are left out."""
    z, y, x = (n // factor for n in block.shape)
    if factor == 1 or min(z, y, x) == 0:
        return block
    whole = block[: factor * z, : factor * y, : factor * x]
    return np.asarray(whole.reshape(z, factor, y, factor, x, factor).mean((1, 3, 5)), np.float32)


def _band_pass(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Difference of two Gaussians, with mirrored borders: a product after the cosine transform."""
    k2 = sum(np.ix_(*[((np.pi * np.arange(n) / n) ** 2).astype(np.float32) for n in block.shape]))
    fine, coarse = (np.exp(-0.5 * sigma**2 * k2) for sigma in _BAND)
    return np.asarray(idctn(dctn(block) * (fine - coarse)), np.float32).ravel()[::2]


def _skewness(values: NDArray[np.float32]) -> float:
    """Third standardised moment, clipped at four standard deviations about the median, to suppress beads."""
    centred = values - np.median(values)
    sigma = float(centred.std())
    for _ in range(8):
        sigma = float(centred[np.abs(centred) <= 4 * sigma].std())
    clipped = np.clip(centred, -4 * sigma, 4 * sigma).astype(np.float64)
    clipped -= clipped.mean()
    spread = float((clipped**2).mean())
    return float((clipped**3).mean()) / spread**1.5 if spread > 0 else 0.0
