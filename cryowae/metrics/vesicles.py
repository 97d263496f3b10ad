"""What becomes of membranes: a vesicle's shell, and the two caps of it that only the missing wedge sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.metrics.regions import Range, as_wedge, inside
from cryowae.metrics.voxels import Array, as_numpy, as_pair, ncc

EROSION = 8.0
"""Degrees by which a normal must lie off all measured directions to be in a cap: what is curved spreads its power."""

FEWEST = 60
"""Voxels below which nothing is said of a shell or its caps."""


@dataclass(frozen=True)
class Vesicle:
    """How like the truth a spherical membrane is.

    Attributes
    ----------
    shell
        Pearson correlation of the voxels about the whole membrane.
    caps
        The same of the patches whose normal lies in the missing wedge: no projection saw them edge on, which is the
        only way to see a membrane. NaN, as `shell`, where fewer than 60 voxels are in the volume.
    """

    shell: float
    caps: float


def vesicle_correlation(
    truth: Array,
    volume: Array,
    centre: tuple[float, float, float],
    radius: float,
    wedge: Range,
    *,
    width: float = 4.0,
) -> Vesicle:
    """Correlation with the truth in the shell of a spherical vesicle.

    A patch of membrane with the normal `n` has its power along `n` in Fourier space: `n` is asked, as if it were a
    frequency, whether it lies in the wedge.

    Parameters
    ----------
    truth, volume
        `(z, y, x)`.
    centre
        `(z, y, x)` in voxels.
    radius
        Of the middle of the membrane, in voxels.
    wedge
        What was measured, or its extreme tilts in degrees.
    width
        The shell holds what is nearer than this to the middle of the membrane, in voxels: both leaflets and a rim.

    Raises
    ------
    TomogramError
        If the shapes differ or a value is not finite.
    """
    as_pair(truth, volume)
    g, v = as_numpy(truth), as_numpy(volume)
    starts = [max(int(np.floor(c - radius - width)), 0) for c in centre]
    stops = [min(int(np.ceil(c + radius + width)) + 1, n) for c, n in zip(centre, g.shape, strict=True)]
    if any(stop <= start for start, stop in zip(starts, stops, strict=True)):
        return Vesicle(float("nan"), float("nan"))
    z, y, x = (torch.arange(a, b, dtype=torch.float64) - c for a, b, c in zip(starts, stops, centre, strict=True))
    z, y, x = z[:, None, None], y[:, None], x
    distance = (z * z + y * y + x * x).sqrt()
    shell = (distance - radius).abs() <= width
    normal = tuple(axis / distance.clamp(min=1e-6) for axis in (z, y, x))
    facing = inside("missing", as_wedge(wedge), (normal[0], normal[1], normal[2]), float(np.sin(np.deg2rad(EROSION))))
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    return Vesicle(*(_correlation(g[box], v[box], where.numpy()) for where in (shell, shell & facing)))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    if where.sum() < FEWEST:
        return float("nan")
    return ncc(a[where][None, None], b[where][None, None])
