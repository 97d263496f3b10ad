"""Particles and vesicles: correlation with the truth, elongation along the beam, caps in the wedge, invented blobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, radians, sin

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cryowae.errors import TomogramError
from cryowae.metrics.profiles import ncc
from cryowae.metrics.regions import Array, Range, as_numpy, as_pair, as_wedge, inside
from cryowae.specimen.canvas import Particle

FINE = 12
"""Sampling points per radius of a particle for its moments, so that small particles are sampled finely enough."""


CAP_EROSION = 8.0
"""Degrees between the normals of a cap and all measured directions, at least: curvature spreads the power."""

FEWEST_VOXELS = 60
"""Minimum number of voxels in a shell or its caps."""

_KEYS = np.array([[0, -1, 2, -1], [2, 0, -5, 3], [0, 1, 4, -3], [0, 0, -1, 1]]) / 2
"""Cubic convolution: polynomials of the four weights in the position between two voxels (Keys 1981, eq. 4)."""


def particle_correlations(
    truth: Array, volume: Array, labels: Array, particles: Sequence[Particle], *, crop: int = 12, margin: int = 2
) -> dict[int, float]:
    """Correlation of each particle with the truth.

    Parameters
    ----------
    truth, volume, labels
        `(z, y, x)`; labels as in `cryowae.specimen.builder.Specimen`.
    particles
        The particles to score.
    crop
        Voxels of every face that are not scored.
    margin
        Radius in voxels of the ball by which a particle's voxels are dilated, so that its outline counts.

    Returns
    -------
    correlations
        Pearson correlation of voxels by label. A particle is left out if less than half of it is inside the crop.

    Raises
    ------
    TomogramError
        If the shapes of truth and volume differ, nothing is left after cropping, or a value is not finite.
    """
    as_pair(truth, volume, crop=crop)
    g, v, marked = as_numpy(truth), as_numpy(volume), np.maximum(as_numpy(labels), 0)
    ball = _between(0, margin, margin, 1)
    inner = np.zeros(g.shape, dtype=bool)
    inner[tuple(slice(crop, n - crop) for n in g.shape)] = True
    boxes = dict(enumerate(ndimage.find_objects(marked), 1))
    found: dict[int, float] = {}
    for label in (particle.label for particle in particles if boxes.get(particle.label) is not None):
        around = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in boxes[label])
        own, kept = marked[around] == label, inner[around]
        if 2 * (own & kept).sum() >= own.sum():
            near = ndimage.binary_dilation(own, ball) & kept
            found[label] = ncc(g[around][near][None, None], v[around][near][None, None])
    return found


def elongation(volume: Array, centres: Array, radius: float) -> float:
    """Elongation of point-like particles along the beam, an effect of the missing wedge.

    Boxes around the particles are averaged. The background (the median from 1.5 to 2 radii) and then half of the
    maximum are subtracted. In the positive region around the maximum, the second moment along z is divided by that
    along x. An isotropic density stretched `s` times along z has `s ** 2`, whatever its profile; noise far below the
    maximum has no effect.

    Parameters
    ----------
    volume
        `(z, y, x)`, particles bright.
    centres
        `(n, 3)` positions `(z, y, x)` in voxels, of particles that are densest in the middle, and isotropic or many.
    radius
        Radius of a particle, in voxels. Particles whose box of 2 radii is not inside the volume are left out.

    Returns
    -------
    elongation
        1 is isotropic; the ratio of lengths is its square root. NaN if no particle is left, or the maximum is not in
        the middle (within a third of the radius, or 1.5 voxels), as in noise and in hollow particles.
    """
    data, reach = as_numpy(volume).astype(np.float64), int(np.ceil(2 * radius))
    where = np.asarray(as_numpy(centres), dtype=np.float64).reshape(-1, 3)
    mean = sum((_box_about(data, centre, reach) for centre in where), np.zeros((2 * reach + 1,) * 3))
    mean -= np.median(mean[_between(1.5 * radius, 2 * radius, reach, 1)])
    finer = int(np.ceil(FINE / radius))
    fine = ndimage.zoom(mean, (2 * reach * finer + 1) / (2 * reach + 1), order=3)
    peak = np.where(_between(0, radius, reach, finer), fine, -np.inf).argmax()
    top, off = fine.ravel()[peak], np.array(np.unravel_index(peak, fine.shape)) / finer - reach
    if not top > 0 or (off**2).sum() > max(radius / 3, 1.5) ** 2:
        return float("nan")
    parts, _ = ndimage.label((fine > top / 2) & _between(0, 2 * radius, reach, finer))
    weights = np.where(parts == parts.ravel()[peak], fine - top / 2, 0)
    moment_z, moment_x = (_second_moment(weights.sum(axis=others)) for others in ((1, 2), (0, 1)))
    return float(moment_z / moment_x) if moment_x > 0 else float("nan")


@dataclass(frozen=True)
class Vesicle:
    """Agreement of a spherical membrane with the truth.

    Attributes
    ----------
    shell
        Pearson correlation of the voxels around the whole membrane.
    caps
        The same for the patches whose normal is in the missing wedge: no projection shows them edge-on, the only view
        in which a membrane is visible. Both are NaN if fewer than 60 voxels are in the volume.
    """

    shell: float
    caps: float


def vesicle_correlation(
    truth: Array, volume: Array, centre: tuple[float, float, float], radius: float, wedge: Range, *, width: float = 4.0
) -> Vesicle:
    """Correlation with the truth in the shell of a spherical vesicle.

    A patch of membrane with the normal `n` has its power along `n` in Fourier space. It is in a cap if `n`, taken as a
    frequency, is in the wedge.

    Parameters
    ----------
    truth, volume
        `(z, y, x)`.
    centre
        `(z, y, x)` in voxels.
    radius
        Radius of the middle of the membrane, in voxels.
    wedge
        The measured region, or its extreme tilts in degrees.
    width
        Half of the thickness of the shell around the middle of the membrane, in voxels: both leaflets and a rim.

    Raises
    ------
    TomogramError
        If the shapes differ or a value is not finite.
    """
    as_pair(truth, volume)
    g, v = as_numpy(truth), as_numpy(volume)
    reach = radius + width
    box = tuple(slice(max(floor(c - reach), 0), max(ceil(c + reach) + 1, 0)) for c in centre)
    z, y, x = (torch.arange(n, dtype=torch.float64)[part] - c for n, part, c in zip(g.shape, box, centre, strict=True))
    z, y = z[:, None, None], y[:, None]
    distance = (z * z + y * y + x * x).sqrt()
    shell, norm = (distance - radius).abs() <= width, distance.clamp(min=1e-6)
    facing = inside("missing", as_wedge(wedge), (z / norm, y / norm, x / norm), sin(radians(CAP_EROSION)))
    return Vesicle(*(_correlation(g[box], v[box], where.numpy()) for where in (shell, shell & facing)))


def particle_contrast(volume: Array, labels: Array) -> float:
    """Contrast of a particle: the median over particles of the mean of their voxels, less the mean over ice.

    Parameters
    ----------
    volume, labels
        `(z, y, x)`, a volume with bright particles, and their labels as in `cryowae.specimen.builder.Specimen`.

    Returns
    -------
    contrast
        In the unit of the volume; NaN if there is no particle or no ice.
    """
    values, marked = as_numpy(volume).astype(np.float64), as_numpy(labels)
    if values.shape != marked.shape:
        raise TomogramError(f"got a volume of {values.shape} voxels and labels of {marked.shape}, expected one shape")
    ice = marked == 0
    own = np.unique(marked[marked > 0])
    if own.size == 0 or not ice.any():
        return float("nan")
    return float(np.median(ndimage.mean(values, marked, own)) - values[ice].mean())


@dataclass(frozen=True)
class Invented:
    """Structure in a volume that should contain only noise.

    Attributes
    ----------
    blobs
        Number of blobs. It and `voxels` are NaN if there is no contrast to compare with.
    voxels
        Volume of all blobs.
    std
        Standard deviation of the volume.
    """

    blobs: float
    voxels: float
    std: float


def invented(volume: Array, contrast: float, *, crop: int = 12, smallest: int = 30) -> Invented:
    """Count blobs that look like particles: connected voxels above half a particle's contrast.

    Parameters
    ----------
    volume
        `(z, y, x)` output of a method for noise only.
    contrast
        Contrast of a particle in the output of the same method for the same noise with particles, see
        `particle_contrast`. The threshold is the median of the volume plus half of it.
    crop
        Voxels that are cut off every face first.
    smallest
        Voxels of the smallest blob that counts. Voxels are connected if they share a face.

    Raises
    ------
    TomogramError
        If nothing is left after cropping.
    """
    values = as_numpy(volume)
    if min(values.shape) <= 2 * crop:
        raise TomogramError(f"got a volume of {values.shape} voxels, expected more than {2 * crop} along every axis")
    values = values[tuple(slice(crop, n - crop) for n in values.shape)].astype(np.float64)
    spread = float(values.std())
    if not contrast > 0:
        return Invented(float("nan"), float("nan"), spread)
    parts, _ = ndimage.label(values > np.median(values) + contrast / 2)
    sizes = np.bincount(parts.ravel())[1:]
    counted = sizes[sizes >= smallest]
    return Invented(float(len(counted)), float(counted.sum()), spread)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    if where.sum() < FEWEST_VOXELS:
        return float("nan")
    return ncc(a[where][None, None], b[where][None, None])


def _box_about(data: NDArray[np.float64], centre: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """`(2 reach + 1,) * 3` centred on a position between voxels, by cubic convolution; zeros if it is not inside."""
    whole = np.floor(centre).astype(int)
    low, high = whole - reach - 1, whole + reach + 3
    if (low < 0).any() or (high > data.shape).any():
        return np.zeros((2 * reach + 1,) * 3)
    box = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    n = 2 * reach + 1
    for axis, t in enumerate(centre - whole):
        taps = _KEYS @ (1, t, t**2, t**3)
        box = sum((tap * box.take(range(i, i + n), axis) for i, tap in enumerate(taps)), np.zeros(()))
    return box


def _between(low: float, high: float, reach: int, finer: int) -> NDArray[np.bool_]:
    axis = np.arange(-reach * finer, reach * finer + 1) / finer
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    inside: NDArray[np.bool_] = (square >= low**2) & (square <= high**2)
    return inside


def _second_moment(profile: NDArray[np.float64]) -> float:
    return float(np.cov(np.arange(len(profile)), aweights=profile, ddof=0))
