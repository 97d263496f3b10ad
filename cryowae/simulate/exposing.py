"""The images of a tilt series, step by step: projections, the microscope, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.scene import ImagingConfig
from cryowae.imaging.microscope import filter_image, shift_factor, tilt_transfers
from cryowae.imaging.projection import TiltGeometry, project
from cryowae.progress import SILENT, Progress
from cryowae.tomogram import Tomogram

_SLAB_VOXELS = 2**24  # of the volume that is projected at a time
_MATRIX_VOXELS = 2**20  # columns of the projection matrix, times tilts, that are made at a time


def project_tomogram(
    tomogram: Tomogram, angles: Sequence[float], level: float = 0.0, progress: Progress = SILENT
) -> Tensor:
    """Projections of an opened volume, a few tilts and rows at a time: neither matrix nor volume need fit in memory.

    Parameters
    ----------
    tomogram
        The volume.
    angles
        Degrees, ascending, two at least.
    level
        Subtracted from the volume.
    progress
        Told of every part.

    Returns
    -------
    series
        `(tilts, y, x)` float32, see `cryowae.imaging.projection.project`.
    """
    depth, rows, width = tomogram.shape
    groups = np.array_split(np.arange(len(angles)), max(1, len(angles) // max(2, _MATRIX_VOXELS // (depth * width))))
    step = max(1, _SLAB_VOXELS // (depth * width))
    series = torch.empty(len(angles), rows, width)
    progress.begin("projection", len(angles) * rows, "rows")
    for group in groups:
        part = slice(int(group[0]), int(group[-1]) + 1)
        geometry = TiltGeometry(tuple(angles[part]), depth, width)
        for start in range(0, rows, step):
            slab = torch.from_numpy(tomogram.read(slice(None), slice(start, start + step), slice(None)))
            series[part, start : start + step] = project(slab - level, geometry)
            progress.advance(len(group) * slab.shape[1])
    progress.end()
    return series


def expose(
    series: Tensor,
    imaging: ImagingConfig,
    angles: Sequence[float],
    voxel_size: float,
    defocus: Sequence[float] | None = None,
    shifts: NDArray[np.float64] | None = None,
    progress: Progress = SILENT,
) -> None:
    """Shift projections and multiply them by the transfer of the microscope, in place.

    Parameters
    ----------
    series
        `(tilts, y, x)` float32.
    imaging, angles, voxel_size, defocus
        See `cryowae.imaging.microscope.transfer`.
    shifts
        `(tilts, 2)` pixels along y and x by which the specimen moves on the detector.
    progress
        Told of every tilt.
    """
    shape = (series.shape[1], series.shape[2])
    factors = tilt_transfers(imaging, angles, shape, voxel_size, defocus=defocus)
    progress.begin("microscope", len(angles), "tilts")
    for tilt in range(len(angles)):
        factor = next(factors, None)
        if shifts is not None:
            shift = shift_factor((float(shifts[tilt, 0]), float(shifts[tilt, 1])), shape)
            factor = shift if factor is None else shift * factor
        if factor is not None:
            series[tilt] = filter_image(series[tilt], factor)
        progress.advance()
    progress.end()


def add_noise(series: Tensor, imaging: ImagingConfig, angles: Sequence[float], generator: torch.Generator) -> None:
    """Add white Gaussian noise in place, of `1 / imaging.snr` times the variance of the whole `(tilts, y, x)` series.

    That of a tilt `t` is multiplied by `cos(t) ** -growth`, relative to the mean.
    """
    sigma = float(series.std()) / math.sqrt(imaging.snr)
    for image, growth in zip(series, _growth(imaging, angles), strict=True):
        image += sigma * math.sqrt(growth) * torch.randn(image.shape, generator=generator)


def count_electrons(
    series: Tensor, imaging: ImagingConfig, angles: Sequence[float], voxel_size: float, generator: torch.Generator
) -> tuple[float, float]:
    """Replace noise-free images by counts of electrons, in place.

    The expected count is `N (1 + c s)` for a pixel of value `s`, where `N` is `imaging.dose` times the pixel's area,
    and `c` such that the variance of the expected counts over all pixels and tilts is `imaging.snr` times that of the
    counts in the solvent, `N`. A tilt `t` gets `cos(t) ** growth` of the electrons, relative to the harmonic mean.

    Returns
    -------
    electrons, cut
        `N`, and the share of pixels whose expected count would have been negative and was set to 0.
    """
    electrons = imaging.dose * voxel_size**2
    contrast = math.sqrt(imaging.snr / electrons) / float(series.std())
    cut = 0
    for image, growth in zip(series, _growth(imaging, angles), strict=True):
        expected = electrons / growth * (1 + contrast * image)
        cut += int((expected < 0).sum())
        image.copy_(torch.poisson(expected.clamp(min=0), generator=generator))
    return electrons, cut / series.numel()


def _growth(imaging: ImagingConfig, angles: Sequence[float]) -> list[float]:
    """Relative variance of the noise of each tilt, 1 on average."""
    power = np.cos(np.radians(angles)) ** -imaging.growth
    return [float(value) for value in power / power.mean()]
