"""Another sampling of a volume: in real space by cubic convolution, or by cropping or padding its spectrum.

Both work axis by axis, and the faces of the box stay where they are: voxel `i` of `n` lies at `(i + 1/2) / n` of the
axis, so that the centre `(n - 1) / 2` stays the centre. In real space a volume ends at its faces; in Fourier space it
is periodic.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from cryowae.errors import TomogramError

LARGEST = 2.0
"""Largest factor by which a voxel size is changed: beyond it, molecules would have sizes unknown to the network."""

_DENOMINATORS = 8


def resample(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Resample a volume by cubic convolution, with a low-pass where the sampling gets coarser.

    Parameters
    ----------
    volume
        `(..., z, y, x)`.
    shape
        New `(z, y, x)`.

    Returns
    -------
    resampled
        `(..., *shape)`.
    """
    for axis, n in zip((-3, -2, -1), shape, strict=True):
        if volume.shape[axis] != n:
            matrix = _matrix(volume.shape[axis], n, volume.device).to(volume.dtype)
            volume = torch.movedim(torch.movedim(volume, axis, -1) @ matrix.T, -1, axis)
    return volume


def fourier_resample(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """Resample a periodic volume by cropping or padding its spectrum; exact for frequencies in both samplings.

    Parameters
    ----------
    volume
        `(..., z, y, x)` real.
    shape
        New `(z, y, x)`.

    Returns
    -------
    resampled
        `(..., *shape)`; densities keep their values, not their sums.
    """
    result = volume if volume.dtype in (torch.float32, torch.float64) else volume.float()
    for axis, m in zip((-3, -2, -1), shape, strict=True):
        if result.shape[axis] != m:
            result = _resample_axis(result, axis, m)
    return result.to(volume.dtype)


def resampling_ratio(voxel_size: float, known: tuple[float, float]) -> Fraction:
    """Voxels after resampling over voxels before, so that the voxel size is in the model's range; 1 if it is already.

    Parameters
    ----------
    voxel_size
        Angstrom.
    known
        Smallest and largest voxel size that the model was trained on.

    Returns
    -------
    ratio
        The fraction with a denominator of at most 8 that is nearest to 1.

    Raises
    ------
    TomogramError
        If the voxel size would have to change by more than a factor of 2.
    """
    low, high = known
    slack = 1 + 1e-3  # headers have rounded values
    if low / slack <= voxel_size <= high * slack:
        return Fraction(1)
    candidates = {Fraction(p, q) for q in range(1, _DENOMINATORS + 1) for p in range(1, 2 * q + 1)}
    fitting = [r for r in candidates if low / slack <= voxel_size / r <= high * slack and r >= 1 / LARGEST]
    if not fitting:
        raise TomogramError(
            f"got a voxel size of {voxel_size:g} Å, expected {low / LARGEST:g} to {high * LARGEST:g} Å: the model "
            f"knows {low:g} to {high:g} Å, and resampling by more than {LARGEST:g} gives molecules sizes that it was "
            "not trained on; give the true size with --voxel-size if the header is wrong, bin the tomogram, or name "
            "other weights with --model"
        )
    return min(fitting, key=lambda r: (max(r, 1 / r), r.denominator))


def _matrix(n: int, m: int, device: torch.device) -> Tensor:
    """`(m, n)`: each row holds the weights of the `n` old samples in one of the `m` new ones.

    The kernel is that of Keys (1981, IEEE Trans. Acoust. 29, 1153) with a = -1/2, widened by `n / m` where the new
    sampling is coarser.
    """
    width = max(n / m, 1.0)
    old = torch.arange(n, dtype=torch.float64, device=device)
    new = (torch.arange(m, dtype=torch.float64, device=device) + 0.5) * (n / m) - 0.5
    x = ((new[:, None] - old) / width).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(dim=1, keepdim=True)


def _resample_axis(volume: Tensor, axis: int, m: int) -> Tensor:
    n = volume.shape[axis]
    kept = min(n, m) // 2 + 1
    spectrum = torch.fft.rfft(volume, dim=axis).narrow(axis, 0, kept)
    cycles = torch.arange(kept, device=volume.device, dtype=volume.dtype)
    gain = torch.polar(torch.full_like(cycles, m / n), torch.pi * cycles * (1 / m - 1 / n))
    if min(n, m) % 2 == 0:
        # the Nyquist component holds both signs: it is split when the spectrum grows and joined when it shrinks
        gain[-1] *= 0.5 if m > n else 2.0
    column = [1] * volume.ndim
    column[axis] = kept
    resampled: Tensor = torch.fft.irfft(spectrum * gain.view(column), n=m, dim=axis)
    return resampled
