"""Invented structure: blobs in the output of a method for pure noise and for empty scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cryowae.errors import TomogramError
from cryowae.metrics.voxels import Array, as_numpy


@dataclass(frozen=True)
class Invented:
    """Structure in a volume that should have none.

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


def invented(volume: Array, contrast: float, *, crop: int = 12, smallest: int = 30) -> Invented:
    """Count blobs that look like particles: connected voxels above half a particle's contrast.

    Parameters
    ----------
    volume
        `(z, y, x)` output of a method for noise alone.
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
