"""The edges of a missing wedge in the power spectrum of a plane: an empty sector, then each of its edges by a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

RINGS: Curve = np.arange(0.10, 0.47, 0.03)
"""Borders of the rings of frequencies that are used, cycles per voxel."""

_FAINT = 1e-4  # power of a ring over that of the strongest, below which it has what leaks through the window
_CLIP = (0.02, 2.0)  # power over that of the ring, for the search of the sector
_MOST = 2.0  # times the power of a ring: spokes and streaks beyond are clipped
_BIN = 2  # degrees of the profile in which the sector is searched for
_SECTORS = (12, 150)  # degrees of its width
_LEAST = 0.03  # power over that of the ring, below which deviations are not relative
_BEYOND = 24.0  # degrees outside the wedge that an edge is fitted to
_SEARCHES = ((16.0, 1.0), (2.0, 0.25))
_AGAIN = (4.0, 0.5)  # the same for parts of the spectrum  # degrees on both sides, and steps, of the search for an edge
_FEWEST = 12  # components of a ring
_HALF_STEP = 1.25  # degrees by which the power extends beyond the last tilt, for steps of 2 to 3
_BIAS = 0.75  # degrees: of the half step,
_THIN = 28.0  # voxels: and of the window, which is a degree if it is as short as that, and falls with the square
_FULL = 0.45  # power in the wedge over that outside, above which its edges are not sharp,
_UNLIKE = 0.6  # and the part of the variance that a step may leave
_ERROR = 6.0  # degrees: an edge with a larger error is not known


@dataclass(frozen=True)
class Edge:
    """An edge of the missing wedge.

    Attributes
    ----------
    tilt
        The extreme tilt, degrees.
    error
        Its standard error, degrees.
    """

    tilt: float
    error: float

    def __str__(self) -> str:
        return f"{self.tilt:.1f} ± {self.error:.1f}"


@dataclass(frozen=True)
class Sector:
    """The emptiest sector of a plane.

    Attributes
    ----------
    start, width
        Degrees; directions are counted from the second axis of the plane towards its first, which is the beam.
    emptiness
        Power in it over that outside.
    """

    start: float
    width: float
    emptiness: float

    @property
    def middle(self) -> float:
        """Degrees, 0 to 180; 90 along the beam."""
        return (self.start + self.width / 2) % 180


@dataclass(frozen=True, eq=False)
class PlanePower:
    """Power of the components of a plane, without those close to its axes.

    Attributes
    ----------
    angle
        `(n,)` degrees, -90 to 90.
    radius
        `(n,)` cycles per voxel.
    ring
        `(n,)` number of its ring.
    power
        `(bands, n)`, summed over bands of frequencies perpendicular to the plane.
    window
        Voxels of the Hann windows along both axes.
    """

    angle: Curve
    radius: Curve
    ring: NDArray[np.int64]
    power: Curve
    window: tuple[int, int]

    @classmethod
    def of(cls, values: NDArray[np.float32], kb: Curve, kc: Curve, window: tuple[int, int]) -> Self:
        """The components of one half of a plane, in the rings that are not faint.

        Parameters
        ----------
        values
            `(bands, b, c)`.
        kb, kc
            `(b, 1)` and `(1, c)` frequencies.
        """
        radius = np.hypot(kb, kc)
        # faces of the volume and of what it shows cause streaks along the axes
        used = (kc > 2 / window[1]) & (abs(kb) > 2 / window[0]) & (radius >= RINGS[0]) & (radius < RINGS[-1])
        ring = np.digitize(radius[used], RINGS) - 1
        power = values[:, used].astype(np.float64)
        number = len(RINGS) - 1
        count = np.maximum(np.bincount(ring, minlength=number), 1)
        mean = np.bincount(ring, power.sum(0), number) / count
        bright = (mean > _FAINT * mean.max())[ring]
        angle = np.rad2deg(np.arctan2(kb, kc))[used]
        return cls(angle[bright], radius[used][bright], ring[bright], power[:, bright], window)


def find_sector(plane: PlanePower) -> Sector | None:
    """The sector that explains most of the power by direction, as a step; None without information."""
    size, rings = 180 // _BIN, len(RINGS) - 1
    if not plane.angle.size:
        return None
    place = plane.ring * size + ((plane.angle + 90) / _BIN).astype(int) % size
    total = np.bincount(place, plane.power.sum(0), rings * size).reshape(rings, size)
    count = np.bincount(place, minlength=rings * size).reshape(rings, size)
    profile = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    used = (count > 0).mean(1) > 0.3
    if used.sum() < 2:
        return None
    profile = profile[used] / np.nanpercentile(profile[used], 70, axis=1, keepdims=True)
    known = np.isfinite(profile)
    profile = np.log(np.clip(np.where(known, profile, 1), *_CLIP))
    weight = known * (RINGS[:-1][used] + RINGS[1:][used])[:, None]  # directions are resolved better at high frequencies
    weights = weight.sum(0)
    mean = np.divide((weight * profile).sum(0), weights, where=weights > 0, out=np.zeros(size))
    here = (weights > 0).astype(float)
    n, s, q = (np.concatenate([[0.0], np.cumsum(np.tile(one, 2))]) for one in (here, mean * here, mean**2 * here))
    start, width = np.arange(size)[:, None], np.arange(_SECTORS[0] // _BIN, _SECTORS[1] // _BIN + 1)[None]
    inside_n, inside_s = n[start + width] - n[start], s[start + width] - s[start]
    outside_n, outside_s = n[size] - inside_n, s[size] - inside_s
    enough = (inside_n >= 5) & (outside_n >= 5)
    inside, outside = inside_s / np.maximum(inside_n, 1), outside_s / np.maximum(outside_n, 1)
    misfit = q[size] - inside_n * inside**2 - outside_n * outside**2
    misfit[~enough | (inside >= outside)] = np.inf
    i, j = np.unravel_index(np.argmin(misfit), misfit.shape)
    if not np.isfinite(misfit[i, j]):
        return None
    return Sector(float(_BIN * i - 90), float(width[0, j] * _BIN), float(np.exp(inside[i, j] - outside[i, j])))


def fit_edges(plane: PlanePower, sector: Sector) -> tuple[Edge | None, Edge | None]:
    """The lowest and the highest tilt: the edges of the sector, each fitted; None where this is not possible."""
    whole = plane.power.sum(0)
    edges: list[Edge | None] = []
    for start, side in ((sector.start + sector.width, -1), (sector.start, 1)):
        place: float | None = start
        for search in _SEARCHES:
            place = None if place is None else _fit(plane, whole, place, side, sector.width / 2, *search)
        if place is None:
            edges.append(None)
            continue
        without = [
            _fit(plane, whole - one, place, side, sector.width / 2, *_AGAIN, strict=False) for one in plane.power
        ]
        found = np.array([place + _AGAIN[0] if one is None else one for one in without])
        spread = math.sqrt((len(found) - 1) * float(found.var()))  # of a jackknife
        error = math.hypot(spread, _BIAS, (_THIN / min(plane.window)) ** 2)
        tilt = (place - side * _HALF_STEP + 90) % 180 - 90
        edges.append(Edge(tilt, error) if error < _ERROR else None)
    return edges[0], edges[1]


def _fit(
    plane: PlanePower,
    power: Curve,
    start: float,
    side: int,
    inwards: float,
    reach: float,
    step: float,
    strict: bool = True,
) -> float | None:
    """The place of an edge near `start`, degrees; None if the power has no step there.

    In each ring, the power is a constant, plus a step times a line. The window turns the step into the integral of its
    own power spectrum, see `_step`.

    Parameters
    ----------
    side
        1 if the wedge lies at larger angles, -1 if at smaller ones.
    inwards
        Degrees of the wedge that are used.
    reach, step
        Degrees on both sides of `start` that are tried.
    """
    offset = ((plane.angle - start) * side + 90) % 180 - 90
    used = (offset < max(inwards, 6)) & (offset > -_BEYOND)
    offset, radius, ring, values = offset[used], plane.radius[used], plane.ring[used], power[used]
    number = len(RINGS) - 1
    count = np.bincount(ring, minlength=number)
    level = np.array([np.percentile(values[ring == i], 75) if count[i] >= _FEWEST else 0.0 for i in range(number)])
    used = level[ring] > 0
    offset, radius, ring, values = offset[used], radius[used], ring[used], values[used]
    if len(values) < 10 * _FEWEST:
        return None
    values = np.minimum(values / level[ring], _MOST)
    weights = _relative(offset, ring, values)
    distances, shape = _step(plane.window, start)
    moves = np.arange(-reach, reach + step / 2, step)
    misfits, levels, line = [], [], offset / _BEYOND
    for move in moves:
        step_here = np.interp(-radius * np.sin(np.deg2rad(offset - move)), distances, shape)
        terms = np.stack([np.ones_like(step_here), step_here, step_here * line, step_here * line**2])
        products = np.array([[np.bincount(ring, weights * a * b, number) for a in terms] for b in terms]).transpose(
            2, 0, 1
        )
        sums = np.array([np.bincount(ring, weights * a * values, number) for a in terms]).T
        products += 1e-6 * (1 + np.trace(products, axis1=1, axis2=2))[:, None, None] * np.eye(len(terms))
        solved = np.linalg.solve(products, sums[..., None])[..., 0]
        misfits.append(float(weights @ values**2 - (solved * sums).sum()))
        levels.append(solved)
    best = int(np.argmin(misfits))
    if strict:
        unlike = misfits[best] / float(weights @ (values - np.average(values, weights=weights)) ** 2)
        floor = float(count @ levels[best][:, 0]) / float(count @ (levels[best][:, 0] + levels[best][:, 1]))
        if best in (0, len(moves) - 1) or unlike > _UNLIKE or not -0.2 < floor < _FULL:
            return None
    move = float(moves[best])
    if 0 < best < len(moves) - 1:  # the vertex of the parabola through three values
        before, here, after = misfits[best - 1 : best + 2]
        move += 0.5 * step * (before - after) / (before - 2 * here + after)
    return start + side * move


def _relative(offset: Curve, ring: NDArray[np.int64], values: Curve) -> Curve:
    """Weights that make deviations relative to the power in the direction of a component, which may fall by much."""
    size = 12
    place = ring * size + np.clip((offset + 30) / 60 * size, 0, size - 1).astype(int)
    number = (len(RINGS) - 1) * size
    count = np.bincount(place, minlength=number)
    mean = np.bincount(place, values, number) / np.maximum(count, 1)
    weights: Curve = 1 / (mean[place] + _LEAST) ** 2
    return weights


def _step(window: tuple[int, int], edge: float) -> tuple[Curve, Curve]:
    """Distances from an edge, and the share of a component's power that comes from its measured side.

    The power of a windowed volume is convolved with the power spectrum of the window. Along the normal of the edge,
    that is the Fourier transform of the autocorrelation of the window; its integral is the step.
    """
    normal = abs(math.cos(math.radians(edge))), abs(math.sin(math.radians(edge)))
    longest = min(n / max(along, 1e-6) for n, along in zip(window, normal, strict=True))
    lags = (np.arange(400) + 0.5) * longest / 400
    overlap = np.ones(400)
    for n, along in zip(window, normal, strict=True):
        hann = np.hanning(n + 2)[1:-1]
        auto = np.correlate(hann, hann, "full")[n - 1 :]
        overlap *= np.interp(lags * along, np.arange(n), auto / auto[0], right=0)
    distances = np.linspace(-0.3, 0.3, 241)
    shape = 0.5 + (overlap * np.sin(2 * np.pi * np.outer(distances, lags)) / lags).sum(1) * longest / 400 / np.pi
    return distances, shape
