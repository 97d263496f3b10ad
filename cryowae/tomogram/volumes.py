"""Volumes of any size: objects that slice like an array, and views that compute only the blocks that are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.fourier.grids import axis_slabs

Region = tuple[slice, slice, slice]
"""`(z, y, x)` slices with a start and a stop inside the volume, and no step."""

_SLAB_VOXELS = 2**23


class Volume(Protocol):
    """An object with a shape and a type whose slices are blocks: an array, a mapped file, a Zarr array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class MeanOf:
    """The mean of two volumes of one shape, float32, computed block by block."""

    dtype = np.dtype(np.float32)

    def __init__(self, first: Volume, second: Volume) -> None:
        self.first, self.second = first, second

    @property
    def shape(self) -> tuple[int, ...]:
        return self.first.shape

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        first = np.asarray(self.first[key], dtype=np.float32)
        mean: NDArray[np.float32] = (first + np.asarray(self.second[key], dtype=np.float32)) * np.float32(0.5)
        return mean


class Standardised:
    """A region of a volume in units of the standard deviation about the mean, protein bright: the network's input.

    Parameters
    ----------
    volume
        `(z, y, x)`.
    mean, sigma
        Mean and standard deviation of the whole volume.
    sign
        -1 where protein is dark.
    region
        Part of the volume; all of it if not given.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, volume: Volume, mean: float, sigma: float, sign: int, region: Region | None = None) -> None:
        self.volume, self.mean, self.sigma, self.sign = volume, np.float32(mean), sigma, sign
        self.scale = np.float32(sign * sigma)
        z, y, x = volume.shape
        self.region: Region = region or (slice(0, z), slice(0, y), slice(0, x))

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.region
        return z.stop - z.start, y.stop - y.start, x.stop - x.start

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        block: NDArray[np.float32] = (self.raw(key) - self.mean) / self.scale
        return block

    def raw(self, key: Any) -> NDArray[np.float32]:
        """A block on the volume's own scale; `key` is one slice along z or several slices, without steps."""
        keys = key if isinstance(key, tuple) else (key,)
        moved = [
            slice(part.start + k.indices(n)[0], part.start + k.indices(n)[1])
            for part, n, k in zip(self.region, self.shape, (*keys, *[slice(None)] * (3 - len(keys))), strict=True)
        ]
        return np.asarray(self.volume[tuple(moved)], dtype=np.float32)

    def part(self, region: Region) -> Standardised:
        """A region of the whole volume, with the same scale."""
        return Standardised(self.volume, float(self.mean), self.sigma, self.sign, region)

    def undo(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse: values on the volume's own scale."""
        values: NDArray[np.float32] = block * self.scale + self.mean
        return values


def slabs(shape: tuple[int, ...]) -> list[slice]:
    """Slices along z of bounded size that together cover the volume."""
    return axis_slabs(shape[0], _SLAB_VOXELS // (shape[1] * shape[2]))


def require_content(volume: Volume, path: str | Path) -> None:
    """Read a volume once, and refuse it if it cannot be restored.

    Raises
    ------
    TomogramError
        If a voxel is not a finite number, or all voxels have the same value.
    """
    bad, first, low, high = 0, None, np.inf, -np.inf
    for part in slabs(volume.shape):
        block = np.asarray(volume[part])
        least, most = float(block.min()), float(block.max())
        if np.isfinite(least) and np.isfinite(most):
            low, high = min(low, least), max(high, most)
            continue
        wrong = ~np.isfinite(block)
        bad += int(wrong.sum())
        if first is None:
            z, y, x = np.unravel_index(int(wrong.argmax()), wrong.shape)
            first = (int(x), int(y), int(z) + part.start)
    if first is not None:
        raise TomogramError(
            f"{path} has {bad} voxel{'s' * (bad > 1)} of NaN or infinity, the first at (x, y, z) = {first}: expected "
            "numbers; reconstruct it again, or replace them, for example by the mean"
        )
    if low == high:
        raise TomogramError(
            f"{path} is constant ({low:g} everywhere); expected a reconstruction: is it the right file?"
        )


def central_block(volume: Volume, longest: int = 192) -> NDArray[np.float32]:
    """The central block of a volume, float32, at most `longest` voxels along each axis."""
    cut = tuple(slice(max(0, (n - longest) // 2), max(0, (n - longest) // 2) + min(n, longest)) for n in volume.shape)
    return np.asarray(volume[cut], dtype=np.float32)
