"""Padding: voxels that have one constant value in place of data, as in rotated corners, margins and blank sections.

No reconstruction is constant over 5 x 5 voxels: noise is everywhere. So padding is found by its flatness, whatever its
value is. It is found in any block by itself, so that the whole volume is never in memory.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALO = 6
"""Voxels around a block that decide about the padding in it."""

_EDGE = 5  # voxels along the edges of a flat square
_TIPS = HALO - (_EDGE - 1)  # voxels by which squares grow among equal values, into corners
_FLAT = 1e-3  # of the usual step between neighbours: padding that was filtered or resampled is not exactly constant

Mask = NDArray[np.bool_]


def find_padding(block: NDArray[Any], tolerance: float = 0.0) -> Mask:
    """Where a block is padding.

    A voxel is padding if it lies in a flat square of 5 x 5 voxels in the plane of any two axes, or if it has the value
    of such a square at most 2 voxels away. Squares in planes find single blank sections, rows and columns too.

    Parameters
    ----------
    block
        `(z, y, x)` of any real type. Voxels nearer than `HALO` to a cut face may be found differently than in the
        whole volume.
    tolerance
        Largest difference between neighbours that counts as equal, see `flat_step`.

    Returns
    -------
    padding
        `(z, y, x)`.
    """
    found = np.zeros(block.shape, bool)
    equal = [_equal(block, axis, tolerance) for axis in range(3)]
    for first, second in combinations(range(3), 2):
        if min(block.shape[first], block.shape[second]) < _EDGE:
            continue
        rows = _all_of(equal[second], _EDGE - 1, second)
        if not rows.any():
            continue
        corner = _all_of(rows, _EDGE, first)
        if corner.any():
            corner &= _all_of(equal[first], _EDGE - 1, first)[_part(second, 0, corner.shape[second])]
            found |= _any_of(_any_of(corner, _EDGE, first), _EDGE, second)
    if found.any() and not found.all():
        for _ in range(_TIPS):
            _grow(found, equal)
    return found


def flat_step(block: NDArray[Any]) -> float:
    """The largest difference between neighbours in padding: 0 for integers, little for floating-point values."""
    if not np.issubdtype(block.dtype, np.floating) or block.shape[-1] < 2:
        return 0.0
    steps = np.abs(np.diff(np.asarray(block, np.float32), axis=-1)).ravel()
    steps = steps[(steps > 0) & np.isfinite(steps)]
    return _FLAT * float(np.quantile(steps[:: max(1, steps.size // 100_000)], 0.9)) if steps.size else 0.0


def _equal(block: NDArray[Any], axis: int, tolerance: float) -> Mask:
    """Whether a voxel and the next one along an axis are equal."""
    low, high = block[_part(axis, None, -1)], block[_part(axis, 1, None)]
    if tolerance <= 0:
        return np.asarray(low == high)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.subtract(high, low, dtype=np.float32)
    return np.asarray(np.abs(steps, out=steps) <= np.float32(tolerance))


def _all_of(mask: Mask, count: int, axis: int) -> Mask:
    """Whether `count` neighbours along an axis are all true, at the first of them."""
    size = mask.shape[axis] - count + 1
    result = mask[_part(axis, 0, size)].copy()
    for shift in range(1, count):
        result &= mask[_part(axis, shift, shift + size)]
    return result


def _any_of(mask: Mask, count: int, axis: int) -> Mask:
    """Whether one of the `count` last neighbours along an axis is true; the axis grows by `count - 1`."""
    shape, size = list(mask.shape), mask.shape[axis]
    shape[axis] += count - 1
    result = np.zeros(shape, bool)
    for shift in range(count):
        result[_part(axis, shift, shift + size)] |= mask
    return result


def _grow(found: Mask, equal: list[Mask]) -> None:
    """Add neighbours that have the same value, in place."""
    before = found.copy()
    for axis, same in enumerate(equal):
        low, high = _part(axis, None, -1), _part(axis, 1, None)
        found[high] |= before[low] & same
        found[low] |= before[high] & same


def _part(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop))
