"""Whole spheres: how vesicles and beads find room and are painted, and beads of gold.

Beads of colloidal gold are used to align tilt series. They are the darkest objects in a tomogram, with streaks along z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cryowae.specimen.canvas import BEAD, Canvas, overlap

GOLD = 9.0
"""Density of gold where protein is 1.

Its 0.0590 atoms in a cubic angstrom scatter 10.57 angstrom each at zero angle (Peng et al., Acta Cryst. A52, 1996):
0.624 angstrom per cubic angstrom, less 0.096 of vitreous ice. That is 13 times the 0.0407 of protein (see
`cryowae.specimen.atomic`). But a bead is not a weak phase object: the ray through the middle of 100 angstrom of gold
in ice has a phase shift of 1.65 radians at 300 kV (wavelength times path times 0.528), and the mean of
`sin(phase) / phase` over the disc, weighted with the phase, is 0.7. So it looks 9 times as dense as protein.
"""

EDGE = 0.5
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

    centre: tuple[float, float, float]
    radius: float


def add_bead(canvas: Canvas, diameter: float, rng: np.random.Generator) -> Sphere | None:
    """Paint one bead of a diameter in angstrom that lies whole within the canvas's columns and meets nothing.

    Returns
    -------
    bead
        None where there is no room.
    """
    radius = diameter / 2 / canvas.voxel_size
    centre = free_spot(canvas, radius + 4 * EDGE, rng)
    if centre is None:
        return None
    z, y, x = (float(c) for c in centre)
    bead = Sphere((z, y, x), radius)
    draw_bead(canvas, bead)
    return bead


def draw_bead(canvas: Canvas, bead: Sphere) -> None:
    """Paint a bead at its place."""
    radius = bead.radius

    def gold(distance: Tensor) -> Tensor:
        return GOLD / 2 * torch.erfc((distance - radius) / (2**0.5 * EDGE))

    draw_ball(canvas, np.array(bead.centre), gold, radius + 4 * EDGE, (0.0, radius + EDGE), BEAD)


def free_spot(canvas: Canvas, reach: float, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Random centre `(z, y, x)` of a ball of radius `reach` that meets nothing; None if there is no room.

    It lies within the middle `columns`.
    """
    size = np.array([*canvas.shape[:2], canvas.columns])
    first = (np.array(canvas.shape) - size) // 2 + reach
    last = first + size - 1 - 2 * reach
    free = ~canvas.occupied
    # half-resolution voxel i lies about voxel 2 i + 1/2; 2 more than covers its extent and the shift below
    far = 2 * ndimage.distance_transform_edt(free) > reach + 2 if canvas.occupied.any() else free
    where = 2 * np.argwhere(far) + 0.5
    where = where[((where >= first + 0.5) & (where <= last - 0.5)).all(1)]
    if len(where) == 0:
        return None
    return np.asarray(where[rng.integers(len(where))] + rng.uniform(-0.5, 0.5, 3))


def draw_ball(
    canvas: Canvas,
    centre: NDArray[np.float64],
    profile: Callable[[Tensor], Tensor],
    reach: float,
    shell: tuple[float, float],
    label: int,
) -> None:
    """Add a density that depends only on the distance from a point, and mark its place as occupied.

    Parameters
    ----------
    centre
        `(z, y, x)` voxels.
    profile
        Gives the density at distances in voxels.
    reach
        Distance in voxels beyond which there is none.
    shell, label
        Voxels between these two distances get this label.
    """
    corner = np.floor(centre - reach).astype(int)
    side = 2 * int(np.ceil(reach)) + 2
    there, _ = overlap(corner, (side,) * 3, canvas.shape)
    axes = [torch.arange(s.start, s.stop, device=canvas.device) - float(c) for s, c in zip(there, centre, strict=True)]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    canvas.density[there] += profile(distance)
    inside = (distance >= shell[0]) & (distance <= shell[1])
    canvas.labels[there][inside.cpu().numpy()] = label
    canvas.occupy()
