"""The volume in which a specimen is built: density, labels, occupied space, and copies of structures.

Molecules are placed here: in random orientations, without overlap, in random proportions or in equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config import SceneConfig
from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.specimen.structures import Structure

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Corner = NDArray[np.int64]
Shape = tuple[int, int, int]
Position = tuple[float, float, float]
Slices = tuple[slice, ...]

ICE, MEMBRANE, FILAMENT, BEAD = 0, -1, -2, -3
"""Labels of voxels outside particles; particle `i` of a scene has label `i + 1`."""

MOST_LABELS = int(np.iinfo(np.int16).max)
"""Maximum number of particles: labels are 16-bit integers."""

LEVEL = 0.25
"""Density above which a voxel counts as occupied: for labels and for the test of overlap."""

PATIENCE = 10
"""Number of failed placements in a row after which the other copies of a structure are not tried."""

BATCH = {"cpu": 500_000, "cuda": 8_000_000}
"""Voxels that are rotated at once: they fit a CPU cache, or keep a GPU busy."""


@dataclass(frozen=True)
class Particle:
    """One molecule of a scene.

    Attributes
    ----------
    name
        Name of its structure.
    centre
        `(z, y, x)` position of the structure's box centre in scene voxels; not always inside the scene.
    rotation
        `(3, 3)`, acting on `(z, y, x)`: scene density at `centre + R p` is the structure's at `p`.
    label
        Its value in `Specimen.labels`.
    amplitude
        Factor on its density.
    """

    name: str
    centre: Position
    rotation: NDArray[np.float32]
    label: int
    amplitude: float = 1.0


class Canvas:
    """The specimen during its construction, with its source of randomness.

    Parameters
    ----------
    config
        Its extent, voxel size and `overhang` are used here, the rest by the functions that add objects.
    rng
        Source of randomness: the same state gives the same specimen.
    device
        Device of the density. Labels and half-resolution occupancy are on the CPU.
    """

    def __init__(self, config: SceneConfig, rng: np.random.Generator, device: torch.device | str = "cpu") -> None:
        self.config, self.rng, self.device = config, rng, device
        self.spin = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.shape, self.voxel_size = config.extent, config.voxel_size
        self.density = torch.zeros(self.shape, device=device)
        self.labels: NDArray[np.int16] = np.zeros(self.shape, dtype=np.int16)
        self.occupied = _halved(self.labels > 0)
        self.particles: list[Particle] = []

    def scatter(self, structure: Structure, amplitudes: Array) -> int:
        """Place copies of a structure at random where there is room, until `PATIENCE` in a row find none.

        Parameters
        ----------
        structure
            Any voxel size.
        amplitudes
            Factor on the density of each copy.

        Returns
        -------
        count
            Number of copies that found room.
        """
        before, misses = len(self.particles), 0
        rotations = random_rotations(len(amplitudes), self.spin)
        moves = self.rng.uniform(-1, 1, (len(rotations), 3))
        for i, (box, mask) in enumerate(self._copies(structure, rotations, moves)):
            corner = self._room(_halved(mask))
            misses = misses + 1 if corner is None else 0
            if misses == PATIENCE:
                break
            if corner is not None:
                centre = corner + (len(mask) - 1) / 2 + moves[i]
                self._put(box * float(amplitudes[i]), mask, corner, len(self.particles) + 1)
                self._record(structure, centre, rotations[i], float(amplitudes[i]))
        return len(self.particles) - before

    def draw_particle(self, structure: Structure, rotation: Array, centre: Array) -> None:
        """Paint one particle at a given place; it replaces the density there (lipid)."""
        self.draw(structure, rotation[None], centre[None], len(self.particles) + 1)
        self._record(structure, centre, torch.from_numpy(rotation).float(), 1.0)

    def draw(self, structure: Structure, rotations: Array, centres: Array, label: int) -> None:
        """Paint copies of a structure at given places, without an overlap test; particles replace the density there."""
        corners = np.floor(centres - (self._side(structure) - 1) / 2).astype(int)
        shifts = centres - (self._side(structure) - 1) / 2 - corners
        copies = self._copies(structure, torch.from_numpy(rotations).float(), shifts)
        for (box, mask), corner in zip(copies, corners, strict=True):
            self._put(box, mask, corner, label, displace=label > 0)

    def copy(self) -> Canvas:
        """A canvas that can be painted independently; it shares the source of randomness."""
        other = copy(self)
        other.density, other.particles = self.density.clone(), list(self.particles)
        other.labels, other.occupied = self.labels.copy(), self.occupied.copy()
        return other

    def occupy(self) -> None:
        """Mark all voxels that have a label as occupied: no molecules are placed there."""
        self.occupied |= _halved(self.labels != ICE)

    def _side(self, structure: Structure) -> int:
        """Even edge of a box that holds any rotation of a structure, moved by up to a voxel."""
        return 2 * (len(structure.resampled(self.voxel_size).density) // 2) + 4

    def _copies(self, structure: Structure, rotations: Tensor, shifts: Array) -> Iterator[tuple[Tensor, Mask]]:
        """Rotated copies in cubes, and their occupied voxels; interpolated from twice the scene's sampling."""
        fine = structure.resampled(self.voxel_size).resampled(self.voxel_size / 2)
        source, scale = fine.density.to(self.device), fine.voxel_size / self.voxel_size
        side = self._side(structure)
        each = max(BATCH["cuda" if "cuda" in str(self.device) else "cpu"] // side**3, 1)
        for turns, shift in zip(rotations.split(each), torch.from_numpy(shifts).float().split(each), strict=True):
            copies, shift = source.expand(len(turns), -1, -1, -1), shift.to(self.device)
            boxes = rotate(copies, turns.to(self.device), shape=(side, side, side), scale=scale, shift=shift)
            yield from zip(boxes, (boxes > LEVEL).cpu().numpy(), strict=True)

    def _room(self, mask: Mask) -> Corner | None:
        """Corner, in voxels, of a box at which a half-resolution mask has no overlap; None after 60 trials."""
        where = np.argwhere(mask)
        if len(where) == 0:
            return None
        low, high = where.min(0), where.max(0) + 1
        tight = mask[tuple(map(slice, low, high))]
        overhang = self.shape[2] > self.config.shape[2] if self.config.overhang is None else self.config.overhang
        loose = np.array([0, overhang, overhang]) * (high - low) // 2
        first, last = -loose, np.array(self.shape) // 2 - (high - low) + loose
        if (last < first).any():
            return None
        trials = self.rng.integers(first, last + 1, (60, 3))
        # eight voxels of the mask are enough to find most collisions
        probes = trials[:, None] + (where[(self.rng.random(8) * len(where)).astype(int)] - low)
        within = ((probes >= 0) & (probes < self.occupied.shape)).all(2)
        probes = np.clip(probes, 0, np.array(self.occupied.shape) - 1)
        free = ~(self.occupied[tuple(np.moveaxis(probes, 2, 0))] & within).any(1)
        for trial in trials[free]:
            there, here = overlap(trial, tight.shape, self.occupied.shape)
            if not (self.occupied[there] & tight[here]).any():
                self.occupied[there] |= tight[here]
                return np.asarray(2 * (trial - low), dtype=np.int64)
        return None

    def _put(self, box: Tensor, mask: Mask, corner: Corner, label: int, displace: bool = False) -> None:
        there, here = overlap(corner, mask.shape, self.shape)
        if displace:
            self.density[there] *= 1 - box[here].clamp(0, 1)
        self.density[there] += box[here]
        self.labels[there][mask[here]] = label

    def _record(self, structure: Structure, centre: Array, rotation: Tensor, amplitude: float) -> None:
        label = len(self.particles) + 1
        self.particles.append(Particle(structure.name, tuple(centre.tolist()), rotation.numpy(), label, amplitude))


def place_molecules(canvas: Canvas, structures: Sequence[Structure]) -> Canvas:
    """Place the molecules of `config.molecules` in the free space of the canvas.

    An occupancy of 0.1 is sparse, 0.3 is that of cytoplasm. Placement is by random trial, largest first; smaller ones
    then fill the gaps. A scene of large molecules alone may stay below its occupancy.

    Parameters
    ----------
    canvas
        The canvas to paint on.
    structures
        Structures to place; any voxel size.

    Returns
    -------
    canvas
        The same one or a copy, with the molecules.
    """
    molecules, most = canvas.config.molecules, MOST_LABELS - len(canvas.particles)
    limit = most if molecules.most is None else min(molecules.most, most)
    wanted = float(np.prod(canvas.shape)) * canvas.voxel_size**3 * molecules.occupancy
    return (_place_equal if molecules.equal else _place)(canvas, structures, wanted, limit)


def random_frame(normal: Array, rng: np.random.Generator) -> Array:
    """`(3, 3)` proper rotation, random about its axis, that takes the z axis `(1, 0, 0)` to a direction `(z, y, x)`."""
    first = normal / np.linalg.norm(normal)
    second = np.cross(rng.normal(0, 1, 3), first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], 1)


def overlap(corner: Corner, size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Slices, Slices]:
    """Slices of a volume and of a box placed at a corner in it, where they overlap."""
    first = np.maximum(corner, 0)
    last = np.maximum(np.minimum(corner + np.array(size), shape), first)
    return tuple(map(slice, first, last)), tuple(map(slice, first - corner, last - corner))


def _place(canvas: Canvas, structures: Sequence[Structure], wanted: float, limit: int) -> Canvas:
    """Place structures in random proportions; structures that find no room leave gaps for the smaller half."""
    choice, placed = list(structures), 0
    while choice and wanted > 0 and placed < limit:
        room = wanted
        for index, amplitudes in _draw(choice, wanted, limit - placed, canvas):
            found = canvas.scatter(choice[index], amplitudes)
            placed += found
            wanted -= found * choice[index].volume
        if canvas.config.molecules.most is not None or wanted < 0.05 * room:
            break
        choice = sorted(choice, key=lambda s: s.volume)[: len(choice) // 2]
    return canvas


def _place_equal(canvas: Canvas, structures: Sequence[Structure], wanted: float, limit: int) -> Canvas:
    """Equal numbers of all structures that fill the volume; fewer of all if one of them finds less room."""
    ordered, jitter = sorted(structures, key=lambda s: -s.volume), canvas.config.molecules.jitter
    each = min(int(wanted / sum(s.volume for s in ordered)), limit // len(ordered)) if ordered else 0
    while each > 0:
        trial, found = canvas.copy(), each
        for structure in ordered:
            found = trial.scatter(structure, np.exp(canvas.rng.normal(0, jitter, each)))
            if found < each:
                break
        else:
            return trial
        each = found
    return canvas


def _draw(structures: Sequence[Structure], volume: float, limit: int, canvas: Canvas) -> list[tuple[int, Array]]:
    """Copies of each structure that fill a volume, as their amplitudes; the largest structures come first."""
    rng, jitter = canvas.rng, canvas.config.molecules.jitter
    sizes = np.array([max(s.volume, 1.0) for s in structures])
    # between equal numbers (0) and equal volumes (1), which would be nearly all small ones
    share = (rng.dirichlet(np.full(len(sizes), 0.8)) + 1e-3) / sizes**0.6
    chance = share / share.sum()
    most = int(np.ceil(volume / (chance @ sizes) * 1.5)) + 5
    drawn = rng.choice(len(sizes), min(most, 30_000), p=chance)
    drawn = drawn[: int(np.searchsorted(np.cumsum(sizes[drawn]), volume)) + 1][:limit]
    counts = np.bincount(drawn, minlength=len(sizes))
    return [(int(i), np.exp(rng.normal(0, jitter, counts[i]))) for i in np.argsort(-sizes) if counts[i] > 0]


def _halved(mask: Mask) -> Mask:
    """A mask at half the resolution: a voxel is set if any of its eight is."""
    mask = np.pad(mask, [(0, n % 2) for n in mask.shape])
    mask = mask[::2] | mask[1::2]
    mask = mask[:, ::2] | mask[:, 1::2]
    return mask[:, :, ::2] | mask[:, :, 1::2]
