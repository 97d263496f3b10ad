"""Estimates from the voxels alone: contrast and measured tilt range of a tomogram.

The samples have a bounded size, so that a mapped volume of any size takes a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn, rfft2

from cryowae.tomogram.statistics import require_finite, robust_statistics
from cryowae.tomogram.volumes import Volume

Contrast = Literal["dark", "bright"]

_COARSE = 10.0  # angstrom; the bands below are for this voxel size, within a factor of two
_BLOCK = 96  # binned voxels along each edge of the blocks in which the contrast is estimated
_LARGEST = 256  # voxels along each edge, before binning
_BLOCKS = 3  # blocks along y and along x at most
_MOST = 5.0  # standard deviations from the mean at which voxels are clipped
_BAND = (2.0, 6.0)  # standard deviations in voxels of the Gaussians whose difference is evaluated
_ROWS = 48  # xz planes that the spectrum is averaged over
_WINDOW = 128  # largest window of the spectrum, voxels along z and x
_THINNEST = 16  # voxels along z or x; in thinner volumes directions cannot be resolved
_RINGS = np.arange(0.12, 0.46, 0.02)  # cycles per voxel
_CENTRE = 3.0  # degrees about 0 that are left out: the faces of the volume cause streaks there


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


@dataclass(frozen=True)
class AngularPower:
    """Power of a tomogram by direction in the plane of kz and kx, relative to its middle directions.

    Attributes
    ----------
    angles
        `(n,)` degrees between -90 and 90, `kz = tan(angle) kx`.
    power
        `(n,)`, about 1 where data were measured and about 0 in the missing wedge. Directions without information
        (close to kz; all of them in a very thin volume) are left out.
    """

    angles: NDArray[np.float64]
    power: NDArray[np.float64]

    def inside(self, tilt_min: float, tilt_max: float) -> float:
        """Mean power in a range of tilts."""
        return _mean(self.power[(self.angles >= tilt_min) & (self.angles <= tilt_max)])

    def outside(self, tilt_min: float, tilt_max: float, margin: float = 4.0) -> float:
        """Mean power farther than `margin` degrees outside a range of tilts; NaN without information."""
        return _mean(self.power[(self.angles < tilt_min - margin) | (self.angles > tilt_max + margin)])


@dataclass(frozen=True)
class WedgeAgreement:
    """How well a claimed wedge fits a tomogram.

    Attributes
    ----------
    leakage
        Mean power in the claimed missing wedge over that in the claimed measured region: about 0.01 if the wedge is
        right, about 1 if nothing is missing there.
    flipped_leakage
        The same with all tilts negated.
    """

    leakage: float
    flipped_leakage: float

    @property
    def fits(self) -> bool:
        """Whether the claimed wedge is nearly empty, as it must be."""
        return self.leakage < 0.05

    @property
    def flip_fits_better(self) -> bool:
        """Whether the negated tilts explain the power much better."""
        return self.flipped_leakage < 0.5 * self.leakage and self.leakage - self.flipped_leakage > 0.02


def angular_power(volume: Volume) -> AngularPower:
    """Power by direction, from Hann windows on `xz` planes that are spread over the middle of the volume.

    The noise of a tomogram fills the measured region up to high frequencies, where directions are resolved best. So no
    signal is needed. Each ring of frequencies is normalised by itself: the filter of the reconstruction and the
    spectrum of the sample cancel.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type.
    """
    depth, rows, width = volume.shape
    if min(depth, width) < _THINNEST:
        return AngularPower(np.zeros(0), np.zeros(0))
    nz, nx = min(depth, _WINDOW), min(width, max(min(depth, _WINDOW), _WINDOW // 2))
    z0 = (depth - nz) // 2
    y = np.unique(np.linspace(0, rows - 1, min(rows, _ROWS) + 2).astype(int)[1:-1])
    window = np.outer(np.hanning(nz + 2)[1:-1], np.hanning(nx + 2)[1:-1]).astype(np.float32)
    total = np.zeros((2 * nz, nx + 1))
    for x0 in np.unique(np.linspace(0, width - nx, max(1, min(6, round(1.5 * width / nx)))).astype(int)):
        planes = np.stack([volume[z0 : z0 + nz, row, x0 : x0 + nx] for row in y])
        planes = require_finite(planes, "the volume")
        planes = planes - (planes * window).sum((1, 2), keepdims=True) / window.sum()
        power = (np.abs(rfft2(planes * window, s=(2 * nz, 2 * nx))) ** 2).sum(0, dtype=np.float64)
        total += power / max(float(power.sum()), np.finfo(np.float32).tiny)  # each block has the same weight
    kz, kx = np.fft.fftfreq(2 * nz)[:, None], np.fft.rfftfreq(2 * nx)[None]
    known = kx > 2 / nx
    angle = np.rad2deg(np.arctan2(kz, np.maximum(kx, 1e-9)))
    bins = np.clip(angle + 90, 0, 179).astype(int)
    ring = np.digitize(np.hypot(kz, kx), _RINGS)
    power, count = np.zeros(180), np.zeros(180)
    for number in range(1, len(_RINGS)):
        here = known & (ring == number)
        middle = total[here & (np.abs(angle) < 45) & (np.abs(angle) > _CENTRE)]
        if middle.size and middle.mean() > 0:
            power += np.bincount(bins[here], total[here] / middle.mean(), 180)
            count += np.bincount(bins[here], minlength=180)
    centres = np.arange(180) - 89.5
    used = (count > 0) & (np.abs(centres) > _CENTRE)
    return AngularPower(centres[used], power[used] / count[used])


def estimate_tilt_range(volume: Volume) -> tuple[float, float] | None:
    """Extreme tilts that were measured, in degrees, accurate to about 2; None if no missing wedge is visible.

    The power by direction is fitted with a parabola between two edges and a constant outside of them, for all pairs
    of edges between 15 and 85 degrees.
    """
    return range_of(angular_power(volume))


def range_of(profile: AngularPower) -> tuple[float, float] | None:
    """The tilt range that a power by direction suggests; see `estimate_tilt_range`."""
    angles, power = profile.angles, np.minimum(profile.power, 2.0)
    if len(angles) < 30:
        return None
    terms = (angles[:, None] / 60) ** np.arange(3)
    products = _sums(terms[:, :, None] * terms[:, None, :])
    values, squares, sums = _sums(terms * power[:, None]), _sums(power**2), _sums(power)
    edges = np.append(angles - 0.5, angles[-1] + 0.5)
    best = (np.inf, 0.0, 0.0)
    for i in np.flatnonzero((edges >= -85) & (edges <= -15)):
        for j in np.flatnonzero((edges >= 15) & (edges <= 85)):
            outside = len(angles) - (j - i)
            if outside < 8:
                continue
            fitted = values[j] - values[i]
            misfit = -fitted @ np.linalg.solve(products[j] - products[i], fitted)
            misfit += squares[-1] - (sums[-1] - sums[j] + sums[i]) ** 2 / outside
            best = min(best, (float(misfit), float(edges[i]), float(edges[j])))
    low, high = best[1] + 1, best[2] - 1  # the power of the last tilt extends by half a step
    return (low, high) if profile.outside(low, high) < 0.5 * profile.inside(low, high) else None


def wedge_agreement(profile: AngularPower, tilt_min: float, tilt_max: float) -> WedgeAgreement:
    """Compare the power by direction of a tomogram with the tilt range that is claimed for it."""
    return WedgeAgreement(
        profile.outside(tilt_min, tilt_max) / profile.inside(tilt_min, tilt_max),
        profile.outside(-tilt_max, -tilt_min) / profile.inside(-tilt_max, -tilt_min),
    )


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


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative sums along the first axis, with a leading zero."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
