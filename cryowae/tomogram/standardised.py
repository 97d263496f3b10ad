"""The scale of the network: units of the standard deviation about the mean, protein bright."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.tomogram.content import Content
from cryowae.tomogram.volumes import Region


class Standardised:
    """A region of a volume in units of the standard deviation about the mean, protein bright: the network's input.

    Padding is 0, the mean.

    Parameters
    ----------
    content
        `(z, y, x)`, with its mean and standard deviation.
    sign
        -1 where protein is dark.
    region
        Part of the volume; all of it if not given.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, content: Content, sign: int, region: Region | None = None) -> None:
        self.content, self.sign = content, sign
        self.mean, self.scale = np.float32(content.statistics.mean), np.float32(sign * content.statistics.sigma)
        z, y, x = content.shape
        self.region: Region = region or (slice(0, z), slice(0, y), slice(0, x))

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.region
        return z.stop - z.start, y.stop - y.start, x.stop - x.start

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        block: NDArray[np.float32] = (self.content[self._moved(key)] - self.mean) / self.scale
        return block

    def read(self, key: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A block as it is in the volume, and where it is content; see `Content.read`."""
        return self.content.read(self._moved(key))

    def part(self, region: Region) -> Standardised:
        """A region of the whole volume, with the same scale."""
        return Standardised(self.content, self.sign, region)

    def undo(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse: values on the volume's own scale."""
        values: NDArray[np.float32] = block * self.scale + self.mean
        return values

    def _moved(self, key: Any) -> tuple[slice, ...]:
        """The place in the whole volume of a key: one slice along z or several slices, without steps."""
        keys = key if isinstance(key, tuple) else (key,)
        return tuple(
            slice(part.start + k.indices(n)[0], part.start + k.indices(n)[1])
            for part, n, k in zip(self.region, self.shape, (*keys, *[slice(None)] * (3 - len(keys))), strict=True)
        )
