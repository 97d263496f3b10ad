"""Masks on the half spectrum: they are Hermitian, and the last ones are kept in a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import combinations

import torch
from cachetools import LRUCache
from torch import Tensor

from cryowae.fourier.grids import frequency_grid


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
    """A cache for the masks that were used last.

    Parameters
    ----------
    limit
        Bytes of all masks on all devices together. A mask of more than half of that is never kept.
    """
    # the cache does not keep a mask that counts more than the limit
    return LRUCache(limit, getsizeof=lambda mask: mask.nbytes if mask.nbytes <= limit // 2 else limit + 1)
