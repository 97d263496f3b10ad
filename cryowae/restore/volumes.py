"""Views of mapped volumes that compute what is asked for and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.tiling import Volume

_SLAB_VOXELS = 2**23


class MeanOf:
    """The mean of two volumes of one shape, float32, block by block."""

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
    """A volume in units of its standard deviation about its mean, protein bright: what a network is shown.

    Parameters
    ----------
    volume
        `(z, y, x)`.
    mean, sigma
        Of the volume.
    sign
        -1 where protein is dark.
    """

    def __init__(self, volume: Volume, mean: float, sigma: float, sign: int) -> None:
        self.volume, self.mean, self.scale = volume, np.float32(mean), np.float32(sign * sigma)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        block: NDArray[np.float32] = (np.asarray(self.volume[key], dtype=np.float32) - self.mean) / self.scale
        return block

    def undo(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse: values on the volume's own scale."""
        values: NDArray[np.float32] = block * self.scale + self.mean
        return values


def slabs(shape: tuple[int, ...]) -> list[slice]:
    """Slices along z of bounded size that together make the volume."""
    step = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    return [slice(z, min(z + step, shape[0])) for z in range(0, shape[0], step)]


def require_content(volume: Volume, path: Path) -> None:
    """Read a volume once and refuse it when it cannot be restored.

    Raises
    ------
    TomogramError
        If a voxel is not a finite number, or all have the same value.
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
    """The middle of a volume, at most `longest` voxels along each axis."""
    cut = tuple(slice(max(0, (n - longest) // 2), max(0, (n - longest) // 2) + min(n, longest)) for n in volume.shape)
    return np.asarray(volume[cut], dtype=np.float32)
