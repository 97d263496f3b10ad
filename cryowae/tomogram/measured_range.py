"""The tilt range that the spectrum of a volume shows: the plane of the missing wedge, and both of its edges.

The noise of a tomogram fills the measured region up to high frequencies, where directions are resolved best. So no
signal is needed, and nothing is assumed about the order of the axes. A few blocks are read, so that a volume of any
size takes a second or two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfftn

from cryowae.tomogram.content import Content, content_of
from cryowae.tomogram.statistics import require_finite
from cryowae.tomogram.volumes import Region, Volume
from cryowae.tomogram.wedge_edges import Edge, PlanePower, find_sector, fit_edges

BLOCK = 128
"""Voxels along each edge of the blocks."""

_COUNTS = (1, 2, 3)  # blocks at most along the shortest, the middle and the longest axis
_BANDS = np.array([-0.25, 0.0, 0.25])  # cycles per voxel: their ranges of frequencies along the tilt axis are compared
_THINNEST = 16  # voxels along an axis; in thinner volumes directions cannot be resolved
_EMPTY = 0.15  # power in the wedge over that outside, below which its plane is certain,
_CLEARLY = 0.5  # if it is also less than this part of that in the other planes
_ORDERS = {(0, 1): "zyx", (1, 0): "xzy", (0, 2): "zxy"}


@dataclass(frozen=True)
class MeasuredRange:
    """The tilts that the spectrum of a volume shows.

    Attributes
    ----------
    low, high
        Lowest and highest tilt, with the sign of `kz = +tan(t) kx`; None if they cannot be told.
    beam, tilt_axis
        Axes of the array along the beam and along the tilt axis, 0 and 1 if they are in the order of this package; None
        if they cannot be told. If they have another order, the tilts are those in that plane and have no sign.
    emptiness
        Power in the wedge over that outside: about 0.02, and 1 if nothing is missing.
    """

    low: Edge | None
    high: Edge | None
    beam: int | None
    tilt_axis: int | None
    emptiness: float

    @property
    def order(self) -> str | None:
        """Order of the axes, see `cryowae.io.header`; `other` if it is none of those, None if it cannot be told."""
        if self.beam is None or self.tilt_axis is None:
            return None
        return _ORDERS.get((self.beam, self.tilt_axis), "other")

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest tilt in degrees, if both are known."""
        return None if self.low is None or self.high is None else (self.low.tilt, self.high.tilt)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "no missing wedge"
        return f"tilts from {self.low} to {self.high} degrees"


UNKNOWN = MeasuredRange(None, None, None, None, math.nan)
"""Nothing can be told."""


def measure_range(volume: Volume | Content) -> MeasuredRange:
    """Measure the tilt range of a volume from the power of its components by direction.

    The plane of the wedge is the one, of three, in which a sector is emptiest. Its edges are fitted there with the step
    that the window of the blocks turns into a slope. Their errors come from parts of the spectrum: they are large if
    the tilt axis is rotated out of the axis of the volume. Bias by the step of the tilts, which is not known, is added.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type. If it is filtered so strongly that only frequencies below 0.1 cycles per voxel
        remain, was filled by a network, is thinner than 16 voxels or has no wedge, nothing can be told.

    Raises
    ------
    TomogramError
        If the blocks that are read have values that are not finite.
    """
    content = content_of(volume)  # the step to padding would be seen as power in the wedge
    shape = tuple(one.stop - one.start for one in content.box)
    if min(shape) < _THINNEST or content.sample.share == 0:
        return UNKNOWN
    power = _block_power(content)
    planes = [_plane(power, shape, axis) for axis in range(3)]
    sectors = [find_sector(plane) for plane in planes]
    empty = [math.inf if one is None else one.emptiness for one in sectors]
    best, second = np.argsort(empty)[:2]
    certain = empty[best] < _EMPTY and empty[best] < _CLEARLY * empty[second]
    tilt_axis = int(best) if certain else 1
    sector = sectors[tilt_axis]
    if sector is None:
        return UNKNOWN
    axes = [axis for axis in range(3) if axis != tilt_axis]
    upright = abs(sector.middle - 90) < 45
    low, high = fit_edges(planes[tilt_axis], sector)
    if not upright and not certain:
        low = high = None
    found = MeasuredRange(low, high, None, None, sector.emptiness)
    return replace(found, beam=axes[0 if upright else 1], tilt_axis=tilt_axis) if certain else found


def _block_power(content: Content) -> NDArray[np.float32]:
    """`(n, n, n // 2 + 1)` mean power of blocks under a Hann window, padded to `n = BLOCK` voxels along each edge."""
    total = np.zeros((BLOCK, BLOCK, BLOCK // 2 + 1), np.float32)
    source = content.volume if content.sample.share == 1 else content
    for block in _blocks(content.box):
        values = require_finite(source[block], "the volume")
        window = np.ones((1, 1, 1), np.float32)
        for axis, n in enumerate(values.shape):
            shape = [-1 if i == axis else 1 for i in range(3)]
            window = window * np.hanning(n + 2)[1:-1].astype(np.float32).reshape(shape)
        values = values - np.float32((values * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
        values = values * (window / max(float(np.abs(values).max()), float(np.finfo(np.float32).tiny)))
        power = np.abs(rfftn(values, s=(BLOCK, BLOCK, BLOCK))) ** 2
        total += power / max(float(power.sum(dtype=np.float64)), float(np.finfo(np.float32).tiny))
    return total


def _blocks(box: Region) -> list[tuple[slice, ...]]:
    """Blocks in the middle of the shortest axis, spread over the longer ones."""
    shape = [one.stop - one.start for one in box]
    counts = dict(zip(np.argsort(shape, kind="stable").tolist(), _COUNTS, strict=True))
    along = []
    for axis, n in enumerate(shape):
        size, count = min(n, BLOCK), min(counts[axis], max(1, round(n / BLOCK)))
        starts = np.linspace(0, n - size, count + 2)[1:-1].astype(int)
        first = box[axis].start
        along.append([slice(first + start, first + start + size) for start in np.unique(starts).tolist()])
    return list(product(*along))


def _plane(power: NDArray[np.float32], shape: tuple[int, ...], tilt_axis: int) -> PlanePower:
    """Power in the plane of the other two axes, the first of which is taken as the beam, summed over bands."""
    n = BLOCK
    bands = np.digitize(np.fft.fftfreq(n), _BANDS)
    count = len(_BANDS) + 1
    if tilt_axis == 2:  # the half spectrum has no negative frequencies along it: those of the conjugates
        half = np.stack([power[..., : n // 2][..., bands[: n // 2] == band].sum(-1) for band in range(count)])
        mirrored = np.roll(half[:, ::-1, ::-1], 1, (1, 2))
        values = half + mirrored[::-1]
    else:
        moved = np.moveaxis(power, tilt_axis, 0)
        values = np.stack([moved[bands == band].sum(0) for band in range(count)])
    others = [min(shape[axis], n) for axis in range(3) if axis != tilt_axis]
    kb = np.asarray(np.fft.fftfreq(n)[:, None], np.float64)
    kc = np.asarray((np.fft.fftfreq(n) if tilt_axis == 2 else np.fft.rfftfreq(n))[None], np.float64)
    return PlanePower.of(values, kb, kc, (others[0], others[1]))
