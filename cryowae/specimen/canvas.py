"""The volume of a specimen while it is painted: density, labels, occupied space, and copies of structures."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import max_pool3d

from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.specimen.structures import Structure

Shape = tuple[int, int, int]

ICE, MEMBRANE, FILAMENT, BEAD = 0, -1, -2, -3
"""Labels of what is no particle; particle `i` of a scene has label `i + 1`."""

MOST_LABELS = int(np.iinfo(np.int16).max)
"""Maximum number of particles: labels are 16-bit integers."""

LEVEL = 0.25
"""Density above which a voxel counts as occupied: for labels and for the test of overlap."""

PATIENCE = 10
"""After so many failures in a row to find room for a structure, its other copies are not tried."""

BATCH = {"cpu": 500_000, "cuda": 8_000_000}
"""Voxels that are rotated at once: they fit a CPU cache, or keep a GPU busy."""


@dataclass(frozen=True)
class Particle:
    """One molecule of a scene.

    Attributes
    ----------
    name
        Of its structure.
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
    centre: tuple[float, float, float]
    rotation: NDArray[np.float32]
    label: int
    amplitude: float = 1.0


@dataclass
class Canvas:
    """Density on the device, labels and half-resolution occupancy on the CPU, and the particles placed so far.

    Attributes
    ----------
    shape, voxel_size, device
        `(z, y, x)` voxels, angstrom, and where the density is.
    columns
        Whole spheres lie within so many columns in the middle of x.
    overhang
        Particles may stick out along y and x, as in a window cut from a larger tomogram.
    particles
        Those that were placed.
    """

    shape: Shape
    voxel_size: float
    device: torch.device | str
    columns: int
    overhang: bool
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
        self, structure: Structure, amplitudes: NDArray[np.float64], rng: np.random.Generator, spin: torch.Generator
    ) -> int:
        """Place copies of a structure at random where there is room, until `PATIENCE` in a row find none.

        Parameters
        ----------
        structure
            Any voxel size.
        amplitudes
            Factor on the density of each copy.
        rng, spin
            Source of the places, and of the rotations.

        Returns
        -------
        count
            How many found room.
        """
        before, misses = len(self.particles), 0
        rotations = random_rotations(len(amplitudes), spin)
        side = _side(structure, self.voxel_size)
        moves = rng.uniform(-1, 1, (len(rotations), 3))
        for batch in self._batches(len(rotations), side):
            turns, shifts, gains = rotations[batch], moves[batch], amplitudes[batch]
            boxes = self._paint(structure, turns, shifts, side)
            filled = boxes > LEVEL
            coarse = (max_pool3d(boxes[:, None], 2)[:, 0] > LEVEL).cpu().numpy()
            masks = filled.cpu().numpy()
            corners, placed = [], []
            for i, mask in enumerate(coarse):
                corner = self._room(mask, rng) if misses < PATIENCE else None
                misses = misses + 1 if corner is None else 0
                if corner is not None:
                    self._label(masks[i], corner, len(self.particles) + 1)
                    centre = corner + (side - 1) / 2 + shifts[i]
                    self._record(structure.name, centre, turns[i], float(gains[i]))
                    corners.append(corner)
                    placed.append(i)
            if placed:
                factor = torch.from_numpy(gains[placed]).to(boxes)[:, None, None, None]
                _add(self.density, boxes[placed] * factor, np.stack(corners))
            if misses >= PATIENCE:
                break
        return len(self.particles) - before

    def draw(self, structure: Structure, rotations: Tensor, centres: NDArray[np.float64], label: int) -> None:
        """Paint copies of a structure at given places, whatever is there.

        With a positive label, each copy is a particle: the first has this label, and what it displaces (lipid) is
        removed first.
        """
        side = _side(structure, self.voxel_size)
        corners = np.floor(centres - (side - 1) / 2).astype(int)
        for batch in self._batches(len(rotations), side):
            start = batch.start
            shifts = centres[batch] - (side - 1) / 2 - corners[batch]
            boxes = self._paint(structure, rotations[batch], shifts, side)
            masks = (boxes > LEVEL).cpu().numpy()
            _add(self.density, boxes, corners[batch], displace=label > 0)
            for i, mask in enumerate(masks):
                self._label(mask, corners[start + i], label + i + start if label > 0 else label)
                if label > 0:
                    self._record(structure.name, centres[start + i], rotations[start + i], 1.0)

    def copy(self) -> Canvas:
        """A copy that can be painted independently."""
        return deepcopy(self)

    def occupy(self) -> None:
        """Mark all voxels that have a label as occupied: nothing is scattered there."""
        odd = [(0, n % 2) for n in self.shape]
        full = np.pad(self.labels != ICE, odd)
        z, y, x = (n // 2 for n in full.shape)
        self.occupied |= full.reshape(z, 2, y, 2, x, 2).any(axis=(1, 3, 5))

    def _batches(self, count: int, side: int) -> list[slice]:
        each = max(BATCH["cuda" if "cuda" in str(self.device) else "cpu"] // side**3, 1)
        return [slice(start, start + each) for start in range(0, count, each)]

    def _paint(self, structure: Structure, rotations: Tensor, shifts: NDArray[np.float64], side: int) -> Tensor:
        """`(n, side, side, side)`: rotated copies, sampled from twice the scene's sampling."""
        fine = structure.resampled(self.voxel_size).resampled(self.voxel_size / 2)
        source = fine.density.to(self.device)[None].expand(len(rotations), -1, -1, -1)
        shift = torch.from_numpy(shifts).float().to(self.device)
        turns = rotations.to(self.device)
        scale = fine.voxel_size / self.voxel_size
        return rotate(source, turns, shape=(side, side, side), scale=scale, shift=shift)

    def _room(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Corner, in voxels, of a box at which a half-resolution mask meets nothing; None after 60 trials."""
        where = np.argwhere(mask)
        if len(where) == 0:
            return None
        low, high = where.min(0), where.max(0) + 1
        tight = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        size = np.array(self.shape) // 2
        loose = np.array([0, 1, 1]) * (high - low) // 2 if self.overhang else np.zeros(3, dtype=int)
        first, last = -loose, size - (high - low) + loose
        if (last < first).any():
            return None
        trials = rng.integers(first, last + 1, (60, 3))
        # eight voxels of the mask are enough to find most collisions
        probes = trials[:, None] + (where[(rng.random(8) * len(where)).astype(int)] - low)
        within = ((probes >= 0) & (probes < self.occupied.shape)).all(2)
        probes = np.clip(probes, 0, np.array(self.occupied.shape) - 1)
        free = ~(self.occupied[tuple(np.moveaxis(probes, 2, 0))] & within).any(1)
        for trial in trials[free]:
            there, here = overlap(trial, tight.shape, self.occupied.shape)
            if not (self.occupied[there] & tight[here]).any():
                self.occupied[there] |= tight[here]
                return np.asarray(2 * (trial - low), dtype=np.int64)
        return None

    def _label(self, mask: NDArray[np.bool_], corner: NDArray[np.int64], label: int) -> None:
        there, here = overlap(corner, mask.shape, self.shape)
        self.labels[there][mask[here]] = label

    def _record(self, name: str, centre: NDArray[np.float64], rotation: Tensor, amplitude: float) -> None:
        at = (float(centre[0]), float(centre[1]), float(centre[2]))
        self.particles.append(Particle(name, at, rotation.cpu().numpy(), len(self.particles) + 1, amplitude))


def random_frame(normal: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """`(3, 3)` proper rotation, random about its axis, that takes the z axis `(1, 0, 0)` to a direction `(z, y, x)`."""
    first = normal / np.linalg.norm(normal)
    second = np.cross(rng.normal(0, 1, 3), first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], 1)


def _side(structure: Structure, voxel_size: float) -> int:
    """Even edge of a box that holds any rotation of a structure, moved by up to a voxel."""
    return 2 * (len(structure.resampled(voxel_size).density) // 2) + 4


def overlap(
    corner: NDArray[np.int64], size: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of a volume and of a box placed at a corner in it, where they overlap."""
    there, here = [], []
    for c, n, limit in zip(corner, size, shape, strict=True):
        low, high = max(int(c), 0), max(min(int(c) + n, limit), max(int(c), 0))
        there.append(slice(low, high))
        here.append(slice(low - int(c), high - int(c)))
    return tuple(there), tuple(here)


def _add(canvas: Tensor, boxes: Tensor, corners: NDArray[np.int64], displace: bool = False) -> None:
    """Add `(n, m, m, m)` boxes to a volume at their corners; they may displace what is there."""
    for box, corner in zip(boxes, corners, strict=True):
        there, here = overlap(corner, tuple(box.shape), tuple(canvas.shape))
        if displace:
            canvas[there] *= 1 - box[here].clamp(0, 1)
        canvas[there] += box[here]
