"""Crowded scenes: molecules in random orientation without overlap, among membranes, filaments and beads of gold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.fourier.rotation import random_rotations
from cryowae.specimen.beads import add_bead
from cryowae.specimen.canvas import FILAMENT, ICE, MEMBRANE, MOST_LABELS, Canvas, Particle, Shape, Sphere
from cryowae.specimen.filaments import Filament, procedural_filament
from cryowae.specimen.membranes import add_vesicle, membrane_distance, random_bilayer, surface_points
from cryowae.specimen.structures import Structure


@dataclass(frozen=True)
class Scene:
    """A volume of which everything is known.

    Attributes
    ----------
    density
        `(z, y, x)` float32: ice 0, protein about 1.
    labels
        `(z, y, x)` int16 on the CPU: `ICE`, `MEMBRANE`, `FILAMENT`, `BEAD`, or a particle's label.
    particles
        The molecules, those in membranes included.
    voxel_size
        Angstrom.
    vesicles, beads
        The spheres of bilayer and of gold.
    """

    density: Tensor
    labels: Tensor
    particles: tuple[Particle, ...]
    voxel_size: float
    vesicles: tuple[Sphere, ...] = ()
    beads: tuple[Sphere, ...] = ()


def make_scene(
    structures: Sequence[Structure],
    shape: Shape,
    voxel_size: float,
    rng: np.random.Generator,
    *,
    occupancy: float = 0.1,
    max_particles: int | None = None,
    equal: bool = False,
    membranes: int = 0,
    filaments: int = 0,
    vesicles: int = 0,
    beads: int = 0,
    bead_diameter: float = 100.0,
    field: int | None = None,
    membrane_proteins: Sequence[Structure] = (),
    jitter: float = 0.0,
    beyond: bool = False,
    device: torch.device | str = "cpu",
) -> Scene:
    """A random scene.

    Parameters
    ----------
    structures
        What to place; any voxel size.
    shape
        `(z, y, x)` voxels.
    voxel_size
        Angstrom.
    rng
        Source of randomness: the same state gives the same scene.
    occupancy
        Share of the volume that particles should fill: 0.1 is thin, 0.3 a cytoplasm. Placement is by random trial,
        largest first; smaller ones then fill the gaps, but a scene of large molecules alone may stay below it.
    max_particles
        Most particles to place, besides those in membranes.
    equal
        As many of each structure; in random proportions drawn anew for each scene otherwise.
    membranes, filaments, vesicles, beads
        How many of each; they are placed first, in this order, and fewer where there is not the room.
    bead_diameter
        Angstrom.
    field
        Vesicles and beads lie in so many columns in the middle of x; in all by default.
    membrane_proteins
        Structures that cross a membrane along their z axis (see `procedural_structure`); sown on the membranes.
    jitter
        Standard deviation of the logarithm of each particle's amplitude.
    beyond
        Particles may stick out of the box laterally (y and x), as in a window cut from a larger tomogram.
    device
        Where the density is painted.

    Returns
    -------
    scene
        Particles overlap neither one another nor membranes and filaments.
    """
    canvas = Canvas(shape, voxel_size, device)
    spin = torch.Generator().manual_seed(int(rng.integers(2**62)))
    for _ in range(membranes):
        _add_membrane(canvas, membrane_proteins, rng)
    for _ in range(filaments):
        _add_filament(canvas, procedural_filament(rng, voxel_size, _filament_kind(rng)), rng)
    bubbles = [add_vesicle(canvas, rng, field) for _ in range(vesicles)]
    gold = [add_bead(canvas, bead_diameter, rng, field) for _ in range(beads)]
    most = MOST_LABELS - len(canvas.particles)
    limit = most if max_particles is None else min(max_particles, most)
    if equal:
        canvas = _place_equal(canvas, structures, occupancy, limit, jitter, beyond, rng, spin)
    else:
        _place(canvas, structures, occupancy, limit, jitter, beyond, rng, spin, fill=max_particles is None)
    return Scene(
        canvas.density,
        torch.from_numpy(canvas.labels),
        tuple(canvas.particles),
        float(voxel_size),
        tuple(sphere for sphere in bubbles if sphere is not None),
        tuple(sphere for sphere in gold if sphere is not None),
    )


def _place(
    canvas: Canvas,
    structures: Sequence[Structure],
    occupancy: float,
    limit: int,
    jitter: float,
    beyond: bool,
    rng: np.random.Generator,
    spin: torch.Generator,
    fill: bool,
) -> None:
    """Scatter structures in random proportions; `fill`: what found no room leaves gaps for the smaller half."""
    wanted, choice, placed = canvas.volume * occupancy, list(structures), 0
    while choice and wanted > 0 and placed < limit:
        room = wanted
        for index, amplitudes in _draw(choice, wanted, limit - placed, jitter, rng):
            turns = random_rotations(len(amplitudes), spin)
            count = canvas.scatter(choice[index], turns, amplitudes, rng, beyond)
            placed += count
            wanted -= count * choice[index].volume
        if not fill or wanted < 0.05 * room:
            break
        choice = sorted(choice, key=lambda s: s.volume)[: len(choice) // 2]


def _place_equal(
    canvas: Canvas,
    structures: Sequence[Structure],
    occupancy: float,
    limit: int,
    jitter: float,
    beyond: bool,
    rng: np.random.Generator,
    spin: torch.Generator,
) -> Canvas:
    """The canvas with as many copies of each structure as fill the volume; fewer of all where one finds less room."""
    ordered = sorted(structures, key=lambda s: -s.volume)
    each = min(int(canvas.volume * occupancy / sum(s.volume for s in ordered)), limit // len(ordered)) if ordered else 0
    while each > 0:
        trial, found = canvas.copy(), each
        for structure in ordered:
            turns, amplitudes = random_rotations(each, spin), np.exp(rng.normal(0, jitter, each))
            found = trial.scatter(structure, turns, amplitudes, rng, beyond)
            if found < each:
                break
        else:
            return trial
        each = found
    return canvas


def _draw(
    structures: Sequence[Structure], volume: float, limit: int, jitter: float, rng: np.random.Generator
) -> list[tuple[int, NDArray[np.float64]]]:
    """How many of which structure fill a volume, and their amplitudes; the largest come first."""
    sizes = np.array([max(s.volume, 1.0) for s in structures])
    # between equal numbers (0) and equal volumes (1), which would be nearly all small ones
    share = (rng.dirichlet(np.full(len(sizes), 0.8)) + 1e-3) / sizes**0.6
    chance = share / share.sum()
    expected = volume / (chance @ sizes)
    most = int(np.ceil(expected * 1.5)) + 5
    drawn = rng.choice(len(sizes), min(most, 30_000), p=chance)
    drawn = drawn[: int(np.searchsorted(np.cumsum(sizes[drawn]), volume)) + 1][:limit]
    counts = np.bincount(drawn, minlength=len(sizes))
    order = [int(i) for i in np.argsort(-sizes) if counts[i] > 0]
    return [(i, np.exp(rng.normal(0, jitter, counts[i]))) for i in order]


def _add_membrane(canvas: Canvas, proteins: Sequence[Structure], rng: np.random.Generator) -> None:
    """One bilayer, kept off those that are there, with up to a protein every (200 angstrom)^2."""
    bilayer = random_bilayer(rng)
    distance = membrane_distance(canvas.shape, canvas.voxel_size, rng, canvas.device)
    for _ in range(8):
        inside = (distance.abs() < bilayer.reach).cpu().numpy()
        if inside.any() and not (inside & (canvas.labels != ICE)).any():
            break
        distance = membrane_distance(canvas.shape, canvas.voxel_size, rng, canvas.device)
    else:
        return
    canvas.density += bilayer.density(distance, canvas.voxel_size)
    canvas.labels[inside] = MEMBRANE
    if proteins:
        area = float((distance.abs() < canvas.voxel_size).sum()) / 2 * canvas.voxel_size**2
        count = rng.poisson(min(area / 200**2 * rng.uniform(0, 1), 200))
        points, normals = surface_points(distance, canvas.voxel_size, int(count), rng)
        chosen = rng.integers(0, len(proteins), len(points))
        taken: list[NDArray[np.float64]] = []
        for point, normal, which in zip(points, normals, chosen, strict=True):
            protein = proteins[which]
            reach = 0.8 * protein.diameter / canvas.voxel_size
            if all(((point - other) ** 2).sum() > reach**2 for other in taken):
                taken.append(point)
                turn = torch.from_numpy(_frame(normal, rng)).float()[None]
                canvas.draw(protein, turn, point[None], len(canvas.particles) + 1)
    canvas.occupy()


def _add_filament(canvas: Canvas, filament: Filament, rng: np.random.Generator) -> None:
    """One filament along a gently bent curve across the box; none if it would cross what is there."""
    size = np.array(canvas.shape) * canvas.voxel_size
    for _ in range(8):
        middle = rng.uniform(0.2, 0.8, 3) * size
        frame = _frame(rng.normal(0, 1, 3) * [0.35, 1, 1], rng)
        bend = rng.normal(0, 1, 2) / rng.uniform(3000, 20000)
        half = np.linalg.norm(size) / 2 + 200
        s = np.arange(-half, half, filament.rise)
        # a parabola in two planes, frames carried along it
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
        near = ((centres > -margin) & (centres < np.array(canvas.shape) - 1 + margin)).all(1)
        rotations = np.stack([along, np.cross(out, along), out], 2)
        if near.sum() < 5:
            continue
        inside = np.clip(np.rint(centres[near]).astype(int), 0, np.array(canvas.shape) - 1)
        if not (canvas.labels[tuple(inside.T)] != ICE).any():
            canvas.draw(filament.subunit, torch.from_numpy(rotations[near]).float(), centres[near], FILAMENT)
            canvas.occupy()
            return


def _filament_kind(rng: np.random.Generator) -> str:
    return "microtubule" if rng.random() < 0.3 else "filament"


def _frame(normal: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """`(3, 3)` proper rotation, spun at random, that takes the z axis `(1, 0, 0)` to a direction `(z, y, x)`."""
    first = normal / np.linalg.norm(normal)
    second = np.cross(rng.normal(0, 1, 3), first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], 1)
