"""The volume of a scene while it is painted: who is where, what is taken, and copies of structures put into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import max_pool3d

from cryowae.fourier.rotation import rotate
from cryowae.specimen.structures import Structure

Shape = tuple[int, int, int]

ICE, MEMBRANE, FILAMENT, BEAD = 0, -1, -2, -3
"""Labels of what is no particle; particle `i` of a scene has label `i + 1`."""

MOST_LABELS = int(np.iinfo(np.int16).max)
"""Particles that labels can tell apart."""

LEVEL = 0.25
"""Density that counts as occupied: for labels and for the test of overlap."""

PATIENCE = 10
"""Copies of a structure in a row that find no room before the rest are given up."""

BATCH = {"cpu": 500_000, "cuda": 8_000_000}
"""Voxels that are rotated at once: what a cache holds, or what keeps a GPU busy."""


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
class Sphere:
    """A vesicle or a bead.

    Attributes
    ----------
    centre
        `(z, y, x)` position in scene voxels.
    radius
        Voxels; that of a vesicle ends in the middle of its membrane.
    """

    centre: tuple[float, float, float]
    radius: float


@dataclass
class Canvas:
    """Density on the device, labels and half-resolution occupancy on the CPU, and the particles placed so far."""

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
    ) -> int:
        """Place copies of a structure where there is room, until `PATIENCE` in a row find none; says how many."""
        before, misses = len(self.particles), 0
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
                corner = self._room(mask, rng, beyond) if misses < PATIENCE else None
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
        """Paint copies of a structure at given places, over one another where they touch; 0 < label: one particle each.

        What a particle displaces (lipid) is taken away first.
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

    def free_spot(self, reach: float, rng: np.random.Generator, field: int | None) -> NDArray[np.float64] | None:
        """Centre `(z, y, x)` of a ball of `reach` voxels that lies in the box and meets nothing; None if there is none.

        `field`: it lies in so many columns in the middle of x.
        """
        size = np.array(self.shape) - [0, 0, self.shape[2] - (field or self.shape[2])]
        first = (np.array(self.shape) - size) // 2 + reach
        last = first + size - 1 - 2 * reach
        free = ~self.occupied
        # half-resolution voxel i lies about voxel 2 i + 1/2; 2 more than covers its extent and the shift below
        far = 2 * ndimage.distance_transform_edt(free) > reach + 2 if self.occupied.any() else free
        where = 2 * np.argwhere(far) + 0.5
        where = where[((where >= first + 0.5) & (where <= last - 0.5)).all(1)]
        if len(where) == 0:
            return None
        return np.asarray(where[rng.integers(len(where))] + rng.uniform(-0.5, 0.5, 3))

    def draw_ball(
        self,
        centre: NDArray[np.float64],
        profile: Callable[[Tensor], Tensor],
        reach: float,
        shell: tuple[float, float],
        label: int,
    ) -> None:
        """Add a density that depends on the distance from a point alone, and take its place.

        Parameters
        ----------
        centre
            `(z, y, x)` voxels.
        profile
            Density at distances in voxels.
        reach
            Distance in voxels beyond which there is none.
        shell
            Between these two distances in voxels it is labelled.
        label
            With this.
        """
        corner = np.floor(centre - reach).astype(int)
        side = 2 * int(np.ceil(reach)) + 2
        there, _ = _overlap(corner, (side,) * 3, self.shape)
        axes = [
            torch.arange(s.start, s.stop, device=self.device) - float(c) for s, c in zip(there, centre, strict=True)
        ]
        distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
        self.density[there] += profile(distance)
        inside = (distance >= shell[0]) & (distance <= shell[1])
        self.labels[there][inside.cpu().numpy()] = label
        self.occupy()

    def copy(self) -> Canvas:
        """Itself as it is now."""
        other = Canvas(self.shape, self.voxel_size, self.device, list(self.particles))
        other.density = self.density.clone()
        other.labels, other.occupied = self.labels.copy(), self.occupied.copy()
        return other

    def occupy(self) -> None:
        """Make room for all that is labelled by now: nothing may be scattered there."""
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

    def _room(self, mask: NDArray[np.bool_], rng: np.random.Generator, beyond: bool) -> NDArray[np.int64] | None:
        """Corner, in voxels, of a box at which a half-resolution mask meets nothing; None after 60 trials."""
        where = np.argwhere(mask)
        if len(where) == 0:
            return None
        low, high = where.min(0), where.max(0) + 1
        tight = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        size = np.array(self.shape) // 2
        loose = np.array([0, 1, 1]) * (high - low) // 2 if beyond else np.zeros(3, dtype=int)
        first, last = -loose, size - (high - low) + loose
        if (last < first).any():
            return None
        trials = rng.integers(first, last + 1, (60, 3))
        # eight voxels of the mask tell most collisions at once
        probes = trials[:, None] + (where[(rng.random(8) * len(where)).astype(int)] - low)
        within = ((probes >= 0) & (probes < self.occupied.shape)).all(2)
        probes = np.clip(probes, 0, np.array(self.occupied.shape) - 1)
        free = ~(self.occupied[tuple(np.moveaxis(probes, 2, 0))] & within).any(1)
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


def _add(canvas: Tensor, boxes: Tensor, corners: NDArray[np.int64], displace: bool = False) -> None:
    """Add `(n, m, m, m)` boxes to a volume at their corners, cutting what sticks out; they may take what is there."""
    for box, corner in zip(boxes, corners, strict=True):
        there, here = _overlap(corner, tuple(box.shape), tuple(canvas.shape))
        if displace:
            canvas[there] *= 1 - box[here].clamp(0, 1)
        canvas[there] += box[here]
