"""Assemblies of domains: the residues of a random complex, in `(x, y, z)` angstrom.

Mass is distributed as in real proteins: residues along secondary-structure rods, rods packed into compact domains of 15
to 60 kDa, domains grown into an assembly, the assembly repeated by a point group. Each residue has its volume (135
cubic angstrom, density 1.35 g/ml), so the texture, the grooves and the fall-off of the spectrum follow from the
packing. Everything is chiral: helices are right-handed, and no part is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Points = NDArray[np.float64]

Residues = tuple[Points, Points]
"""Positions `(n, 3)` `(x, y, z)` in angstrom, and weights `(n,)`."""

Score = Callable[[Points], Any]
"""Cost `(...)` of putting a domain at `(..., 3)`; overlap costs 30 an angstrom."""


@dataclass(frozen=True)
class Element:
    """A kind of rod of which domains consist: rise and turn of its residues, its length, radius and spacing."""

    rise: float
    turn: float
    length: float
    radius: float
    spacing: float
    volume: float
    contrast: float


PROTEIN = Element(rise=1.5, turn=100.0, length=19.0, radius=3.0, spacing=10.0, volume=135.0, contrast=1.0)
NUCLEIC = Element(rise=1.4, turn=196.4, length=45.0, radius=8.0, spacing=19.0, volume=281.0, contrast=1.4)
"""Alpha helix (a strand is similar enough); A-form double helix: a base pair every 2.8 angstrom, 32.7 degrees apart."""


def assembly(
    rng: Generator, mass: float, ops: Points, score: Score, sizes: tuple[float, float] = (15, 60), nucleic: float = 0.0
) -> Residues:
    """Residues of a complex and their weights: `mass` kDa per asymmetric unit, repeated by `ops`.

    Domains are added one by one where they touch the others without overlap (symmetry mates included) and where
    `score` is lowest among random candidates.
    """
    drawn = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]), int(mass / sizes[0]) + 2))
    count = max(int(np.searchsorted(np.cumsum(drawn), mass)), 1)
    masses = drawn[:count] * mass / drawn[:count].sum()
    centres = _grow(rng, domain_radius(masses), ops, score)
    points, weights = [], []
    is_nucleic = np.zeros(count, dtype=bool)
    if nucleic > 0:  # nucleic acid fills the middle, protein the surface
        depth = score(centres) + rng.normal(0, 15, count)
        is_nucleic[np.argsort(depth)[: round(nucleic * count)]] = True
    frames = Rotation.random(count, random_state=rng).as_matrix()
    for element, chosen in ((PROTEIN, ~is_nucleic), (NUCLEIC, is_nucleic)):
        if chosen.any():
            for centre, domain in zip(centres[chosen], fold(rng, masses[chosen], element, frames[chosen]), strict=True):
                points.append(centre + domain)
                weights.append(np.full(len(domain), element.volume * element.contrast))
    everything = (np.concatenate(points) @ ops.transpose(0, 2, 1)).reshape(-1, 3)
    return everything, np.tile(np.concatenate(weights), len(ops))


def _grow(rng: Generator, radii: Points, ops: Points, score: Score) -> Points:
    """`(n, 3)` centres of domains in contact."""
    tries = rng.normal(0, 1, (400, 3)) * 60
    candidates = np.concatenate([tries, tries * 2, tries / 4])
    centres, images, mates = np.empty((len(radii), 3)), np.empty((0, 3)), np.empty(0)
    noise = rng.uniform(0.05, 0.35)
    for i, radius in enumerate(radii):
        if i > 0:
            parent = rng.integers(0, i, 64)
            step = rng.normal(0, 1, (64, 3))
            step *= (0.82 * (radius + radii[parent]) / np.linalg.norm(step, axis=1))[:, None]
            candidates = centres[parent] + step
        cost = score(candidates) + rng.normal(0, noise * radius, len(candidates))
        if len(images):
            gap = np.linalg.norm(candidates[:, None] - images, axis=-1) - 0.76 * (mates + radius)
            cost = cost + 30 * np.maximum(-gap, 0).sum(1)
        if len(ops) > 1:  # distance to its own mates
            turned = (candidates @ ops[1:].transpose(0, 2, 1)).swapaxes(0, 1)
            own = np.linalg.norm(candidates[:, None] - turned, axis=-1)
            cost = cost + 30 * np.maximum(1.52 * radius - own, 0).sum(1)
        centres[i] = candidates[cost.argmin()]
        images = np.concatenate([images, ops @ centres[i]])
        mates = np.r_[mates, np.full(len(ops), radius)]
    return centres


def fold(rng: Generator, masses: Points, element: Element, frames: Points, flat: float = 0.0) -> list[Points]:
    """Residues of domains of the given masses in kDa, each a bundle of rods packed into an ellipsoid.

    `frames` are the orientations of the bundles, `flat` the length along z that a bundle spans (0: compact).
    """
    residues = np.maximum(masses / (0.11 if element is PROTEIN else 0.32), 8)
    volume = residues * element.volume
    each = max(int(element.length / element.rise), 1) if flat == 0 else int(flat / element.rise)
    rods = np.maximum(np.rint(residues / each).astype(int), 1)
    shape = np.exp(rng.normal(0, 0.22, (len(masses), 3)))
    shape /= np.cbrt(shape.prod(1))[:, None]
    axes = np.cbrt(3 * volume / (4 * np.pi))[:, None] * shape
    if flat > 0:
        axes = np.stack([np.sqrt(volume / flat / np.pi)] * 2 + [np.full(len(masses), 1e-3)], 1)
    length = element.length if flat == 0 else flat
    axes = np.maximum(axes - [0, 0, 0.3 * min(length, 2 * axes[:, 2].min())], 0.5)
    pool = rng.normal(0, 1, (len(masses), 160, 3))
    pool *= np.cbrt(rng.random((len(masses), 160)))[:, :, None] / np.linalg.norm(pool, axis=2, keepdims=True)
    pool *= axes[:, None]
    metric = np.array([1 / element.spacing, 1 / element.spacing, 1 / length])
    chosen = _spread(pool, pool * metric, int(rods.max()))
    turn = np.radians(element.turn) * np.arange(each)
    phase = rng.uniform(0, 2 * np.pi, (len(masses), chosen.shape[1], 1))
    along = np.broadcast_to(element.rise * (np.arange(each) - (each - 1) / 2), (*chosen.shape[:2], each))
    rod = np.stack([element.radius * np.cos(turn + phase), element.radius * np.sin(turn + phase), along], -1)
    lean = Rotation.from_rotvec(rng.normal(0, 0.15 if flat else 0.35, (chosen.shape[0] * chosen.shape[1], 3)))
    rod = rod @ lean.as_matrix().reshape(*chosen.shape[:2], 3, 3).transpose(0, 1, 3, 2)
    noise = rng.normal(0, 1.2, rod.shape)
    rod += chosen[:, :, None] + noise * np.where(rng.random(rod.shape[:3]) < 0.15, 5, 1)[..., None]
    rod = rod @ frames[:, None].transpose(0, 1, 3, 2)
    return [part[:n].reshape(-1, 3) for part, n in zip(rod, rods, strict=True)]


def _spread(pool: Points, scaled: Points, count: int) -> Points:
    """`(b, count, 3)`: farthest-point sampling of each pool."""
    batch = np.arange(len(pool))
    order = [np.zeros(len(pool), dtype=int)]
    nearest = np.full(pool.shape[:2], np.inf)
    for _ in range(count - 1):
        latest = scaled[batch, order[-1]][:, None]
        nearest = np.minimum(nearest, ((scaled - latest) ** 2).sum(2))
        order.append(nearest.argmax(1))
    spread: Points = pool[batch[:, None], np.stack(order, 1)]
    return spread


def domain_radius(mass: Points | float) -> Points:
    """Radius in angstrom of a sphere of protein with a mass in kDa."""
    return np.asarray(np.cbrt(3 * 1230 * np.asarray(mass) / (4 * np.pi)))


def point_group(name: str) -> Points:
    """`(g, 3, 3)` rotations of a point group about z, the identity first."""
    if name == "C1":
        return np.eye(3)[None]
    ops: Points = Rotation.create_group(cast(Any, name)).as_matrix()
    return ops[np.argsort(-np.trace(ops, axis1=1, axis2=2), kind="stable")]


def norm(points: Points) -> Any:
    """`(...)` distances of points `(..., 3)` from the origin."""
    return np.linalg.norm(points, axis=-1)
