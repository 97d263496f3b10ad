"""Invented filaments: a random subunit and the helix that repeats it, actin-like or a microtubule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryowae.specimen.assembly import Points, assembly, point_group
from cryowae.specimen.canvas import FILAMENT, ICE, Canvas, random_frame
from cryowae.specimen.points import density_of_points
from cryowae.specimen.structures import Structure

PACKING = 0.7
"""Mean density inside the envelope of an assembly, by which `normalised` scales it."""


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
    points, weights, radius, rise, twist = random_helix(rng, kind == "microtubule")
    density = density_of_points(points[:, ::-1], weights / PACKING, voxel_size)
    subunit = Structure.from_density(kind, density, voxel_size, keep_centre=True)
    return Filament(subunit, radius, rise, twist)


def add_filament(canvas: Canvas) -> None:
    """Paint one filament along a gently bent curve across the canvas; none if eight trials would cross something."""
    rng = canvas.rng
    filament = procedural_filament(rng, canvas.voxel_size, "microtubule" if rng.random() < 0.3 else "filament")
    size = np.array(canvas.shape) * canvas.voxel_size
    for _ in range(8):
        middle = rng.uniform(0.2, 0.8, 3) * size
        frame = random_frame(rng.normal(0, 1, 3) * [0.35, 1, 1], rng)
        bend = rng.normal(0, 1, 2) / rng.uniform(3000, 20000)
        half = np.linalg.norm(size) / 2 + 200
        s = np.arange(-half, half, filament.rise)
        # a parabola in two planes; local frames follow it
        local = np.stack([s, 0.5 * bend[0] * s**2, 0.5 * bend[1] * s**2], 1)
        curve = local @ frame.T + middle
        turns = np.radians(filament.twist) * np.arange(len(s)) + rng.uniform(0, 2 * np.pi)
        out = np.stack([np.zeros_like(s), np.sin(turns), np.cos(turns)], 1) @ frame.T
        along = np.stack([np.ones_like(s), bend[0] * s, bend[1] * s], 1) @ frame.T
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        out -= (out * along).sum(1, keepdims=True) * along
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        centres = (curve + filament.radius * out) / canvas.voxel_size - 0.5
        margin = 0.6 * filament.subunit.diameter / canvas.voxel_size
        last = np.array(canvas.shape) - 1
        near = ((centres > -margin) & (centres < last + margin)).all(1)
        rotations = np.stack([along, np.cross(out, along), out], 2)
        inside = np.clip(np.rint(centres[near]).astype(int), 0, last)
        if near.sum() >= 5 and not (canvas.labels[tuple(inside.T)] != ICE).any():
            canvas.draw(filament.subunit, rotations[near], centres[near], FILAMENT)
            canvas.occupy()
            return


def random_helix(rng: np.random.Generator, microtubule: bool) -> tuple[Points, Points, float, float, float]:
    """Points and weights of a subunit, and radius, rise and twist of its helix."""
    if microtubule:
        # three-start lattice, left-handed, monomers of 41 angstrom (Chretien & Wade 1991), on one start
        n = int(rng.choice([13, 14, 11, 16], p=[0.7, 0.2, 0.05, 0.05]))
        steps = pow(3, -1, n)
        points, weights = assembly(
            rng, 55, point_group("C1"), lambda p: np.linalg.norm(p * [1.0, 0.85, 0.85], axis=-1), (8, 13)
        )
        return points, weights, 112.0 * n / 13, 41 / n, -360 / n * steps
    kinds = [(17.0, 27.5, -166.7, 42), (19.0, 24.0, 170.0, 38), (42.0, 5.5, -65.5, 42), (22.0, 13.0, 100.0, 30)]
    radius, rise, twist, mass = kinds[int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))]
    factor = rng.uniform(0.9, 1.15)
    points, weights = assembly(
        rng, mass * factor**3, point_group("C1"), lambda p: np.linalg.norm(p * [0.8, 1.0, 1.2], axis=-1), (8, 16)
    )
    return points, weights, radius * factor, rise * factor, twist + rng.uniform(-1, 1)
