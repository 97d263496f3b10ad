"""Whole spheres: room for vesicles and beads, their painting, and beads of gold.

Beads of colloidal gold are used to align tilt series. They are the darkest objects in a tomogram, with streaks along z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cryowae.specimen.canvas import BEAD, Canvas, Position, overlap, position

GOLD = 9.0
"""Density of gold where protein is 1.

Its 0.0590 atoms in a cubic angstrom scatter 10.57 angstrom each at zero angle (Peng et al., Acta Cryst. A52, 1996):
0.624 angstrom per cubic angstrom, less 0.096 of vitreous ice. That is 13 times the 0.0407 of protein (see
`cryowae.specimen.atomic`). But a bead is not a weak phase object: the ray through the middle of 100 angstrom of gold
in ice has a phase shift of 1.65 radians at 300 kV (wavelength times path times 0.528), and the mean of
`sin(phase) / phase` over the disc, weighted with the phase, is 0.7. So it looks 9 times as dense as protein.
"""

_EDGE = 0.5
"""Standard deviation in voxels of the blur of a bead's surface, against aliasing."""


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


def add_bead(canvas: Canvas) -> Sphere | None:
    """Paint one bead of the configured diameter where it meets nothing; None if there is no room."""
    radius = canvas.config.bead_diameter / 2 / canvas.voxel_size
    centre = free_spot(canvas, radius + 4 * _EDGE)
    if centre is None:
        return None
    bead = Sphere(centre, radius)
    draw_ball(canvas, centre, _gold(radius), radius + 4 * _EDGE, (0.0, radius + _EDGE), BEAD)
    return bead


def gold_density(beads: Sequence[Sphere], like: Tensor) -> Tensor:
    """Density of beads and nothing else, in a volume of the same size as another."""
    gold = torch.zeros_like(like)
    for bead in beads:
        _paint(gold, bead.centre, _gold(bead.radius), bead.radius + 4 * _EDGE)
    return gold


def free_spot(canvas: Canvas, reach: float) -> Position | None:
    """Random centre `(z, y, x)` of a ball of radius `reach` that meets nothing; None if there is no room.

    It lies whole within the box or the specimen, as `config.spheres_within` says.
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
    return position(where[canvas.rng.integers(len(where))] + canvas.rng.uniform(-0.5, 0.5, 3))


def draw_ball(
    canvas: Canvas,
    centre: Position,
    profile: Callable[[Tensor], Tensor],
    reach: float,
    shell: tuple[float, float],
    label: int,
) -> None:
    """Add a density that depends only on the distance from a point, and mark its place as occupied.

    Parameters
    ----------
    canvas
        Where it is painted.
    centre
        `(z, y, x)` voxels.
    profile
        Gives the density at distances in voxels.
    reach
        Distance in voxels beyond which there is none.
    shell, label
        Voxels between these two distances get this label.
    """
    there, distance = _paint(canvas.density, centre, profile, reach)
    inside = (distance >= shell[0]) & (distance <= shell[1])
    canvas.labels[there][inside.cpu().numpy()] = label
    canvas.occupy()


def _paint(
    density: Tensor, centre: Position, profile: Callable[[Tensor], Tensor], reach: float
) -> tuple[tuple[slice, ...], Tensor]:
    """Add a ball to a volume; where that is, and the distances from its centre there."""
    corner, side = np.floor(np.array(centre) - reach).astype(int), 2 * int(np.ceil(reach)) + 2
    there, _ = overlap(corner, (side,) * 3, tuple(density.shape))
    axes = [torch.arange(s.start, s.stop, device=density.device) - c for s, c in zip(there, centre, strict=True)]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    density[there] += profile(distance)
    return there, distance


def _gold(radius: float) -> Callable[[Tensor], Tensor]:
    """Density of a bead at distances in voxels."""
    return lambda distance: GOLD / 2 * torch.erfc((distance - radius) / (2**0.5 * _EDGE))
