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


class Rescaled:
    """A volume times a factor plus an offset, float32, computed block by block."""

    dtype = np.dtype(np.float32)

    def __init__(self, volume: Volume, factor: float, offset: float) -> None:
        self.volume, self.factor, self.offset = volume, factor, offset

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        return np.asarray(np.asarray(self.volume[key], np.float64) * self.factor + self.offset, np.float32)


def slabs(shape: tuple[int, ...]) -> list[slice]:
    """Slices along z of bounded size that together cover the volume."""
    return axis_slabs(shape[0], _SLAB_VOXELS // (shape[1] * shape[2]))


def require_content(volume: Volume, path: str | Path) -> None:
    """Read a volume once, and refuse it if it cannot be restored.

    Raises
    ------
    TomogramError
        If a voxel is not a finite number, all voxels have the same value, or nothing changes along an axis.
    """
    bad, first, low, high = 0, None, np.inf, -np.inf
    repeats = _Repeats()
    for part in slabs(volume.shape):
        block = np.asarray(volume[part])
        least, most = float(block.min()), float(block.max())
        if np.isfinite(least) and np.isfinite(most):
            low, high = min(low, least), max(high, most)
            repeats.add(block)
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
    if axis := repeats.axis(volume.shape):
        raise TomogramError(
            f"{path} is the same all along {axis}: its sections are identical; expected a reconstruction: is it a "
            "repeated image?"
        )


def require_shape(volume: Volume, shape: tuple[int, ...], name: str, tomogram: str | Path) -> Volume:
    """The volume, if it has the shape of its tomogram; otherwise raises `TomogramError`."""
    if tuple(volume.shape) != shape:
        got, expected = (" x ".join(map(str, one)) for one in (volume.shape, shape))
        raise TomogramError(
            f"{name} has {got} voxels (z, y, x), expected {expected} as in {tomogram}: are they of one tomogram?"
        )
    return volume


class _Repeats:
    """Whether all sections of a volume across an axis are identical, apart from constant ones (padding)."""

    def __init__(self) -> None:
        self.same = [True, True, True]
        self.section: NDArray[Any] | None = None

    def add(self, block: NDArray[Any]) -> None:
        """Look at the next sections along z."""
        for section in block if self.same[0] else ():
            if section.min() == section.max():
                continue
            self.section = section.copy() if self.section is None else self.section
            if not np.array_equal(section, self.section):
                self.same[0] = False
                break
        for axis in (1, 2):
            if self.same[axis]:
                self.same[axis] = _repeats(block, axis)

    def axis(self, shape: tuple[int, ...]) -> str:
        """The axis along which nothing changes, or nothing."""
        found = [name for name, same, n in zip("zyx", self.same, shape, strict=True) if same and n > 1]
        return found[0] if found else ""


def _repeats(block: NDArray[Any], axis: int) -> bool:
    """Whether the planes across an axis that are not constant are identical, compared along a few sections first."""
    for part in (block[:1], block):
        planes = np.moveaxis(part, axis, 0)
        flat = planes.reshape(len(planes), -1)
        varied = flat[flat.min(1) != flat.max(1)]
        if len(varied) and not (varied == varied[:1]).all():
            return False
    return True
