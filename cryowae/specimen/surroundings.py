"""The surroundings of molecules: filaments, whole spheres, beads of gold, and uneven ice.

Beads of colloidal gold are used to align tilt series. They are the darkest objects in a tomogram, with streaks along z.

The 0.0590 atoms of gold in a cubic angstrom scatter 10.57 angstrom each at zero angle (Peng et al., Acta Cryst. A52,
1996): 0.624 angstrom per cubic angstrom, less 0.096 of vitreous ice. That is 13 times the 0.0407 of protein (see
`cryowae.specimen.library`). But a bead is not a weak phase object: the ray through the middle of 100 angstrom of gold
in ice has a phase shift of 1.65 radians at 300 kV (wavelength times path times 0.528), and the mean of
`sin(phase) / phase` over the disc, weighted with the phase, is 0.7. So it looks 9 times as dense as protein.

Uneven ice is density of low frequency, as from a crowded solution or a bent film. White noise is smoothed so that waves
shorter than 300 angstrom have less than 4 % of the amplitude of the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cryowae.specimen.canvas import BEAD, FILAMENT, ICE, Canvas, Position, Slices, overlap, random_frame
from cryowae.specimen.procedural import procedural_filament

GOLD = 9.0
"""Density of gold where protein is 1."""

LENGTH = 120.0
"""Standard deviation in angstrom of the Gaussian that smooths white noise to uneven ice."""

_EDGE = 0.5  # standard deviation in voxels of the blur of a bead's surface, against aliasing

Profile = Callable[[Tensor], Tensor]
"""Density at distances in voxels from a centre."""


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

    centre: Position
    radius: float


def add_filament(canvas: Canvas) -> None:
    """Paint one filament along a slightly bent curve across the canvas; none if eight trials overlap other objects."""
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
        curve = np.stack([s, 0.5 * bend[0] * s**2, 0.5 * bend[1] * s**2], 1) @ frame.T + middle
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


def add_bead(canvas: Canvas) -> Sphere | None:
    """Paint one bead of the configured diameter without overlap; None if there is no room."""
    radius = canvas.config.bead_diameter / 2 / canvas.voxel_size
    centre = free_spot(canvas, radius + 4 * _EDGE)
    if centre is None:
        return None
    draw_ball(canvas, centre, _gold(radius), radius + 4 * _EDGE, (0.0, radius + _EDGE), BEAD)
    return Sphere(centre, radius)


def gold_density(beads: Sequence[Sphere], like: Tensor) -> Tensor:
    """Density of the beads alone, in a volume of the same size as another."""
    gold = torch.zeros_like(like)
    for bead in beads:
        _paint(gold, bead.centre, _gold(bead.radius), bead.radius + 4 * _EDGE)
    return gold


def uneven_ice(shape: tuple[int, int, int], voxel_size: float, spread: float, rng: np.random.Generator) -> Tensor:
    """A smooth random field.

    Parameters
    ----------
    shape
        `(z, y, x)` voxels.
    voxel_size
        Angstrom.
    spread
        Standard deviation of the ice.
    rng
        Source of randomness.

    Returns
    -------
    ice
        `(z, y, x)` float32 on the CPU, of mean 0.
    """
    sigma = LENGTH / voxel_size
    step = max(int(sigma / 3), 1)  # drawn on a grid of a third of its width, and interpolated
    margin = int(4 * sigma / step) + 1
    size = [(n - 1) // step + 2 + 2 * margin for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), sigma / step)
    coarse = coarse[margin:-margin, margin:-margin, margin:-margin]
    fine = refined(torch.from_numpy(coarse), step)[: shape[0], : shape[1], : shape[2]]
    return (fine - fine.mean()) * (spread / fine.std())


def refined(coarse: Tensor, step: int) -> Tensor:
    """`(step (n - 1) + 1, ...)`: a volume interpolated between `(n, ...)` samples that lie `step` voxels apart."""
    size = [step * (n - 1) + 1 for n in coarse.shape]
    return torch.nn.functional.interpolate(coarse[None, None], size, mode="trilinear", align_corners=True)[0, 0]


def free_spot(canvas: Canvas, reach: float) -> Position | None:
    """Random centre `(z, y, x)` of a ball of radius `reach` without overlap; None if there is no room.

    It lies completely within the box or the specimen, see `config.spheres_within`.
    """
    size = np.array(canvas.shape)
    if canvas.config.spheres_within == "box":
        size[2] = canvas.config.shape[2]
    first = (np.array(canvas.shape) - size) // 2 + reach
    last = first + size - 1 - 2 * reach
    free = ~canvas.occupied
    # half-resolution voxel i lies about voxel 2 i + 1/2; 2 more than covers its extent and the shift below
    far = 2 * ndimage.distance_transform_edt(free) > reach + 2 if canvas.occupied.any() else free
    where = 2 * np.argwhere(far) + 0.5
    where = where[((where >= first + 0.5) & (where <= last - 0.5)).all(1)]
    if len(where) == 0:
        return None
    return tuple((where[canvas.rng.integers(len(where))] + canvas.rng.uniform(-0.5, 0.5, 3)).tolist())


def draw_ball(
    canvas: Canvas, centre: Position, profile: Profile, reach: float, shell: tuple[float, float], label: int
) -> None:
    """Add a density that depends only on the distance from a point, and mark its voxels as occupied.

    Parameters
    ----------
    canvas
        The canvas to paint on.
    centre
        `(z, y, x)` voxels.
    profile
        Gives the density at distances in voxels.
    reach
        Distance in voxels beyond which the density is 0.
    shell, label
        Voxels between these two distances get this label.
    """
    there, distance = _paint(canvas.density, centre, profile, reach)
    inside = (distance >= shell[0]) & (distance <= shell[1])
    canvas.labels[there][inside.cpu().numpy()] = label
    canvas.occupy()


def _paint(density: Tensor, centre: Position, profile: Profile, reach: float) -> tuple[Slices, Tensor]:
    """Add a ball to a volume; returns its slices, and the distances from its centre there."""
    corner, side = np.floor(np.array(centre) - reach).astype(int), 2 * int(np.ceil(reach)) + 2
    there, _ = overlap(corner, (side,) * 3, tuple(density.shape))
    axes = [torch.arange(s.start, s.stop, device=density.device) - c for s, c in zip(there, centre, strict=True)]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    density[there] += profile(distance)
    return there, distance


def _gold(radius: float) -> Profile:
    """Density of a bead at distances in voxels."""
    return lambda distance: GOLD / 2 * torch.erfc((distance - radius) / (2**0.5 * _EDGE))
