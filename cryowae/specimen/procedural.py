"""Artificial molecules: random assemblies that look like proteins and nucleoproteins at 5 to 30 angstrom.

A kind of structure is a point group or helix, a mass, and a score by which `assembly` places the domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cryowae.specimen.assembly import PROTEIN, Points, Residues, assembly, domain_radius, fold, norm, point_group
from cryowae.specimen.structures import Structure, density_of_points, normalised

PACKING = 0.7
"""Mean density inside the envelope of an assembly, by which `normalised` scales it."""


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
        chance = np.array([share for share, _ in KINDS.values()])
        kind = names[int(rng.choice(len(names), p=chance / chance.sum()))]
    if kind not in KINDS:
        raise ValueError(f"got kind {kind!r}, expected one of {', '.join(names)}")
    points, weights = KINDS[kind][1](rng)
    resolution = 2 * voxel_size * rng.uniform(1.0, 1.55)
    density = density_of_points(points[:, ::-1], weights, voxel_size, resolution)
    return Structure.from_density(kind, normalised(density, voxel_size), voxel_size, keep_centre=kind == "membrane")


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


def procedural_filament(rng: np.random.Generator, voxel_size: float, kind: str = "filament") -> Filament:
    """A random actin-like filament, or a microtubule of 11 to 16 protofilaments.

    Parameters
    ----------
    rng, voxel_size
        Source of randomness, and angstrom.
    kind
        "filament" or "microtubule".
    """
    points, weights, radius, rise, twist = _random_helix(rng, kind == "microtubule")
    density = density_of_points(points[:, ::-1], weights / PACKING, voxel_size)
    return Filament(Structure.from_density(kind, density, voxel_size, keep_centre=True), radius, rise, twist)


def _random_helix(rng: np.random.Generator, microtubule: bool) -> tuple[Points, Points, float, float, float]:
    """Points and weights of a subunit, and radius, rise and twist of its helix."""
    if microtubule:
        # three-start lattice, left-handed, monomers of 41 angstrom (Chretien & Wade 1991), on one start
        n = int(rng.choice([13, 14, 11, 16], p=[0.7, 0.2, 0.05, 0.05]))
        points, weights = assembly(rng, 55, point_group("C1"), lambda p: norm(p * [1.0, 0.85, 0.85]), (8, 13))
        return points, weights, 112.0 * n / 13, 41 / n, -360 / n * pow(3, -1, n)
    kinds = [(17.0, 27.5, -166.7, 42.0), (19.0, 24.0, 170.0, 38.0), (42.0, 5.5, -65.5, 42.0), (22.0, 13.0, 100.0, 30.0)]
    radius, rise, twist, mass = kinds[int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))]
    factor = rng.uniform(0.9, 1.15)
    mass *= factor**3
    points, weights = assembly(rng, mass, point_group("C1"), lambda p: norm(p * [0.8, 1.0, 1.2]), (8, 16))
    return points, weights, radius * factor, rise * factor, twist + rng.uniform(-1, 1)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _globular(rng: np.random.Generator) -> Residues:
    ops = point_group(str(rng.choice(["C1", "C2", "C3", "D2", "D3"], p=[0.62, 0.16, 0.08, 0.1, 0.04])))
    mass = _log_uniform(rng, 150, 2200)
    stretch = np.exp(rng.normal(0, 0.3, 3))
    offset = rng.normal(0, 1, 3) * (0 if len(ops) == 1 else 15)
    hollow = np.cbrt(mass) * rng.uniform(6, 9) if rng.random() < 0.12 else 0.0
    return assembly(rng, mass / len(ops), ops, lambda p: np.abs(norm((p - offset) * stretch) - hollow))


def _small(rng: np.random.Generator) -> Residues:
    ops = point_group(str(rng.choice(["C1", "C2"], p=[0.7, 0.3])))
    return assembly(rng, rng.uniform(50, 150) / len(ops), ops, norm)


def _elongated(rng: np.random.Generator) -> Residues:
    half = rng.uniform(40, 120)
    bend = rng.uniform(-0.004, 0.004)
    lobes = bool(rng.random() < 0.5)

    def score(p: Points) -> Any:
        axis = np.sqrt((p[..., 0] - bend * (p[..., 2] ** 2 - half**2)) ** 2 + p[..., 1] ** 2)
        if lobes:  # two lobes and a stalk
            return np.minimum(np.hypot(axis, np.abs(p[..., 2]) - half), 15 + axis + 0.02 * np.abs(p[..., 2]))
        return axis + 0.15 * np.abs(p[..., 2])

    ops = point_group(str(rng.choice(["C1", "C2"])))
    return assembly(rng, _log_uniform(rng, 100, 700) / len(ops), ops, score)


def _ring(rng: np.random.Generator) -> Residues:
    n = int(rng.integers(3, 13))
    ops = point_group(f"C{n}" if rng.random() < 0.7 else f"D{n}")
    mass = _log_uniform(rng, 25, 110)
    radius = rng.uniform(0.5, 1.1) * n * domain_radius(mass) / np.pi
    flat, level = rng.uniform(0.5, 1.5), 0 if len(ops) == n else rng.uniform(10, 25)
    return assembly(rng, mass, ops, lambda p: np.hypot(norm(p[..., :2]) - radius, flat * (p[..., 2] - level)), (8, 30))


def _barrel(rng: np.random.Generator) -> Residues:
    n = int(rng.integers(4, 10))
    mass = rng.uniform(35, 120)
    radius = rng.uniform(0.9, 1.3) * n * 18 / np.pi
    height = rng.uniform(25, 75)

    def score(p: Points) -> Any:
        return np.hypot(np.hypot(p[..., 0], p[..., 1]) - radius, np.maximum(np.abs(p[..., 2] - height / 2), 0) * 0.4)

    return assembly(rng, mass, point_group(f"D{n}"), score, (10, 30))


def _shell(rng: np.random.Generator) -> Residues:
    ops = point_group(str(rng.choice(["O", "I", "T"], p=[0.4, 0.45, 0.15])))
    radius = {12: 40.0, 24: 52.0, 60: 95.0}[len(ops)] * rng.uniform(0.85, 1.5)
    wall = rng.uniform(20, 35)
    mass = np.clip(rng.uniform(0.75, 1.0) * 4 * np.pi * radius**2 * wall / len(ops) / 1230, 12, 70)
    return assembly(rng, mass, ops, lambda p: np.abs(norm(p) - radius), (6, 16))


def _membrane(rng: np.random.Generator) -> Residues:
    ops = point_group(f"C{rng.choice([1, 2, 3, 4, 5, 6], p=[0.4, 0.2, 0.1, 0.15, 0.1, 0.05])}")
    mass = _log_uniform(rng, 100, 700) / len(ops)
    inside = min(rng.uniform(15, 45), 0.5 * mass)
    width = domain_radius(inside) * np.sqrt(len(ops)) * rng.uniform(0.7, 1.0)
    rods = fold(rng, np.array([inside]), PROTEIN, np.eye(3)[None], flat=45.0)[0]
    rods[:, 0] += width if len(ops) > 1 else 0
    side = rng.choice([-1.0, 1.0])

    def score(p: Points) -> Any:  # the remaining mass is on one side, sometimes with a part on the other
        outside = np.minimum(np.abs(p[..., 2] - side * 45), 20 + np.abs(p[..., 2] + side * 38))
        return np.hypot(p[..., 0] - rods[:, 0].mean(), p[..., 1]) + outside + 200 * (np.abs(p[..., 2]) < 30)

    points, weights = assembly(rng, max(mass - inside, 15), ops, score)
    turned = np.concatenate([rods @ op.T for op in ops])
    return np.concatenate([points, turned]), np.r_[weights, np.full(len(turned), PROTEIN.volume)]


def _nucleoprotein(rng: np.random.Generator) -> Residues:
    mass = _log_uniform(rng, 700, 4200)
    share = rng.uniform(0.3, 0.65)
    stretch = np.exp(rng.normal(0, 0.15, 3))
    # two subunits with a cleft between them
    gap, tilt = np.cbrt(mass) * rng.uniform(4.5, 6.5), rng.normal(0, 0.4, 3)
    axis = np.array([0, 0, 1.0]) + tilt
    axis /= np.linalg.norm(axis)
    lean = rng.uniform(0.75, 1.3)

    def score(p: Points) -> Any:
        return np.minimum(norm(p * stretch - gap * axis) * lean, norm(p * stretch + gap * axis))

    return assembly(rng, mass, point_group("C1"), score, nucleic=share)


def _segment(rng: np.random.Generator, microtubule: bool = False) -> Residues:
    points, weights, radius, rise, twist = _random_helix(rng, microtubule)
    count = int(rng.uniform(250, 350) / rise)
    points[:, 0] += radius
    turns = Rotation.from_rotvec(np.outer(np.radians(twist) * np.arange(count), [0, 0, 1])).as_matrix()
    moved = points @ turns.transpose(0, 2, 1)
    moved[:, :, 2] += (rise * (np.arange(count) - (count - 1) / 2))[:, None]
    return moved.reshape(-1, 3), np.tile(weights, count)


KINDS: dict[str, tuple[float, Callable[[np.random.Generator], Residues]]] = {
    "globular": (0.38, _globular),
    "small": (0.08, _small),
    "elongated": (0.10, _elongated),
    "ring": (0.06, _ring),
    "barrel": (0.08, _barrel),
    "shell": (0.05, _shell),
    "membrane": (0.07, _membrane),
    "nucleoprotein": (0.15, _nucleoprotein),
    "filament": (0.02, _segment),
    "microtubule": (0.01, partial(_segment, microtubule=True)),
}
"""Kinds of structure: frequency of each, and the function that makes its residues."""
