"""Masks on the half spectrum: evaluated so that they are Hermitian, and kept within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from itertools import combinations
from threading import Lock

import torch
from torch import Tensor

from cryowae.fourier.grids import frequency_grid


def hermitian_mask(
    value: Callable[[Tensor, Tensor, Tensor], Tensor],
    shape: tuple[int, int, int],
    device: torch.device,
    rows: slice = slice(None),
) -> Tensor:
    """Evaluate a function of the frequency on the half spectrum of a volume.

    At even sizes a Nyquist frequency stands for both its signs, between which the function may differ. The least of
    its values is taken: then the mask at `k` and at `-k` is the same, as it must be for real volumes.

    Parameters
    ----------
    value
        Function of `kz, ky, kx` in cycles per voxel, broadcastable, with `value(-k) = value(k)`.
    shape
        `(z, y, x)` of the real volume.
    device
        Where to evaluate.
    rows
        Which ky are wanted.

    Returns
    -------
    mask
        `(z, rows, x // 2 + 1)` float32, unshifted rfft layout.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    kz, ky, kx = frequency_grid(shape, device, dtype)
    grid = [kz, ky[:, rows], kx]
    mask = value(grid[0], grid[1], grid[2]).contiguous()
    for axes in _subsets([axis for axis in range(3) if shape[axis] % 2 == 0]):
        # where all of these axes are at Nyquist, with their signs turned
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


class MaskCache:
    """The masks that were used last, up to a number of bytes over all; one above half of it is not kept.

    Parameters
    ----------
    limit
        Bytes, on all devices together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._masks: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(mask.nbytes for mask in self._masks.values())

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The mask of a key, made if it is not there."""
        with self._lock:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key]
        with torch.inference_mode(False):  # or what is kept could never be used in training
            mask = make()
        if mask.nbytes <= self.limit // 2:
            with self._lock:
                self._masks[key] = mask
                while self.nbytes > self.limit:
                    self._masks.popitem(last=False)
        return mask


def _subsets(axes: list[int]) -> Iterator[tuple[int, ...]]:
    for count in range(1, len(axes) + 1):
        yield from combinations(axes, count)
