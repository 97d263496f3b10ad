"""The two regions of Fourier space, measured and missing, and the spectra of two volumes in them.

Volumes are multiplied by a Hann window along every axis, and the missing wedge is eroded, since the window smears
measured components over the border of the wedge. Without window and erosion an empty wedge scores .15 to .33.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cryowae.fourier.grids import frequency_grid
from cryowae.fourier.wedge import Wedge
from cryowae.metrics.voxels import Array, as_tensor

Range = Wedge | tuple[float, float]
Region = Literal["all", "measured", "missing"]

EROSION = 2.5
"""Distance of missing components from every measured direction, in frequency steps of the shortest axis."""

_EXACT = 2**24  # voxels up to which Fourier transforms are made in float64


@dataclass(frozen=True, eq=False)
class Spectra:
    """Two volumes under a Hann window.

    Attributes
    ----------
    shape
        `(z, y, x)` of the volumes.
    first, second
        `(z, y, x // 2 + 1)` their transforms, in rfft layout.
    wedge
        The measured region; None if there are no regions.
    """

    shape: tuple[int, int, int]
    first: Tensor
    second: Tensor
    wedge: Wedge | None

    @classmethod
    def of(cls, a: Tensor, b: Tensor, wedge: Range | None) -> Spectra:
        """Transform two volumes `(z, y, x)` of one shape; the mean under the window is subtracted first."""
        z, y, x = a.shape
        return cls((z, y, x), _spectrum(a), _spectrum(b), None if wedge is None else as_wedge(wedge))

    def grid(self) -> tuple[Tensor, Tensor, Tensor]:
        """Frequencies `kz, ky, kx` that broadcast, in cycles per voxel."""
        device = self.first.device
        return frequency_grid(self.shape, device, torch.float32 if device.type == "mps" else torch.float64)

    def inside(self, region: Region, rows: slice = slice(None)) -> Tensor:
        """`(rows, y, x // 2 + 1)` bool: which components belong to a region."""
        kz, ky, kx = self.grid()
        return inside(region, self.wedge, (kz[rows], ky, kx), EROSION / min(self.shape))

    def parts(self, region: Region) -> tuple[Tensor, Tensor]:
        """`(z, y, x)` each: both volumes with the components of a region alone."""
        mask = self.inside(region)
        first, second = (torch.fft.irfftn(q * mask, s=self.shape) for q in (self.first, self.second))
        return first, second


def inside(region: Region, wedge: Wedge | None, k: tuple[Tensor, Tensor, Tensor], far: float) -> Tensor:
    """Which components belong to a region.

    Parameters
    ----------
    region
        `missing` components are farther than `far` from every measured direction. Components that are nearer and not
        measured belong to neither region.
    wedge
        Soft edges and single tilts count by their range.
    k
        `kz, ky, kx` that broadcast.
    far
        Distance from the planes of the extreme tilts, in the unit of the frequencies.
    """
    shape = torch.broadcast_shapes(*(q.shape for q in k))
    if wedge is None or region == "all":
        return torch.ones(shape, dtype=torch.bool, device=k[0].device)
    if region == "missing":
        return wedge.missing(*k, (far, far)).expand(shape)
    return (Wedge(wedge.tilt_min, wedge.tilt_max, rotation=wedge.rotation).value(*k) > 0.5).expand(shape)


def as_wedge(wedge: Range) -> Wedge:
    """The wedge itself, or the wedge of two extreme tilts."""
    return wedge if isinstance(wedge, Wedge) else Wedge.binary(*wedge)


def empty_wedge(truth: Array, wedge: Range) -> Array:
    """The truth with its missing wedge emptied: the result of a perfect method that fills nothing.

    Parameters
    ----------
    truth
        `(z, y, x)`, before cropping; boundaries are periodic.
    wedge
        The measured region; soft edges and single tilts count by their range.

    Returns
    -------
    emptied
        The same shape and kind of array, in floating point.
    """
    full = as_wedge(wedge)
    sharp = Wedge(full.tilt_min, full.tilt_max, rotation=full.rotation)
    emptied = sharp.apply(as_tensor(truth))
    return emptied if isinstance(truth, Tensor) else emptied.numpy()


def _spectrum(volume: Tensor) -> Tensor:
    exact = volume.numel() <= _EXACT and volume.device.type != "mps"
    data = volume.to(torch.float64 if exact else torch.float32)
    windows = [torch.hann_window(n + 2, periodic=False, dtype=data.dtype, device=data.device)[1:-1] for n in data.shape]
    mean = torch.einsum("zyx,z,y,x->", data, *windows) / torch.stack([w.sum() for w in windows]).prod()
    data = (data - mean) * windows[0][:, None, None] * windows[1][:, None] * windows[2]
    spectrum: Tensor = torch.fft.rfftn(data)
    return spectrum
