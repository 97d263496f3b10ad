"""How the images of a tilt series come about: projections, the transfer of the microscope, noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.scene import ImagingConfig
from cryowae.fourier.grids import axis_slabs
from cryowae.imaging.microscope import filter_image, shift_factor, tilt_transfers
from cryowae.imaging.projection import TiltGeometry, project
from cryowae.progress import SILENT, Progress
from cryowae.tomogram import Tomogram

_SLAB_VOXELS = 2**24  # of the volume that is projected at a time
_MATRIX_VOXELS = 2**20  # columns of the projection matrix, times tilts, that are made at a time


@dataclass(frozen=True)
class Acquisition:
    """A microscope and the tilts at which it records images.

    Attributes
    ----------
    imaging
        The microscope; its `tilts` are not used.
    angles
        Tilts in degrees, ascending.
    voxel_size
        Angstrom.
    defocus
        Micrometres, positive under focus, one for each tilt; replaces that of `imaging`. None to use that.
    """

    imaging: ImagingConfig
    angles: tuple[float, ...]
    voxel_size: float
    defocus: Sequence[float] | None = None

    def require_possible(self) -> None:
        """Raise `ConfigError` if the microscope is impossible: for a check before the work."""
        next(self._transfers((2, 2)), None)

    def expose(self, series: Tensor, shifts: NDArray[np.float64] | None = None, progress: Progress = SILENT) -> None:
        """Shift projections and multiply them by the transfer of the microscope, in place.

        Parameters
        ----------
        series
            `(tilts, y, x)` float32.
        shifts
            `(tilts, 2)` pixels along y and x by which the specimen moves on the detector.
        progress
            Informed of every tilt.
        """
        shape = (series.shape[1], series.shape[2])
        moves = () if shifts is None else (shift_factor((float(y), float(x)), shape) for y, x in shifts)
        images = progress.track("microscope", series.unbind(), "tilts")
        for image, transfer, move in zip_longest(images, self._transfers(shape), moves):
            factor = transfer if move is None else move if transfer is None else move * transfer
            if factor is not None:
                image.copy_(filter_image(image, factor))

    def add_noise(self, series: Tensor, generator: torch.Generator) -> None:
        """Add white Gaussian noise in place, of `1 / snr` times the variance of the whole `(tilts, y, x)` series.

        The variance of the noise at a tilt `t` is multiplied by `cos(t) ** -growth`, relative to the mean.
        """
        sigma = float(series.std()) / math.sqrt(self.imaging.snr)
        for image, growth in zip(series, self._growth(), strict=True):
            image += sigma * math.sqrt(growth) * torch.randn(image.shape, generator=generator)

    def count_electrons(self, series: Tensor, generator: torch.Generator) -> tuple[float, float]:
        """Replace noise-free images by counts of electrons, in place.

        The expected count is `N (1 + c s)` for a pixel of value `s`, where `N` is `dose` times the area of the pixel,
        and `c` such that the variance of the expected counts over all pixels and tilts is `snr` times that of the
        counts in the solvent, `N`. A tilt `t` gets `cos(t) ** growth` of the electrons, relative to the harmonic mean.

        Returns
        -------
        electrons, cut
            `N`, and the share of pixels whose expected count would have been negative and was set to 0.
        """
        electrons = self.imaging.dose * self.voxel_size**2
        contrast = math.sqrt(self.imaging.snr / electrons) / float(series.std())
        cut = 0
        for image, growth in zip(series, self._growth(), strict=True):
            expected = electrons / growth * (1 + contrast * image)
            cut += int((expected < 0).sum())
            image.copy_(torch.poisson(expected.clamp(min=0), generator=generator))
        return electrons, cut / series.numel()

    def _transfers(self, shape: tuple[int, int]) -> Iterator[Tensor]:
        return tilt_transfers(self.imaging, self.angles, shape, self.voxel_size, defocus=self.defocus)

    def _growth(self) -> list[float]:
        """Relative variance of the noise of each tilt, 1 on average."""
        power = np.cos(np.radians(self.angles)) ** -self.imaging.growth
        return [float(value) for value in power / power.mean()]


def project_tomogram(
    tomogram: Tomogram, angles: Sequence[float], level: float = 0.0, progress: Progress = SILENT
) -> Tensor:
    """Projections of an opened volume, a few tilts and rows at a time: neither matrix nor volume must fit into memory.

    Parameters
    ----------
    tomogram
        The volume.
    angles
        Degrees, ascending, at least two.
    level
        Subtracted from the volume.
    progress
        Informed of every group of tilts.

    Returns
    -------
    series
        `(tilts, y, x)` float32, see `cryowae.imaging.projection.project`.
    """
    depth, rows, width = tomogram.shape
    groups = np.array_split(np.arange(len(angles)), max(1, len(angles) // max(2, _MATRIX_VOXELS // (depth * width))))
    series = torch.empty(len(angles), rows, width)
    for group in progress.track("projection", groups, "groups of tilts"):
        part = slice(int(group[0]), int(group[-1]) + 1)
        geometry = TiltGeometry(tuple(angles[part]), depth, width)
        for y in axis_slabs(rows, _SLAB_VOXELS // (depth * width)):
            slab = torch.from_numpy(tomogram.read(slice(None), y, slice(None)))
            series[part, y] = project(slab - level, geometry)
    return series
