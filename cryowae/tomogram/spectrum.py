"""Power of the measured components of a tomogram by Fourier shell, and the part of it that is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.fourier.grids import Device, hermitian_weights
from cryowae.fourier.shells import CrossSums, cross_sums, shell_edges, shell_sums
from cryowae.fourier.wedge import Wedge

SHELLS = 32
"""Fourier shells from 0 to 0.5 cycles per voxel; frequencies beyond, in the corners, belong to the last."""

CENTRES: NDArray[np.float64] = (np.arange(SHELLS) + 0.5) / (2 * SHELLS)
"""`(32,)` frequencies in the middle of the shells, cycles per voxel."""

_EDGES = shell_edges(0.5 / SHELLS)
_EDGES[-1] *= 1 + 2**-23  # the next float32: the last shell includes 0.5 cycles per voxel
_FAR_ALONG_Y = 0.35  # cycles per voxel
_RING = (0.3, 0.5)


@dataclass(frozen=True)
class ShellPower:
    """Sums over the measured components of each shell.

    Attributes
    ----------
    power, noise
        `(32,)` power of the volume, and of its noise.
    count
        `(32,)` number of components.
    """

    power: NDArray[np.float64]
    noise: NDArray[np.float64]
    count: NDArray[np.float64]

    @property
    def snr(self) -> NDArray[np.float64]:
        """`(32,)` spectral signal-to-noise ratio `P / N - 1`; 0 in empty shells."""
        return np.divide(self.power, self.noise, out=np.ones_like(self.power), where=self.noise > 0) - 1


def shell_power(observed: NDArray[Any], wedge: Wedge) -> ShellPower:
    """Power of an observation and of its noise by shell, from a single volume.

    The noise of a tilt series passes the detector and interpolation along y, and the filter of the reconstruction in
    the plane of z and x, so that its power is a product, `n(kz, kx) m(ky)`. `n` is measured where `|ky|` is at least
    0.35 cycles per voxel, and `m` where the radius in the plane of kz and kx is 0.3 to 0.5: there is hardly any signal
    there. The signal that remains counts as noise.

    Parameters
    ----------
    observed
        `(z, y, x)`, a block of the observation.
    wedge
        The measured region.
    """
    measured, distance = _measured(observed.shape, wedge), shell_distance(observed.shape)
    power = windowed_spectrum(observed).abs().square()
    values = (measured * power, measured * _noise(power, observed.shape, wedge), measured)
    return ShellPower(*(shell_sums(value, distance, _EDGES).numpy() for value in values))


def half_power(half1: NDArray[Any], half2: NDArray[Any], wedge: Wedge) -> ShellPower:
    """Power of the mean of two halves and of its noise, from their difference.

    Its ratio `snr` is `2 F / (1 - F)`, with the Fourier shell correlation F of the halves if they have equal power
    (Rosenthal and Henderson 2003, J. Mol. Biol. 333, 721).

    Parameters
    ----------
    half1, half2, wedge
        As in `half_spectra`.
    """
    sums = half_spectra(half1, half2, wedge)
    both = sums.power_a + sums.power_b
    return ShellPower((both + 2 * sums.cross) / 4, (both - 2 * sums.cross) / 4, sums.count)


def half_spectra(half1: NDArray[Any], half2: NDArray[Any], wedge: Wedge) -> CrossSums:
    """Powers of two halves and their cross term over the measured components of each of the 32 shells.

    Parameters
    ----------
    half1, half2
        `(z, y, x)`, the same block of both halves.
    wedge
        The measured region.
    """
    weight, distance = _measured(half1.shape, wedge), shell_distance(half1.shape)
    return cross_sums(windowed_spectrum(half1), windowed_spectrum(half2), weight, distance, _EDGES)


def windowed_spectrum(volume: NDArray[Any]) -> Tensor:
    """`(z, y, x // 2 + 1)` transform of a volume without its mean, under a Hann window along every axis."""
    # a Hann window on every axis: without it, the faces of the block leak into all shells
    block = torch.from_numpy(np.array(volume, dtype=np.float32))
    block = block - block.mean()
    for axis, n in enumerate(block.shape):
        window = torch.hann_window(n + 2, periodic=False)[1:-1]
        block = block * window.reshape([-1 if a == axis else 1 for a in range(3)])
    spectrum: Tensor = torch.fft.rfftn(block)
    return spectrum


def shell_distance(shape: tuple[int, ...], rows: slice = slice(None), device: Device = "cpu") -> Tensor:
    """`(z, y, x // 2 + 1)` distance from zero frequency in cycles per voxel, in some rows of ky."""
    # Frequencies are computed in float32, and not rounded to float32 as in fourier.grids. Otherwise a few components
    # on the border of two shells would move to the other shell, and results would differ from those of version 0.3.
    kz, ky = (torch.fft.fftfreq(n, device=device) for n in shape[:2])
    kx = torch.fft.rfftfreq(shape[2], device=device)
    radius: Tensor = (kz[:, None, None].square() + ky[rows, None].square() + kx.square()).sqrt()
    return radius


def _measured(shape: tuple[int, ...], wedge: Wedge) -> Tensor:
    """Weight of each component: 0 if not measured, otherwise 1, or 2 if it also represents its conjugate."""
    return wedge.mask(shape) * hermitian_weights(shape[2])


def _noise(power: Tensor, shape: tuple[int, ...], wedge: Wedge) -> Tensor:
    """Power of the noise, `n(kz, kx) m(ky)`, from the components without signal."""
    nz, ny, nx = shape
    far = torch.fft.fftfreq(ny).abs() >= _FAR_ALONG_Y
    radius = (torch.fft.fftfreq(nz)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
    ring = (wedge.mask_plane((nz, nx)) > 0.5) & (radius >= _RING[0]) & (radius < _RING[1])
    if not far.any() or not ring.any():  # a volume of one or two voxels is all noise
        return power
    along = power.permute(1, 0, 2)[:, ring].mean(1)
    plane = power[:, far].mean(1) / along[far].mean().clamp(min=torch.finfo(power.dtype).tiny)
    noise: Tensor = plane[:, None] * along[:, None]
    return noise
