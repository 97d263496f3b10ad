"""The content of a volume: its voxels without the padding, which never decides anything."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.tomogram.padding import HALO, find_padding
from cryowae.tomogram.statistics import ContentSample, Statistics, statistics_of
from cryowae.tomogram.volumes import MeanOf, Region, Volume


class Content:
    """A volume whose padding is replaced by the mean of its content, float32; it slices like an array.

    A step from the padding to the content would dominate every spectrum and filter. With the mean in its place there
    is none.

    Parameters
    ----------
    volume
        `(z, y, x)`. In the mean of two volumes, what is padding in one of them is padding.
    where
        Name of the volume in error messages.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, volume: Volume, where: str = "the volume") -> None:
        self.volume, self.where = volume, where

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    @cached_property
    def sample(self) -> ContentSample:
        """A sample of the content; raises `TomogramError` if it has NaN or infinite values."""
        return ContentSample.of(self.volume, self.where)

    @cached_property
    def statistics(self) -> Statistics:
        """Robust mean and standard deviation; raises `TomogramError` if the content is constant."""
        return statistics_of(self.sample, self.volume, self.where)

    @property
    def box(self) -> Region:
        """Region outside of which there is only padding."""
        return self.sample.box

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        values, inside = self.read(key)
        return values if inside.all() else np.where(inside, values, np.float32(self.statistics.mean))

    def read(self, key: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A block as it is in the volume, float32, and where it is content.

        Parameters
        ----------
        key
            Integers and slices with positive steps.
        """
        keys = key if isinstance(key, tuple) else (key,)
        wide, cut = [], []
        for one, n in zip((*keys, *[slice(None)] * (3 - len(keys))), self.shape, strict=True):
            if not isinstance(one, slice):
                one = slice(int(one) % n, int(one) % n + 1)  # an integer, which drops the axis
                single = True
            else:
                single = False
            start, stop, step = one.indices(n)
            low, high = max(0, start - HALO), min(n, max(start, stop) + HALO)
            wide.append(slice(low, high))
            cut.append(start - low if single else slice(start - low, max(start, stop) - low, step))
        block = np.asarray(self.volume[tuple(wide)])
        parts = (self.volume.first, self.volume.second) if isinstance(self.volume, MeanOf) else ()
        padding = find_padding(block, self.sample.step)
        for part in parts:
            padding |= find_padding(np.asarray(part[tuple(wide)]), 0.0)
        inner = tuple(cut)
        return np.asarray(block[inner], np.float32), ~padding[inner]


class OnContent:
    """Another volume, such as a result, with the padding of a tomogram replaced by the mean of its content."""

    dtype = np.dtype(np.float32)

    def __init__(self, volume: Volume, content: Content) -> None:
        self.volume, self.content = volume, content

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        inside = self.content.read(key)[1]
        values = np.asarray(self.volume[key], np.float32)
        return values if inside.all() else np.where(inside, values, np.float32(self.content.statistics.mean))


def content_of(volume: Volume | Content, where: str = "the volume") -> Content:
    """The content of a volume; a `Content` is returned unchanged."""
    return volume if isinstance(volume, Content) else Content(volume, where)


def central_block(volume: Volume | Content, longest: int = 192) -> NDArray[np.float32]:
    """The block in the middle of the content, float32, at most `longest` voxels along each axis; without padding."""
    content = content_of(volume)
    return content[middle_of(content.box, longest)]


def middle_of(box: Region, longest: int) -> Region:
    """The middle of a region, at most `longest` voxels along each axis."""
    sizes = [min(one.stop - one.start, longest) for one in box]
    z, y, x = (
        slice(one.start + (one.stop - one.start - size) // 2, one.start + (one.stop - one.start + size) // 2)
        for one, size in zip(box, sizes, strict=True)
    )
    return z, y, x
