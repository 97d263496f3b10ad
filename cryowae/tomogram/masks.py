"""Masks: volumes of values from 0 to 1, however they are stored."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.tomogram.volumes import Volume, slabs

_OVERSHOOT = 0.1  # beyond 0 and 1: masks that were resampled with splines
_SIGNED = (-128.0, -127.0)  # 0 and 1 in the signed bytes of IMOD


class InclusionMask:
    """A mask on the scale from 0 to 1, float32; it slices like an array. All of it is read once, on construction.

    Parameters
    ----------
    volume
        `(z, y, x)`. Values from 0 to 1, or two values alone, such as 0 and 255: then the larger one stands for 1.
    where
        Name of the mask in messages.

    Attributes
    ----------
    note
        What was changed, for the user; empty if nothing was.

    Raises
    ------
    TomogramError
        If a value is not finite, no value is above 0, or the values are neither from 0 to 1 nor two.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, volume: Volume, where: str = "the mask") -> None:
        self.volume, self.where = volume, where
        self.low, self.high, two = _values(volume, where)
        inside = self.low >= -_OVERSHOOT and self.high <= 1 + _OVERSHOOT
        self.scaled = two and not inside and (self.high > 0 or (self.low, self.high) == _SIGNED)
        got = f"{where} has values from {self.low:g} to {self.high:g}"
        if self.high <= 0 and not self.scaled:
            raise TomogramError(f"{got}; expected a mask of 0 to 1, with 1 where the volume is to be restored")
        if not inside and not self.scaled:
            raise TomogramError(f"{got}; expected a mask of 0 to 1, or of two values: divide it by its maximum")
        self.note = ""
        if self.scaled:
            self.note = f"{where} has the values {self.low:g} and {self.high:g} alone: they are taken as 0 and 1"
        elif self.low < 0 or self.high > 1:
            self.note = f"{got}: they are clipped to 0 and 1"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    @cached_property
    def _scale(self) -> tuple[np.float32, np.float32]:
        if self.scaled:
            return np.float32(self.low), np.float32(self.high - self.low)
        return np.float32(0), np.float32(1)

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        low, span = self._scale
        return np.asarray(np.clip((np.asarray(self.volume[key], np.float32) - low) / span, 0, 1), np.float32)


def mask_of(volume: Volume | InclusionMask, where: str = "the mask") -> InclusionMask:
    """A mask on the scale from 0 to 1; an `InclusionMask` is returned unchanged."""
    return volume if isinstance(volume, InclusionMask) else InclusionMask(volume, where)


def _values(volume: Volume, where: str) -> tuple[float, float, bool]:
    """Least and largest value, and whether there are just these two."""
    low, high, two = np.inf, -np.inf, True
    seen: set[float] = set()
    for part in slabs(volume.shape):
        block = np.asarray(volume[part])
        if not np.isfinite(block).all():
            raise TomogramError(f"{where} has NaN or infinite values; expected a mask of 0 to 1")
        least, most = float(block.min()), float(block.max())
        low, high = min(low, least), max(high, most)
        two = two and bool(((block == block.min()) | (block == block.max())).all())
        seen |= {least, most}
        two = two and len(seen) <= 2
    return low, high, two and low < high
