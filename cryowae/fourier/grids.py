"""Fourier space of real volumes: grids, shells, spectra, soft low-pass, resampling.

The layout is always that of `rfftn`: unshifted, half spectrum along x, so `(z, y, x // 2 + 1)` for a `(z, y, x)`
volume. Frequencies are in cycles per voxel along every axis, whatever the shape: a direction in Fourier space is the
same direction in boxes that are not cubes. At even sizes the Nyquist frequency is -0.5 along z and y, +0.5 along x.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Device = torch.device | str

SLAB = 2**22
"""Components that are worked on at a time where a whole spectrum is reduced to a few numbers."""


def frequency_grid(
    shape: Sequence[int], device: Device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies along each axis, ready to broadcast.

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
    # made in float64 on the CPU, so that every device and precision sees the same numbers
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
    """`(x // 2 + 1,)`: how many components of the whole spectrum each one of the half spectrum stands for, 1 or 2."""
    weights = torch.full((x // 2 + 1,), 2.0, dtype=dtype)
    weights[0] = 1
    if x % 2 == 0:
        weights[-1] = 1
    return weights.to(device)


def z_slabs(shape: Sequence[int], components: int = SLAB) -> Iterator[slice]:
    """Slices along z that part a half spectrum into pieces of about `components` components."""
    z, y, x = shape
    thick = max(1, components // (y * (x // 2 + 1)))
    for start in range(0, z, thick):
        yield slice(start, min(start + thick, z))


def shell_edges(width: float, stop: float = 0.5) -> Tensor:
    """`(shells + 1,)` float64 from 0 in steps of `width`, the last at or below `stop`, in cycles per voxel."""
    return torch.arange(int(stop / width + 1e-9) + 1, dtype=torch.float64) * width


def shell_sums(values: Tensor, distance: Tensor, edges: Tensor) -> Tensor:
    """Sum values over shells.

    Parameters
    ----------
    values
        `(z, y, x // 2 + 1)` real, or what broadcasts to it.
    distance
        `(z, y, x // 2 + 1)` as `radius` gives it.
    edges
        `(shells + 1,)` increasing; shell `i` holds `edges[i] <= distance < edges[i + 1]`. What lies in none is left
        out.

    Returns
    -------
    sums
        `(shells,)` float64, on the CPU.
    """
    shells = len(edges) - 1
    total = torch.zeros(shells + 2, dtype=torch.float64)
    limits = edges.to(distance)
    spread = values.expand(distance.shape)
    rows = max(1, SLAB // max(1, distance[0].numel()))
    for part, here in zip(spread.split(rows), distance.split(rows), strict=True):
        shell = torch.bucketize(here, limits, right=True).flatten()
        # MPS has no float64; the sums of one slab are small enough there
        weights = part.flatten() if part.device.type == "mps" else part.flatten().double()
        total += torch.bincount(shell, weights=weights, minlength=shells + 2).double().cpu()
    return total[1 : shells + 1]


def shell_means(values: Tensor, distance: Tensor, edges: Tensor) -> Tensor:
    """Mean of values over shells, as `shell_sums` takes them; `(shells,)` float64, NaN for empty shells."""
    return shell_sums(values, distance, edges) / shell_sums(values.new_ones(()), distance, edges)


def power_spectrum(volume: Tensor, width: float = 0.0) -> tuple[Tensor, Tensor]:
    """Radially averaged power spectrum.

    Parameters
    ----------
    volume
        `(z, y, x)` real.
    width
        Of the shells, in cycles per voxel; one frequency step of the longest axis if not given.

    Returns
    -------
    frequency, power
        `(shells,)` float64: middles of the shells up to 0.5 cycles per voxel, and the mean of `|F|^2` over each,
        divided by the number of voxels: white noise of unit variance has power 1.
    """
    shape = volume.shape
    edges = shell_edges(width or 1 / max(shape))
    power = torch.fft.rfftn(_floating(volume)).abs().square() / volume.numel()
    twice = hermitian_weights(shape[-1], power.device, power.dtype).expand(power.shape)
    distance = radius(shape, power.device)
    mean = shell_sums(power * twice, distance, edges) / shell_sums(twice, distance, edges)
    return (edges[1:] + edges[:-1]) / 2, mean


def wedge_spectrum(volume: Tensor) -> Tensor:
    """Power over kz and kx, the plane in which the missing wedge is seen.

    Parameters
    ----------
    volume
        `(z, y, x)` real.

    Returns
    -------
    power
        `(z, x)`, mean over ky of `|F|^2` per voxel, *shifted* for drawing: zero frequency at `n // 2`. By Parseval's
        theorem the mean over ky is the mean over rows y of two-dimensional spectra.
    """
    z, y, x = volume.shape
    power = volume.new_zeros(z, x, dtype=torch.float32)
    for rows in _floating(volume).split(max(1, SLAB // (z * x)), dim=1):
        power += torch.fft.fftn(rows, dim=(0, 2)).abs().square().sum(1)
    shifted: Tensor = torch.fft.fftshift(power / (z * y * x))
    return shifted


def low_pass(volume: Tensor, cutoff: float, edge: float = 0.05) -> Tensor:
    """Isotropic low-pass without ringing.

    Parameters
    ----------
    volume
        `(..., z, y, x)` real.
    cutoff
        Frequency of half amplitude, in cycles per voxel.
    edge
        Width of the raised cosine about it, in cycles per voxel; 0 for a sharp one.

    Returns
    -------
    filtered
        The same shape.
    """
    distance = radius(volume.shape[-3:], volume.device)
    fall = ((distance - cutoff) / max(edge, 1e-12)).clamp(-0.5, 0.5)
    gain = 0.5 - 0.5 * torch.sin(torch.pi * fall)
    spectrum = torch.fft.rfftn(_floating(volume), dim=(-3, -2, -1)) * gain
    filtered: Tensor = torch.fft.irfftn(spectrum, s=tuple(volume.shape[-3:]), dim=(-3, -2, -1))
    return filtered.to(volume.dtype)


def fourier_resample(volume: Tensor, to: float | Sequence[int]) -> Tensor:
    """Resample a periodic volume by cropping or padding its spectrum.

    The faces of the box stay where they are: voxel `i` of `n` lies at `(i + 1/2) / n` of the axis, so the centre
    `(n - 1) / 2` stays the centre. Exact for what both samplings can hold.

    Parameters
    ----------
    volume
        `(..., z, y, x)` real.
    to
        New `(z, y, x)`, or the factor by which the number of voxels along each axis grows (2 halves the voxel size).

    Returns
    -------
    resampled
        `(..., *shape)`; densities keep their values, not their sums.
    """
    old = volume.shape[-3:]
    new = tuple(max(1, round(n * to)) for n in old) if isinstance(to, (int, float)) else tuple(to)
    result = _floating(volume)
    for axis, m in zip((-3, -2, -1), new, strict=True):
        if result.shape[axis] != m:
            result = _resample_axis(result, axis, m)
    return result.to(volume.dtype)


def _resample_axis(volume: Tensor, axis: int, m: int) -> Tensor:
    n = volume.shape[axis]
    kept = min(n, m) // 2 + 1
    spectrum = torch.fft.rfft(volume, dim=axis).narrow(axis, 0, kept)
    cycles = torch.arange(kept, device=volume.device, dtype=volume.dtype)
    gain = torch.polar(torch.full_like(cycles, m / n), torch.pi * cycles * (1 / m - 1 / n))
    if min(n, m) % 2 == 0:
        # the Nyquist frequency stands for both its signs: in two when it gets room, in one when it loses it
        gain[-1] *= 0.5 if m > n else 2.0
    column = [1] * volume.ndim
    column[axis] = kept
    resampled: Tensor = torch.fft.irfft(spectrum * gain.view(column), n=m, dim=axis)
    return resampled


def _floating(volume: Tensor) -> Tensor:
    return volume if volume.dtype in (torch.float32, torch.float64) else volume.float()
