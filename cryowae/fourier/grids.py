"""Grids of frequencies for the Fourier transforms of real volumes, and masks on them.

The layout is always that of `rfftn`: unshifted, half spectrum along x, so `(z, y, x // 2 + 1)` for a `(z, y, x)`
volume. Frequencies are in cycles per voxel along every axis, so that a direction in Fourier space is the same in
boxes that are not cubes. At even sizes the Nyquist frequency is -0.5 along z and y, +0.5 along x.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import combinations

import torch
from cachetools import LRUCache
from torch import Tensor

Device = torch.device | str

SLAB = 2**22
"""Components that are processed at once when a whole spectrum is reduced to a few numbers."""


def frequency_grid(
    shape: Sequence[int], device: Device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies along each axis, shaped so that they broadcast.

    Parameters
    ----------
    shape
        `(z, y, x)` of the real volume, in voxels.
    device, dtype
        Device and type of the result.

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
    """`(x // 2 + 1,)`: number of components of the full spectrum (1 or 2) for each component of the half spectrum.

    Parameters
    ----------
    x
        Voxels of the real volume along x.
    device, dtype
        Device and type of the result.
    """
    weights = torch.full((x // 2 + 1,), 2.0, dtype=dtype)
    weights[0] = 1
    if x % 2 == 0:
        weights[-1] = 1
    return weights.to(device)


def hermitian_mask(
    value: Callable[[Tensor, Tensor, Tensor], Tensor],
    shape: tuple[int, int, int],
    device: torch.device,
    rows: slice = slice(None),
) -> Tensor:
    """Evaluate a function of the frequency on the half spectrum of a volume.

    At even sizes the Nyquist component represents both signs of its frequency, for which the function may differ. The
    smallest of the values is taken: then the mask at `k` and at `-k` is the same, as it must be for real volumes.

    Parameters
    ----------
    value
        Function of `kz, ky, kx` in cycles per voxel, broadcastable, with `value(-k) = value(k)`.
    shape
        `(z, y, x)` of the real volume.
    device
        Where to evaluate.
    rows
        The ky to evaluate.

    Returns
    -------
    mask
        `(z, rows, x // 2 + 1)` float32, unshifted rfft layout.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    kz, ky, kx = frequency_grid(shape, device, dtype)
    grid = [kz, ky[:, rows], kx]
    mask = value(grid[0], grid[1], grid[2]).contiguous()
    even = [axis for axis in range(3) if shape[axis] % 2 == 0]
    for axes in (some for count in range(1, len(even) + 1) for some in combinations(even, count)):
        # the components at which all of these axes are at Nyquist, with the signs of these frequencies changed
        at = [slice(None)] * 3
        turned = list(grid)
        for axis in axes:
            where = (grid[axis].flatten().abs() == 0.5).nonzero().flatten().tolist()
            at[axis] = slice(where[0], where[0] + 1) if where else slice(0, 0)
            turned[axis] = -grid[axis].narrow(axis, at[axis].start, len(where))
        here = mask[at[0], at[1], at[2]]
        if here.numel():
            torch.minimum(here, value(turned[0], turned[1], turned[2]), out=here)
    return mask


def mask_cache(limit: int) -> LRUCache[Hashable, Tensor]:
    """A cache for the masks that were used most recently.

    Parameters
    ----------
    limit
        Bytes of all masks on all devices together. A mask of more than half of that is never kept.
    """
    # the cache does not keep a mask that counts more than the limit
    return LRUCache(limit, getsizeof=lambda mask: mask.nbytes if mask.nbytes <= limit // 2 else limit + 1)


def z_slabs(shape: Sequence[int], components: int = SLAB) -> list[slice]:
    """Slices along z that divide the half spectrum of a `(z, y, x)` volume into parts of about `components` each."""
    z, y, x = shape
    return axis_slabs(z, components // (y * (x // 2 + 1)))


def axis_slabs(n: int, thickness: int) -> list[slice]:
    """Slices of `thickness`, at least 1, that divide an axis of `n` voxels; the last one may be thinner."""
    step = max(1, thickness)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
