"""What becomes of single particles: how like the truth each is, and how long along the beam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryowae.metrics.voxels import Array, as_numpy, as_pair, ncc
from cryowae.specimen.canvas import Particle

FINE = 12
"""Points on a particle's radius with which moments are taken, for what is small in voxels."""


def particle_correlations(
    truth: Array,
    volume: Array,
    labels: Array,
    particles: Sequence[Particle],
    *,
    crop: int = 12,
    margin: int = 2,
) -> dict[int, float]:
    """Correlation of each particle with the truth.

    Parameters
    ----------
    truth, volume, labels
        `(z, y, x)`; labels as `cryowae.specimen.builder.Specimen` has them.
    particles
        Those that count.
    crop
        Voxels of every face that do not.
    margin
        Radius in voxels of the ball by which a particle's voxels are dilated: its outline is half of what it is.

    Returns
    -------
    correlations
        Pearson correlation of voxels by label. A particle of which less than half lies inside the crop is left out.

    Raises
    ------
    TomogramError
        If the shapes of truth and volume differ, nothing is left after cropping, or a value is not finite.
    """
    as_pair(truth, volume, crop=crop)
    g, v, marked = as_numpy(truth), as_numpy(volume), np.maximum(as_numpy(labels), 0)
    axis = np.arange(-margin, margin + 1)
    ball = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 <= margin**2
    inner = np.zeros(g.shape, dtype=bool)
    inner[tuple(slice(crop, n - crop) for n in g.shape)] = True
    boxes = ndimage.find_objects(marked)
    found: dict[int, float] = {}
    for label in (particle.label for particle in particles):
        box = boxes[label - 1] if 0 < label <= len(boxes) else None
        if box is None:
            continue
        around = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)
        own, kept = marked[around] == label, inner[around]
        if 2 * (own & kept).sum() >= own.sum():
            near = ndimage.binary_dilation(own, ball) & kept
            found[label] = ncc(g[around][near][None, None], v[around][near][None, None])
    return found


def elongation(volume: Array, centres: Array, radius: float) -> float:
    """How much longer along the beam than across it point-like particles are, for the missing wedge.

    Boxes about the particles are averaged; half of the mean's maximum over its background (the median from 1.5 to 2
    radii) is taken away, and of what is left about the maximum the second moment along z is divided by that along x.
    An isotropic density stretched `s` times along z has `s ** 2`, whatever its profile; noise far below the maximum
    does not enter.

    Parameters
    ----------
    volume
        `(z, y, x)`, particles bright.
    centres
        `(n, 3)` positions `(z, y, x)` in voxels, of particles that are densest in the middle, and isotropic or many.
    radius
        Of a particle, in voxels. Particles whose box of 2 radii sticks out of the volume are left out.

    Returns
    -------
    elongation
        1 is isotropic; the ratio of lengths is its root. NaN where no particle is left, or the maximum is not in the
        middle (within a third of the radius, or 1.5 voxels): in noise, and of what is hollow.
    """
    data, reach = as_numpy(volume).astype(np.float64), int(np.ceil(2 * radius))
    mean, count = np.zeros((2 * reach + 1,) * 3), 0
    for centre in np.asarray(as_numpy(centres), dtype=np.float64).reshape(-1, 3):
        box = _box_about(data, centre, reach)
        if box is not None:
            mean, count = mean + box, count + 1
    if count == 0:
        return float("nan")
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


def _box_about(data: NDArray[np.float64], centre: NDArray[np.float64], reach: int) -> NDArray[np.float64] | None:
    """`(2 reach + 1,) * 3` centred on a position between voxels, by cubic convolution; None if it sticks out."""
    whole = np.floor(centre).astype(int)
    low, high = whole - reach - 1, whole + reach + 3
    if (low < 0).any() or (high > data.shape).any():
        return None
    box = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    for axis, t in enumerate(centre - whole):
        # Keys 1981, IEEE Trans. Acoust. 29, 1153
        taps = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        n = 2 * reach + 1
        box = sum((tap * box.take(range(i, i + n), axis) for i, tap in enumerate(taps)), np.zeros(()))
    return box


def _between(low: float, high: float, reach: int, finer: int) -> NDArray[np.bool_]:
    axis = np.arange(-reach * finer, reach * finer + 1) / finer
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    inside: NDArray[np.bool_] = (square >= low**2) & (square <= high**2)
    return inside


def _second_moment(profile: NDArray[np.float64]) -> float:
    at = np.arange(len(profile))
    middle = (profile * at).sum() / profile.sum()
    return float((profile * (at - middle) ** 2).sum() / profile.sum())
