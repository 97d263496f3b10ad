"""Lipid bilayers: vesicles and sheets with two leaflets about 40 angstrom apart, drawn from a signed distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryowae.fourier.grids import Device
from cryowae.specimen.canvas import ICE, MEMBRANE, Array, Canvas, Shape, random_frame
from cryowae.specimen.structures import Structure
from cryowae.specimen.surroundings import Sphere, draw_ball, free_spot, refined

VESICLES = (150.0, 400.0)
"""Radii of vesicles in angstrom, to the middle of the membrane: the smallest stable ones to large synaptic ones."""

COARSE = 4
"""Step in voxels: the distance, which is smooth, is computed on a coarser grid and interpolated."""


@dataclass(frozen=True)
class Bilayer:
    """Density profile of a membrane across its thickness; protein is 1.

    Attributes
    ----------
    spacing
        Distance between the two layers of head groups, angstrom (36 to 42 in cells).
    heads
        Density of the head groups.
    core
        Density of the hydrophobic middle: about that of water; lower, once defocus has removed low frequencies.
    width
        Standard deviation of a head-group layer, angstrom.
    """

    spacing: float = 39.0
    heads: float = 1.15
    core: float = -0.1
    width: float = 5.0

    @property
    def reach(self) -> float:
        """Half the thickness of the membrane with its tails, in angstrom: this space is occupied."""
        return self.spacing / 2 + 2 * self.width

    def density(self, distance: Tensor, voxel_size: float) -> Tensor:
        """Density at a signed distance from the middle of the membrane, both in angstrom."""
        width2 = self.width**2 + (0.4 * voxel_size) ** 2
        half = self.spacing / 2
        leaflets = torch.exp(-((distance.abs() - half) ** 2) / (2 * width2))
        middle = torch.exp(-(distance**2) / (2 * (0.6 * half) ** 2))
        return self.heads * leaflets + self.core * middle


def random_bilayer(rng: np.random.Generator) -> Bilayer:
    """A bilayer with random thickness and contrast: they vary between organelles and microscopes."""
    return Bilayer(rng.uniform(36, 42), rng.uniform(0.9, 1.35), rng.uniform(-0.2, 0.1), rng.uniform(4, 6))


def membrane_distance(shape: Shape, voxel_size: float, rng: np.random.Generator, device: Device = "cpu") -> Tensor:
    """Signed distance to a random membrane that crosses the box.

    Parameters
    ----------
    shape
        `(z, y, x)` voxels.
    voxel_size
        Angstrom.
    rng
        Source of randomness.
    device
        Device of the result.

    Returns
    -------
    distance
        `(z, y, x)` angstrom, negative inside: a vesicle (ellipsoid of radius 200 to 900 angstrom) or a sheet, bent by
        a few random waves. Exact on the membrane, approximate away from it (`f / |grad f|`).
    """
    axes = [torch.arange(-COARSE / 2, n + COARSE, COARSE, device=device, dtype=torch.float32) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    extent = np.array(shape) * voxel_size
    turn = np.linalg.qr(rng.normal(0, 1, (3, 3)))[0]  # also left-handed: waves and ellipsoids have no handedness
    if rng.random() < 0.65:
        radius = np.exp(rng.uniform(np.log(200), np.log(900)))
        semi = radius * np.exp(rng.normal(0, 0.2, 3))
        centre = rng.uniform(-0.15, 1.15, 3) * extent
        p = _local((z, y, x), centre / voxel_size, turn)
        scaled = torch.stack([c * (voxel_size / float(s)) for c, s in zip(p, semi, strict=True)]).norm(dim=0)
        level, amplitude = (scaled - 1) * radius, 0.12 * radius
    else:
        centre = rng.uniform(0.15, 0.85, 3) * extent
        p = _local((z, y, x), centre / voxel_size, turn)
        level, radius, amplitude = p[0] * voxel_size, 500.0, 60.0
    for _ in range(3):
        wave = rng.normal(0, 1, 3) / (radius * rng.uniform(0.6, 1.5))
        phase = rng.uniform(0, 2 * np.pi)
        angle = p[0] * float(wave[0]) + p[1] * float(wave[1]) + p[2] * float(wave[2])
        level = level + float(rng.uniform(0, amplitude)) * torch.sin(voxel_size * angle + phase)
    slope = torch.stack(torch.gradient(level, spacing=COARSE * voxel_size)).norm(dim=0)
    fine, start = refined(level / slope.clamp(min=0.3), COARSE), COARSE // 2
    return fine[start : start + shape[0], start : start + shape[1], start : start + shape[2]]


def add_membrane(canvas: Canvas, proteins: Sequence[Structure]) -> None:
    """Paint one bilayer without overlap, with up to one protein per (200 angstrom)^2.

    Parameters
    ----------
    canvas
        The canvas to paint on; it is unchanged if eight trials find no room.
    proteins
        Structures that cross a membrane along their z axis (see `procedural_structure`).
    """
    rng, size = canvas.rng, canvas.voxel_size
    bilayer = random_bilayer(rng)
    distance = membrane_distance(canvas.shape, size, rng, canvas.device)
    for _ in range(8):
        inside = (distance.abs() < bilayer.reach).cpu().numpy()
        if inside.any() and not (inside & (canvas.labels != ICE)).any():
            break
        distance = membrane_distance(canvas.shape, size, rng, canvas.device)
    else:
        return
    canvas.density += bilayer.density(distance, size)
    canvas.labels[inside] = MEMBRANE
    if proteins:
        area = float((distance.abs() < size).sum()) / 2 * size**2
        count = rng.poisson(min(area / 200**2 * rng.uniform(0, 1), 200))
        points, normals = surface_points(distance, size, int(count), rng)
        chosen = rng.integers(0, len(proteins), len(points))
        taken: list[Array] = []
        for point, normal, which in zip(points, normals, chosen, strict=True):
            reach = 0.8 * proteins[which].diameter / size
            if all(((point - other) ** 2).sum() > reach**2 for other in taken):
                taken.append(point)
                canvas.draw_particle(proteins[which], random_frame(normal, rng), point)
    canvas.occupy()


def add_vesicle(canvas: Canvas) -> Sphere | None:
    """Paint one closed sphere of bilayer without overlap.

    Returns
    -------
    vesicle
        Its radius is drawn from `VESICLES`, and reduced where there is too little room; None where there is no room.
    """
    bilayer, size = random_bilayer(canvas.rng), canvas.voxel_size
    smallest, largest = VESICLES
    length = np.exp(canvas.rng.uniform(np.log(smallest), np.log(largest)))
    tail = (bilayer.spacing / 2 + 3 * bilayer.width) / size  # half thickness of the membrane
    while (centre := free_spot(canvas, float(length / size) + tail + 1.5)) is None:
        if length <= smallest:
            return None
        length = max(0.85 * length, smallest)
    radius = float(length / size)
    reach = radius + tail + 1.5
    shell = (radius - bilayer.reach / size, radius + bilayer.reach / size)
    draw_ball(canvas, centre, lambda r: bilayer.density((r - radius) * size, size), reach, shell, MEMBRANE)
    return Sphere(centre, radius)


def surface_points(distance: Tensor, voxel_size: float, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random points on a membrane and its normals there.

    Returns
    -------
    points
        `(n, 3)` `(z, y, x)` voxels, n at most `count`: fewer where the membrane hardly crosses the box.
    normals
        `(n, 3)` unit vectors `(z, y, x)` pointing outwards.
    """
    where = np.argwhere((distance[1:-1, 1:-1, 1:-1].abs() < 0.5 * voxel_size).cpu().numpy()) + 1
    where = where[rng.permutation(len(where))[:count]]
    normals = np.empty(where.shape)
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        ahead, behind = (torch.from_numpy(where + s * step).T.to(distance.device) for s in (1, -1))
        normals[:, axis] = (distance[tuple(ahead)] - distance[tuple(behind)]).cpu().numpy()
    length = np.linalg.norm(normals, axis=1)
    good = length > 0
    return where[good].astype(float), normals[good] / length[good, None]


def _local(grid: tuple[Tensor, ...], centre: Array, turn: Array) -> list[Tensor]:
    """Coordinates in a turned frame about a centre, voxels."""
    moved = [axis - float(c) for axis, c in zip(grid, centre, strict=True)]
    return [moved[0] * float(r[0]) + moved[1] * float(r[1]) + moved[2] * float(r[2]) for r in turn]
