"""Grids of frequencies for the Fourier transforms of real volumes.

The layout is always that of `rfftn`: unshifted, half spectrum along x, so `(z, y, x // 2 + 1)` for a `(z, y, x)`
volume. Frequencies are in cycles per voxel along every axis, so that a direction in Fourier space is the same in
boxes that are not cubes. At even sizes the Nyquist frequency is -0.5 along z and y, +0.5 along x.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Device = torch.device | str

SLAB = 2**22
"""Components that are processed at a time when a whole spectrum is reduced to a few numbers."""


def frequency_grid(
    shape: Sequence[int], device: Device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies along each axis, shaped so that they broadcast.

    Parameters
    ----------
    shape
        `(z, y, x)` of the real volume, in voxels.
    device, dtype
        Of the result.

    Returns
    -------
    kz, ky, kx
        `(z, 1, 1)`, `(1, y, 1)` and `(1, 1, x // 2 + 1)`, in cycles per voxel.
    """
    z, y, x = shape
    # computed in float64 on the CPU, so that every device and precision gets the same numbers
    kz, ky, kx = (
        torch.fft.fftfreq(z, dtype=torch.float64).view(-1, 1, 1),
        torch.fft.fftfreq(y, dtype=torch.float64).view(1, -1, 1),
        torch.fft.rfftfreq(x, dtype=torch.float64).view(1, 1, -1),
    )
    return kz.to(dtype).to(device), ky.to(dtype).to(device), kx.to(dtype).to(device)


def radius(shape: Sequence[int], device: Device = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """`(z, y, x // 2 + 1)` distance from zero frequency, in cycles per voxel."""
    kz, ky, kx = frequency_grid(shape, device, dtype)
    return (kz * kz + ky * ky + kx * kx).sqrt()


def hermitian_weights(x: int, device: Device = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """`(x // 2 + 1,)`: how many components of the full spectrum each component of the half spectrum represents: 1 or 2.

    Parameters
    ----------
    x
        Voxels of the real volume along x.
    device, dtype
        Of the result.
    """
    weights = torch.full((x // 2 + 1,), 2.0, dtype=dtype)
    weights[0] = 1
    if x % 2 == 0:
        weights[-1] = 1
    return weights.to(device)


def z_slabs(shape: Sequence[int], components: int = SLAB) -> list[slice]:
    """Slices along z that divide the half spectrum of a `(z, y, x)` volume into parts of about `components` each."""
    z, y, x = shape
    return axis_slabs(z, components // (y * (x // 2 + 1)))


def axis_slabs(n: int, thickness: int) -> list[slice]:
    """Slices of `thickness`, at least 1, that divide an axis of `n` voxels; the last one may be thinner."""
    step = max(1, thickness)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
