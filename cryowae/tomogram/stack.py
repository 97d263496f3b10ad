"""Volumes as one array with a leading axis, of which only the blocks that are asked for are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cryowae.tomogram.volumes import Volume


class StackOf:
    """Volumes `(z, y, x)` of one shape as an array `(n, z, y, x)`. Nothing is copied or read before it is asked for.

    The blocks of mapped files come from the disk, so that the memory does not grow with the number of volumes.

    Parameters
    ----------
    volumes
        At least one.

    Raises
    ------
    ValueError
        If there is no volume, or their shapes differ.
    """

    def __init__(self, volumes: Sequence[Volume]) -> None:
        if len({tuple(volume.shape) for volume in volumes}) != 1:
            raise ValueError("expected one or more volumes of one shape")
        self.volumes = tuple(volumes)
        self.shape = (len(self.volumes), *map(int, self.volumes[0].shape))
        self.dtype = np.result_type(*(volume.dtype for volume in self.volumes))
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        first, *rest = self._complete(key)
        numbers = np.arange(len(self))[first]  # refuses what an array would refuse
        if numbers.ndim == 0:
            return np.asarray(self.volumes[int(numbers)][tuple(rest)], self.dtype)
        blocks = [np.asarray(self.volumes[number][tuple(rest)], self.dtype) for number in numbers]
        return np.stack(blocks) if blocks else np.zeros((0, *self.volumes[0][tuple(rest)].shape), self.dtype)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _complete(self, key: Any) -> tuple[Any, ...]:
        """One index for each axis, an ellipsis filled in."""
        keys = key if isinstance(key, tuple) else (key,)
        at = next((i for i, one in enumerate(keys) if one is Ellipsis), len(keys))
        before, after = keys[:at], keys[at + 1 :]
        return (*before, *(slice(None),) * (self.ndim - len(before) - len(after)), *after)
