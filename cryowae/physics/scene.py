"""Crowded scenes: molecules in random orientation without overlap, among membranes and filaments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import max_pool3d

from cryowae.physics.membranes import membrane_distance, random_bilayer, surface_points
from cryowae.physics.procedural import Filament, procedural_filament
from cryowae.physics.rotation import random_rotations, rotate
from cryowae.physics.structures import Structure

Shape = tuple[int, int, int]

ICE, MEMBRANE, FILAMENT = 0, -1, -2
"""Labels of what is no particle; particle `i` of a scene has label `i + 1`."""

LEVEL = 0.25
"""Density that counts as occupied: for labels and for the test of overlap."""

BATCH = 4_000_000
"""Voxels that are rotated at once."""


@dataclass(frozen=True)
class Particle:
    """One molecule of a scene.

    Attributes
    ----------
    name
        The structure's.
    centre
        `(z, y, x)` position of the structure's box centre in scene voxels; not always inside the scene.
    rotation
        `(3, 3)`, acting on `(z, y, x)`: scene density at `centre + R p` is the structure's at `p`.
    label
        Its value in `Scene.labels`.
    amplitude
        Factor on its density.
    """

    name: str
    centre: tuple[float, float, float]
    rotation: NDArray[np.float32]
    label: int
    amplitude: float = 1.0


@dataclass(frozen=True)
class Scene:
    """A volume of which everything is known.

    Attributes
    ----------
    density
        `(z, y, x)` float32: ice 0, protein about 1.
    labels
        `(z, y, x)` int16 on the CPU: `ICE`, `MEMBRANE`, `FILAMENT`, or a particle's label.
    particles
        The molecules, those in membranes included.
    voxel_size
        Angstrom.
    """

    density: Tensor
    labels: Tensor
    particles: tuple[Particle, ...]
    voxel_size: float


def make_scene(
    structures: Sequence[Structure],
    shape: Shape,
    voxel_size: float,
    rng: np.random.Generator,
    *,
    occupancy: float = 0.1,
    max_particles: int | None = None,
    membranes: int = 0,
    filaments: int = 0,
    membrane_proteins: Sequence[Structure] = (),
    jitter: float = 0.0,
    beyond: bool = False,
    device: torch.device | str = "cpu",
) -> Scene:
    """A random scene.

    Parameters
    ----------
    structures
        What to place, in random proportions drawn anew for each scene; any voxel size.
    shape
        `(z, y, x)` voxels.
    voxel_size
        Angstrom.
    rng
        Source of randomness: the same state gives the same scene.
    occupancy
        Share of the volume that particles should fill: 0.1 is thin, 0.3 a cytoplasm. Placement is by random trial,
        largest first, so a scene of large molecules alone may stay below it.
    max_particles
        Most particles to place, besides those in membranes.
    membranes, filaments
        How many of each; they are placed first.
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
    canvas = _Canvas(shape, voxel_size, device)
    spin = torch.Generator().manual_seed(int(rng.integers(2**62)))
    for _ in range(membranes):
        _add_membrane(canvas, membrane_proteins, rng)
    for _ in range(filaments):
        _add_filament(canvas, procedural_filament(rng, voxel_size, _filament_kind(rng)), rng)
    if structures and occupancy > 0 and (max_particles is None or max_particles > 0):
        for index, amplitudes in _draw(structures, canvas.volume * occupancy, max_particles, jitter, rng):
            canvas.scatter(structures[index], random_rotations(len(amplitudes), spin), amplitudes, rng, beyond)
    return Scene(canvas.density, torch.from_numpy(canvas.labels), tuple(canvas.particles), float(voxel_size))


@dataclass
class _Canvas:
    """The scene while it is being made: density on the device, labels and half-resolution occupancy on the CPU."""

    shape: Shape
    voxel_size: float
    device: torch.device | str
    particles: list[Particle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.density = torch.zeros(self.shape, device=self.device)
        self.labels: NDArray[np.int16] = np.zeros(self.shape, dtype=np.int16)
        self.occupied: NDArray[np.bool_] = np.zeros([(n + 1) // 2 for n in self.shape], dtype=bool)

    @property
    def volume(self) -> float:
        """Cubic angstrom."""
        return float(np.prod(self.shape)) * self.voxel_size**3

    def scatter(
        self,
        structure: Structure,
        rotations: Tensor,
        amplitudes: NDArray[np.float64],
        rng: np.random.Generator,
        beyond: bool,
    ) -> None:
        """Place copies of a structure where there is room; those that find none are left out."""
        side = _side(structure, self.voxel_size)
        for start in range(0, len(rotations), max(BATCH // side**3, 1)):
            batch = slice(start, start + max(BATCH // side**3, 1))
            turns = rotations[batch]
            shifts = rng.uniform(-1, 1, (len(turns), 3))
            boxes = self._paint(structure, turns, shifts, side)
            filled = boxes > LEVEL
            coarse = (max_pool3d(boxes[:, None], 2)[:, 0] > LEVEL).cpu().numpy()
            masks = filled.cpu().numpy()
            corners, placed = [], []
            for i, mask in enumerate(coarse):
                corner = self._room(mask, rng, beyond)
                if corner is not None:
                    self._label(masks[i], corner, len(self.particles) + 1)
                    centre = corner + (side - 1) / 2 + shifts[i]
                    self._record(structure.name, centre, turns[i], float(amplitudes[start + i]))
                    corners.append(corner)
                    placed.append(i)
            if placed:
                gains = torch.from_numpy(amplitudes[start:][placed]).to(boxes)
                _add(self.density, boxes[placed] * gains[:, None, None, None], np.stack(corners))

    def draw(self, structure: Structure, rotations: Tensor, centres: NDArray[np.float64], label: int) -> None:
        """Paint copies of a structure at given places, over one another where they touch; 0 < label: one particle each.

        What a particle displaces (lipid) is taken away first.
        """
        side = _side(structure, self.voxel_size)
        corners = np.floor(centres - (side - 1) / 2).astype(int)
        for start in range(0, len(rotations), max(BATCH // side**3, 1)):
            batch = slice(start, start + max(BATCH // side**3, 1))
            shifts = centres[batch] - (side - 1) / 2 - corners[batch]
            boxes = self._paint(structure, rotations[batch], shifts, side)
            masks = (boxes > LEVEL).cpu().numpy()
            if label > 0:
                gone = torch.zeros_like(self.density)
                _add(gone, boxes.clamp(0, 1), corners[batch])
                self.density *= 1 - gone.clamp(max=1)
            _add(self.density, boxes, corners[batch])
            for i, mask in enumerate(masks):
                self._label(mask, corners[start + i], label + i + start if label > 0 else label)
                if label > 0:
                    self._record(structure.name, centres[start + i], rotations[start + i], 1.0)

    def occupy(self) -> None:
        """Make room for all that is labelled by now: nothing may be scattered there."""
        odd = [(0, n % 2) for n in self.shape]
        full = np.pad(self.labels != ICE, odd)
        z, y, x = (n // 2 for n in full.shape)
        self.occupied |= full.reshape(z, 2, y, 2, x, 2).any(axis=(1, 3, 5))

    def _paint(self, structure: Structure, rotations: Tensor, shifts: NDArray[np.float64], side: int) -> Tensor:
        """`(n, side, side, side)`: rotated copies, sampled from twice the scene's sampling."""
        fine = structure.resampled(self.voxel_size).resampled(self.voxel_size / 2)
        source = fine.density.to(self.device)[None].expand(len(rotations), -1, -1, -1)
        shift = torch.from_numpy(shifts).float().to(self.device)
        turns = rotations.to(self.device)
        scale = fine.voxel_size / self.voxel_size
        return rotate(source, turns, shape=(side, side, side), scale=scale, shift=shift)

    def _room(self, mask: NDArray[np.bool_], rng: np.random.Generator, beyond: bool) -> NDArray[np.int64] | None:
        """Corner, in voxels, of a box at which a half-resolution mask meets nothing; None after 60 trials."""
        where = np.argwhere(mask)
        low, high = where.min(0), where.max(0) + 1
        tight = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        size = np.array(self.shape) // 2
        loose = np.array([0, 1, 1]) * (high - low) // 2 if beyond else np.zeros(3, dtype=int)
        first, last = -loose, size - (high - low) + loose
        if (last < first).any():
            return None
        trials = rng.integers(first, last + 1, (60, 3))
        middle = np.clip(trials + (high - low) // 2, 0, size - 1)
        free = ~self.occupied[tuple(middle.T)] if tight[tuple(n // 2 for n in tight.shape)] else np.ones(60, dtype=bool)
        for trial in trials[free]:
            there, here = _overlap(trial, tight.shape, self.occupied.shape)
            if not (self.occupied[there] & tight[here]).any():
                self.occupied[there] |= tight[here]
                return np.asarray(2 * (trial - low), dtype=np.int64)
        return None

    def _label(self, mask: NDArray[np.bool_], corner: NDArray[np.int64], label: int) -> None:
        there, here = _overlap(corner, mask.shape, self.shape)
        self.labels[there][mask[here]] = label

    def _record(self, name: str, centre: NDArray[np.float64], rotation: Tensor, amplitude: float) -> None:
        at = (float(centre[0]), float(centre[1]), float(centre[2]))
        self.particles.append(Particle(name, at, rotation.cpu().numpy(), len(self.particles) + 1, amplitude))


def _draw(
    structures: Sequence[Structure], volume: float, limit: int | None, jitter: float, rng: np.random.Generator
) -> list[tuple[int, NDArray[np.float64]]]:
    """How many of which structure fill a volume, and their amplitudes; the largest come first."""
    sizes = np.array([max(s.volume, 1.0) for s in structures])
    # between equal numbers (0) and equal volumes (1), which would be nearly all small ones
    share = (rng.dirichlet(np.full(len(sizes), 0.8)) + 1e-3) / sizes**0.6
    chance = share / share.sum()
    expected = volume / (chance @ sizes)
    most = int(np.ceil(expected * 1.5)) + 5
    drawn = rng.choice(len(sizes), min(most, 30_000), p=chance)
    drawn = drawn[: int(np.searchsorted(np.cumsum(sizes[drawn]), volume)) + 1]
    if limit is not None:
        drawn = drawn[:limit]
    counts = np.bincount(drawn, minlength=len(sizes))
    order = [int(i) for i in np.argsort(-sizes) if counts[i] > 0]
    return [(i, np.exp(rng.normal(0, jitter, counts[i]))) for i in order]


def _add_membrane(canvas: _Canvas, proteins: Sequence[Structure], rng: np.random.Generator) -> None:
    """One bilayer, kept off those that are there, with up to a protein every (200 angstrom)^2."""
    bilayer = random_bilayer(rng)
    thickness = bilayer.spacing / 2 + 2 * bilayer.width
    distance = membrane_distance(canvas.shape, canvas.voxel_size, rng, canvas.device)
    for _ in range(8):
        inside = (distance.abs() < thickness).cpu().numpy()
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


def _add_filament(canvas: _Canvas, filament: Filament, rng: np.random.Generator) -> None:
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


def _side(structure: Structure, voxel_size: float) -> int:
    """Even box that holds any rotation of a structure, moved by up to a voxel."""
    return 2 * (len(structure.resampled(voxel_size).density) // 2) + 4


def _overlap(
    corner: NDArray[np.int64], size: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of a volume and of a box placed at a corner in it, where they overlap."""
    there, here = [], []
    for c, n, limit in zip(corner, size, shape, strict=True):
        low, high = max(int(c), 0), max(min(int(c) + n, limit), max(int(c), 0))
        there.append(slice(low, high))
        here.append(slice(low - int(c), high - int(c)))
    return tuple(there), tuple(here)


def _add(canvas: Tensor, boxes: Tensor, corners: NDArray[np.int64]) -> None:
    """Add `(n, m, m, m)` boxes to a volume at their corners, cutting what sticks out."""
    for box, corner in zip(boxes, corners, strict=True):
        there, here = _overlap(corner, tuple(box.shape), tuple(canvas.shape))
        canvas[there] += box[here]
