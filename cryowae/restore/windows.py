"""The positions of the windows that together cover a volume.

A strided network is equivariant to shifts by its stride only, so origins and lengths of windows are multiples of the
stride. The outermost `margin` voxels of every window are discarded, except at the border of the volume. The remaining
overlap is blended linearly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import ConfigError

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class WindowPlan:
    """The positions of the windows.

    Attributes
    ----------
    shape
        `(z, y, x)` of the volume.
    window
        `(z, y, x)` of every window, multiples of `stride`.
    margin
        Voxels that are discarded at each inner face of a window, per axis.
    starts
        Origins along z, y and x, multiples of `stride`; the windows are their product, z slowest.
    """

    shape: Shape
    stride: int
    window: Shape
    margin: Shape
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def __len__(self) -> int:
        return prod(len(s) for s in self.starts)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Indices of the windows along z, y and x."""
        z, y, x = (range(len(s)) for s in self.starts)
        yield from product(z, y, x)

    @property
    def network_voxels_per_voxel(self) -> float:
        """Voxels that go through the network, per voxel of the volume: the cost of windows and padding."""
        return len(self) * prod(self.window) / prod(self.shape)

    def weights(self, axis: int) -> list[NDArray[np.float32]]:
        """Blending weights of the windows along one axis, each as long as the window. At each voxel they sum to 1."""
        w, m, starts = self.window[axis], self.margin[axis], self.starts[axis]
        length = starts[-1] + w
        rows = np.zeros((len(starts), length))
        for i, s in enumerate(starts):
            x = np.arange(s, s + w, dtype=np.float64) + 0.5
            rise = np.ones(w) if i == 0 else _ramp(x, s + m, starts[i - 1] + w - m)
            fall = np.ones(w) if i == len(starts) - 1 else 1 - _ramp(x, starts[i + 1] + m, s + w - m)
            rows[i, s : s + w] = np.minimum(rise, fall)
        rows /= rows.sum(axis=0)
        return [row[s : s + w].astype(np.float32) for row, s in zip(rows, starts, strict=True)]


@dataclass(frozen=True)
class Tiling:
    """Requirements on the windows.

    Attributes
    ----------
    stride
        Total stride of the network, voxels.
    margin
        Voxels that are discarded at the inner faces of a window; neighbours overlap by `2 * margin + stride`. Lowered
        in steps of the stride if the budget allows no such windows.
    max_voxels
        Largest number of voxels in a window.
    window
        Length of the windows in voxels, one for all axes or one per axis; has priority over `max_voxels`. Rounded up to
        the stride, never longer than the padded axis. Windows that are too short for the margin overlap by half.
    overlap
        Least overlap of neighbouring windows in voxels; has priority over `margin`, which becomes half of
        `overlap - stride`.
    """

    stride: int = 8
    margin: int = 24
    max_voxels: int = 2**24
    window: int | Shape | None = None
    overlap: int | None = None


def plan_windows(shape: Shape, tiling: Tiling) -> WindowPlan:
    """The cheapest windows that fit into a budget.

    An axis with a single window needs no margin. Thin tomograms are therefore cut along y and x only.

    Parameters
    ----------
    shape
        `(z, y, x)` of the volume.
    tiling
        Requirements on the windows.

    Raises
    ------
    ConfigError
        For lengths that are not positive, or an overlap that is not shorter than the window.
    """
    stride, window, overlap = tiling.stride, tiling.window, tiling.overlap
    if stride < 1 or tiling.margin < 0 or min(shape) < 1:
        raise ConfigError(f"got shape {shape}, stride {stride}, margin {tiling.margin}: expected positive lengths")
    if overlap is not None and overlap < 0:
        raise ConfigError(f"got an overlap of {overlap} voxels: expected 0 or more")
    padded = tuple(_round_up(n, stride) for n in shape)
    if window is None:
        choice = _cheapest(padded, tiling)
    else:
        lengths = (window,) * 3 if isinstance(window, int) else tuple(window)
        if len(lengths) != 3 or min(lengths) < 1:
            raise ConfigError(f"got windows of {window} voxels: expected one or three positive lengths")
        choice = [_axis(p, min(p, _round_up(w, stride)), tiling) for p, w in zip(padded, lengths, strict=True)]
    z, y, x = choice
    return WindowPlan(
        shape, stride, (z.window, y.window, x.window), (z.margin, y.margin, x.margin), (z.starts, y.starts, x.starts)
    )


@dataclass(frozen=True)
class _Axis:
    window: int
    margin: int
    starts: tuple[int, ...]


def _axis(padded: int, window: int, tiling: Tiling) -> _Axis:
    stride, margin, overlap = tiling.stride, tiling.margin, tiling.overlap
    if window >= padded:
        return _Axis(padded, 0, (0,))
    shared = min(2 * margin + stride, window // 2 // stride * stride) if overlap is None else overlap
    if shared > window - stride:
        raise ConfigError(
            f"got an overlap of {shared} voxels for windows of {window}: "
            f"expected at most {window - stride}; lower --overlap or raise --window"
        )
    step = (window - shared) // stride
    units = (padded - window) // stride
    count = -(-units // step) + 1
    starts = tuple(stride * (i * units // (count - 1)) for i in range(count))
    return _Axis(window, max(shared - stride, 0) // 2, starts)


def _axis_options(padded: int, tiling: Tiling) -> list[_Axis]:
    # for each number of windows only the shortest windows are of interest
    stride, shared = tiling.stride, tiling.overlap
    if shared is None:
        shared = 2 * tiling.margin + stride
    shortest = max(2 * stride, _round_up(shared + stride, stride))
    best: dict[int, _Axis] = {1: _Axis(padded, 0, (0,))}
    for window in range(min(padded - stride, 2048 // stride * stride), shortest - 1, -stride):
        option = _axis(padded, window, replace(tiling, overlap=shared))
        best[len(option.starts)] = option
    return list(best.values())


def _cheapest(padded: Sequence[int], tiling: Tiling) -> list[_Axis]:
    options = [_axis_options(p, tiling) for p in padded]
    sizes = [np.array([o.window for o in axis], dtype=float) for axis in options]
    costs = [np.array([o.window * len(o.starts) for o in axis], dtype=float) for axis in options]
    size = sizes[0][:, None, None] * sizes[1][:, None] * sizes[2]
    cost = costs[0][:, None, None] * costs[1][:, None] * costs[2]
    cost = np.where(size <= tiling.max_voxels, cost, np.inf)
    if not np.isinf(cost).all():  # the smallest of the windows that are within one percent of the cheapest
        best = np.argmin(np.where(cost <= 1.01 * cost.min(), size, np.inf))
    elif tiling.margin > 0 and tiling.overlap is None:
        return _cheapest(padded, replace(tiling, margin=max(tiling.margin - tiling.stride, 0)))
    else:
        best = np.argmin(size)
    return [axis[int(i)] for axis, i in zip(options, np.unravel_index(best, size.shape), strict=True)]


def _ramp(x: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.clip((x - low) / (high - low), 0, 1) if high > low else (x > low).astype(float)
    return result


def _round_up(n: int, stride: int) -> int:
    return -(-n // stride) * stride
