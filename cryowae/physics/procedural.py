"""Procedural molecules: random assemblies that look like proteins and nucleoproteins at 5 to 30 angstrom.

Mass is laid out as nature does it: residues along secondary-structure rods, rods packed into compact domains of 15 to
60 kDa, domains grown into an assembly, the assembly repeated by a point group or a helix. Each residue carries its
volume (135 cubic angstrom, density 1.35 g/ml), so the interior comes out at about 1 with the texture, the grooves and
the fall-off of the spectrum that follow from packing. All is chiral: helices turn right, nothing is ever mirrored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryowae.physics.structures import Structure, density_of_points, normalised

Points = NDArray[np.float64]  # (n, 3) in (x, y, z): turned to (z, y, x) when drawn

KINDS = {
    "globular": 0.32,
    "small": 0.10,
    "elongated": 0.10,
    "ring": 0.09,
    "barrel": 0.09,
    "shell": 0.07,
    "membrane": 0.08,
    "nucleoprotein": 0.12,
    "filament": 0.02,
    "microtubule": 0.01,
}
"""Kinds of structure and how often each is drawn."""


@dataclass(frozen=True)
class Element:
    """A kind of rod that domains are packed of: rise and turn of its residues, its length, radius and spacing."""

    rise: float
    turn: float
    length: float
    radius: float
    spacing: float
    volume: float
    contrast: float


PROTEIN = Element(rise=1.5, turn=100.0, length=19.0, radius=3.0, spacing=10.0, volume=135.0, contrast=1.0)
NUCLEIC = Element(rise=1.4, turn=196.4, length=45.0, radius=8.0, spacing=19.0, volume=281.0, contrast=1.4)
"""Alpha helix (or, close enough, a strand) and A-form double helix: a pair every 2.8 angstrom, turned by 32.7 degrees."""


@dataclass(frozen=True)
class Filament:
    """A helix of subunits on one start.

    Attributes
    ----------
    subunit
        `Structure` whose x axis points away from the filament's axis and whose z axis points along it.
    radius, rise
        Distance of the subunits' centres from the axis, and advance from one to the next, in angstrom.
    twist
        Turn from one subunit to the next in degrees, right-handed about the direction of advance.
    """

    subunit: Structure
    radius: float
    rise: float
    twist: float


def procedural_structure(rng: np.random.Generator, voxel_size: float, kind: str | None = None) -> Structure:
    """A random molecule between 50 kDa and 4 MDa.

    Parameters
    ----------
    rng
        Source of randomness: the same state gives the same molecule.
    voxel_size
        Angstrom.
    kind
        One of `KINDS`; drawn by their frequencies when not given.

    Returns
    -------
    structure
        Membrane proteins cross the membrane along z, their middle at the centre of the box; filaments run along z.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    names = list(KINDS)
    if kind is None:
        chance = np.array(list(KINDS.values()))
        kind = names[int(rng.choice(len(names), p=chance / chance.sum()))]
    if kind not in KINDS:
        raise ValueError(f"got kind {kind!r}, expected one of {', '.join(names)}")
    points, weights = _BUILDERS[kind](rng)
    resolution = 2 * voxel_size * rng.uniform(1.0, 1.55)
    density = density_of_points(points[:, ::-1], weights, voxel_size, resolution)
    return Structure.from_density(kind, normalised(density, voxel_size), voxel_size)


def procedural_filament(rng: np.random.Generator, voxel_size: float, kind: str = "filament") -> Filament:
    """A random actin-like filament or a microtubule of 11 to 16 protofilaments, to be drawn along a curve.

    Parameters
    ----------
    rng, voxel_size
        As for `procedural_structure`.
    kind
        "filament" or "microtubule".
    """
    points, weights, radius, rise, twist = _helix(rng, kind == "microtubule")
    density = density_of_points(points[:, ::-1], weights, voxel_size)
    middle = len(density) // 2
    # the origin stays at the box centre: subunits must lock into their neighbours
    reach = int(np.ceil(np.sqrt((points**2).sum(1).max()) / voxel_size)) + 2
    cut = slice(max(middle - reach, 0), middle + reach + 1)
    subunit = Structure(kind, torch.from_numpy(np.ascontiguousarray(density[cut, cut, cut])), voxel_size)
    return Filament(subunit, radius, rise, twist)


def _globular(rng: np.random.Generator) -> tuple[Points, Points]:
    group = str(rng.choice(["C1", "C2", "C3", "D2", "D3"], p=[0.62, 0.16, 0.08, 0.1, 0.04]))
    ops = _group(group)
    mass = np.exp(rng.uniform(np.log(150), np.log(2200)))
    stretch = np.exp(rng.normal(0, 0.3, 3))
    offset = rng.normal(0, 1, 3) * (0 if len(ops) == 1 else 15)

    hollow = np.cbrt(mass) * rng.uniform(6, 9) if rng.random() < 0.2 else 0.0

    def score(p: Points) -> Points:
        return np.abs(np.linalg.norm((p - offset) * stretch, axis=-1) - hollow)

    return _assembly(rng, mass / len(ops), ops, score)


def _small(rng: np.random.Generator) -> tuple[Points, Points]:
    ops = _group(str(rng.choice(["C1", "C2"], p=[0.7, 0.3])))
    return _assembly(rng, rng.uniform(50, 150) / len(ops), ops, lambda p: np.linalg.norm(p, axis=-1))


def _elongated(rng: np.random.Generator) -> tuple[Points, Points]:
    half = rng.uniform(40, 120)
    bend = rng.uniform(-0.004, 0.004)
    lobes = bool(rng.random() < 0.5)

    def score(p: Points) -> Points:
        axis = np.sqrt((p[..., 0] - bend * (p[..., 2] ** 2 - half**2)) ** 2 + p[..., 1] ** 2)
        if lobes:  # two lobes and a stalk
            return np.minimum(np.hypot(axis, np.abs(p[..., 2]) - half), 15 + axis + 0.02 * np.abs(p[..., 2]))
        return axis + 0.15 * np.abs(p[..., 2])

    ops = _group(str(rng.choice(["C1", "C2"])))
    return _assembly(rng, np.exp(rng.uniform(np.log(100), np.log(700))) / len(ops), ops, score)


def _ring(rng: np.random.Generator) -> tuple[Points, Points]:
    n = int(rng.integers(3, 13))
    ops = _group(f"C{n}" if rng.random() < 0.7 else f"D{n}")
    mass = np.exp(rng.uniform(np.log(25), np.log(110)))
    radius = rng.uniform(0.8, 1.25) * n * _domain_radius(mass) / np.pi
    flat, level = rng.uniform(0.5, 1.5), 0 if len(ops) == n else rng.uniform(10, 25)

    def score(p: Points) -> Points:
        return np.hypot(np.hypot(p[..., 0], p[..., 1]) - radius, flat * (p[..., 2] - level))

    return _assembly(rng, mass, ops, score)


def _barrel(rng: np.random.Generator) -> tuple[Points, Points]:
    n = int(rng.integers(4, 10))
    ops = _group(f"D{n}")
    mass = rng.uniform(35, 120)
    radius = rng.uniform(0.9, 1.3) * n * 18 / np.pi
    height = rng.uniform(25, 75)

    def score(p: Points) -> Points:
        return np.hypot(np.hypot(p[..., 0], p[..., 1]) - radius, np.maximum(np.abs(p[..., 2] - height / 2), 0) * 0.4)

    return _assembly(rng, mass, ops, score)


def _shell(rng: np.random.Generator) -> tuple[Points, Points]:
    ops = _group(str(rng.choice(["O", "I", "T"], p=[0.4, 0.45, 0.15])))
    radius = {12: 40.0, 24: 52.0, 60: 95.0}[len(ops)] * rng.uniform(0.85, 1.5)
    wall = rng.uniform(20, 35)
    mass = np.clip(rng.uniform(0.75, 1.0) * 4 * np.pi * radius**2 * wall / len(ops) / 1230, 12, 70)

    def score(p: Points) -> Points:
        return np.abs(np.linalg.norm(p, axis=-1) - radius)

    return _assembly(rng, mass, ops, score, (12, 30))


def _membrane(rng: np.random.Generator) -> tuple[Points, Points]:
    ops = _group(f"C{rng.choice([1, 2, 3, 4, 5, 6], p=[0.4, 0.2, 0.1, 0.15, 0.1, 0.05])}")
    mass = np.exp(rng.uniform(np.log(100), np.log(700))) / len(ops)
    inside = min(rng.uniform(15, 45), 0.5 * mass)
    width = _domain_radius(inside) * np.sqrt(len(ops)) * rng.uniform(0.7, 1.0)
    rods = _fold(rng, np.array([inside]), PROTEIN, np.eye(3)[None], flat=45.0)[0]
    rods[:, 0] += width if len(ops) > 1 else 0
    side = rng.choice([-1.0, 1.0])

    def score(p: Points) -> Points:  # the rest sits on one side, now and then some on the other
        outside = np.minimum(np.abs(p[..., 2] - side * 45), 20 + np.abs(p[..., 2] + side * 38))
        return np.hypot(p[..., 0] - rods[:, 0].mean(), p[..., 1]) + outside + 200 * (np.abs(p[..., 2]) < 30)

    points, weights = _assembly(rng, max(mass - inside, 15), ops, score)
    turned = np.concatenate([rods @ op.T for op in ops])
    return np.concatenate([points, turned]), np.r_[weights, np.full(len(turned), PROTEIN.volume)]


def _nucleoprotein(rng: np.random.Generator) -> tuple[Points, Points]:
    mass = np.exp(rng.uniform(np.log(700), np.log(4200)))
    share = rng.uniform(0.3, 0.65)
    stretch = np.exp(rng.normal(0, 0.15, 3))
    # two subunits with a cleft between them
    gap, tilt = np.cbrt(mass) * rng.uniform(4.5, 6.5), rng.normal(0, 0.4, 3)
    axis = np.array([0, 0, 1.0]) + tilt
    axis /= np.linalg.norm(axis)
    lean = rng.uniform(0.75, 1.3)

    def score(p: Points) -> Points:
        q = p * stretch
        return np.minimum(np.linalg.norm(q - gap * axis, axis=-1) * lean, np.linalg.norm(q + gap * axis, axis=-1))

    return _assembly(rng, mass, _group("C1"), score, nucleic=share)


def _segment(microtubule: bool) -> Callable[[np.random.Generator], tuple[Points, Points]]:
    def build(rng: np.random.Generator) -> tuple[Points, Points]:
        points, weights, radius, rise, twist = _helix(rng, microtubule)
        count = int(rng.uniform(250, 350) / rise)
        points = points + [radius, 0, 0]
        turns = Rotation.from_rotvec(np.outer(np.radians(twist) * np.arange(count), [0, 0, 1])).as_matrix()
        moved = points @ turns.transpose(0, 2, 1)
        moved[:, :, 2] += (rise * (np.arange(count) - (count - 1) / 2))[:, None]
        return moved.reshape(-1, 3), np.tile(weights, count)

    return build


_BUILDERS: dict[str, Callable[[np.random.Generator], tuple[Points, Points]]] = {
    "globular": _globular,
    "small": _small,
    "elongated": _elongated,
    "ring": _ring,
    "barrel": _barrel,
    "shell": _shell,
    "membrane": _membrane,
    "nucleoprotein": _nucleoprotein,
    "filament": _segment(False),
    "microtubule": _segment(True),
}


def _helix(rng: np.random.Generator, microtubule: bool) -> tuple[Points, Points, float, float, float]:
    """Subunit, and radius, rise and twist of its helix."""
    if microtubule:
        # three-start lattice, left-handed, monomers of 41 angstrom (Chretien & Wade 1991), on one start
        n = int(rng.choice([13, 14, 11, 16], p=[0.7, 0.2, 0.05, 0.05]))
        steps = pow(3, -1, n)
        points, weights = _assembly(
            rng, 52, _group("C1"), lambda p: np.linalg.norm(p * [1.0, 0.8, 1.1], axis=-1), (11, 20)
        )
        return points, weights, 112.0 * n / 13, 41 / n, -360 / n * steps
    kinds = [(22.0, 27.5, -166.7, 42), (25.0, 24.0, 170.0, 35), (45.0, 5.0, -65.5, 40), (28.0, 15.0, 100.0, 30)]
    radius, rise, twist, mass = kinds[int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))]
    factor = rng.uniform(0.9, 1.15)
    points, weights = _assembly(
        rng, mass * factor**3, _group("C1"), lambda p: np.linalg.norm(p * [0.8, 1.0, 1.2], axis=-1), (15, 25)
    )
    return points, weights, radius * factor, rise * factor, twist + rng.uniform(-1, 1)


def _assembly(
    rng: np.random.Generator,
    mass: float,
    ops: Points,
    score: Callable[[Points], Points],
    sizes: tuple[float, float] = (15, 60),
    nucleic: float = 0.0,
) -> tuple[Points, Points]:
    """Residues and their weights of a complex of `mass` kDa an asymmetric unit, repeated by `ops`.

    Domains are added one by one where they touch what is there without overlap (symmetry mates included) and where
    `score` is least among random candidates.
    """
    drawn = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]), int(mass / sizes[0]) + 2))
    count = max(int(np.searchsorted(np.cumsum(drawn), mass)), 1)
    masses = drawn[:count] * mass / drawn[:count].sum()
    radii = _domain_radius(masses)
    centres = _grow(rng, radii, ops, score)
    points, weights = [], []
    is_nucleic = np.zeros(count, dtype=bool)
    if nucleic > 0:  # nucleic acid fills the middle, protein the surface
        depth = score(centres) + rng.normal(0, 15, count)
        is_nucleic[np.argsort(depth)[: round(nucleic * count)]] = True
    frames = Rotation.random(count, random_state=rng).as_matrix()
    for element, chosen in ((PROTEIN, ~is_nucleic), (NUCLEIC, is_nucleic)):
        if chosen.any():
            for centre, fold in zip(
                centres[chosen], _fold(rng, masses[chosen], element, frames[chosen]), strict=True
            ):
                points.append(centre + fold)
                weights.append(np.full(len(fold), element.volume * element.contrast))
    unit = np.concatenate(points)
    everything = (unit @ ops.transpose(0, 2, 1)).reshape(-1, 3)
    return everything, np.tile(np.concatenate(weights), len(ops))


def _grow(rng: np.random.Generator, radii: Points, ops: Points, score: Callable[[Points], Points]) -> Points:
    """`(n, 3)` centres of domains in contact."""
    tries = rng.normal(0, 1, (400, 3)) * 60
    tries = np.concatenate([tries, tries * 2, tries / 4])
    centres = np.empty((len(radii), 3))
    images = np.empty((0, 3))
    mates = np.empty(0)
    candidates = tries
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
            own = np.linalg.norm(candidates[:, None] - (candidates @ ops[1:].transpose(0, 2, 1)).swapaxes(0, 1), axis=-1)
            cost = cost + 30 * np.maximum(1.52 * radius - own, 0).sum(1)
        centres[i] = candidates[cost.argmin()]
        images = np.concatenate([images, ops @ centres[i]])
        mates = np.r_[mates, np.full(len(ops), radius)]
    return centres


def _fold(rng: np.random.Generator, masses: Points, element: Element, frames: Points, flat: float = 0.0) -> list[Points]:
    """Residues of domains of the given masses in kDa, each a bundle of rods packed into an ellipsoid.

    `frames` are the orientations of the bundles, `flat` the length along z that a bundle spans (0: compact).
    """
    per_residue = 0.11 if element is PROTEIN else 0.32
    residues = np.maximum(masses / per_residue, 8)
    volume = residues * element.volume
    radius = np.cbrt(3 * volume / (4 * np.pi))
    each = max(int(element.length / element.rise), 1) if flat == 0 else int(flat / element.rise)
    rods = np.maximum(np.rint(residues / each).astype(int), 1)
    shape = np.exp(rng.normal(0, 0.22, (len(masses), 3)))
    shape /= np.cbrt(shape.prod(1))[:, None]
    axes = radius[:, None] * shape
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
    rod = np.empty((len(masses), chosen.shape[1], each, 3))
    rod[..., 0] = element.radius * np.cos(turn + phase)
    rod[..., 1] = element.radius * np.sin(turn + phase)
    rod[..., 2] = element.rise * (np.arange(each) - (each - 1) / 2)
    lean = Rotation.from_rotvec(rng.normal(0, 0.15 if flat else 0.35, (chosen.shape[0] * chosen.shape[1], 3)))
    rod = rod @ lean.as_matrix().reshape(*chosen.shape[:2], 3, 3).transpose(0, 1, 3, 2)
    rod += chosen[:, :, None] + rng.normal(0, 1.2, rod.shape) * np.where(rng.random(rod.shape[:3]) < 0.15, 5, 1)[..., None]
    rod = rod @ frames[:, None].transpose(0, 1, 3, 2)
    return [part[:n].reshape(-1, 3) for part, n in zip(rod, rods, strict=True)]


def _spread(pool: Points, scaled: Points, count: int) -> Points:
    """`(b, count, 3)`: points of each pool, each the farthest from those before it."""
    batch = np.arange(len(pool))
    first = np.zeros(len(pool), dtype=int)
    order = [first]
    nearest = np.full(pool.shape[:2], np.inf)
    for _ in range(count - 1):
        latest = scaled[batch, order[-1]][:, None]
        nearest = np.minimum(nearest, ((scaled - latest) ** 2).sum(2))
        order.append(nearest.argmax(1))
    return pool[batch[:, None], np.stack(order, 1)]


def _domain_radius(mass: Points | float) -> Points:
    """Radius in angstrom of a sphere of protein of so many kDa."""
    return np.asarray(np.cbrt(3 * 1230 * np.asarray(mass) / (4 * np.pi)))


def _group(name: str) -> Points:
    """`(g, 3, 3)` rotations of a point group about z, the identity first."""
    if name == "C1":
        return np.eye(3)[None]
    ops: Points = Rotation.create_group(name).as_matrix()
    return ops[np.argsort(-np.trace(ops, axis1=1, axis2=2), kind="stable")]
