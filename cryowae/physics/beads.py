"""Beads of colloidal gold, by which tilt series are aligned: the darkest thing in a tomogram, with streaks along z."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cryowae.physics.canvas import BEAD, Canvas, Sphere

GOLD = 9.0
"""Density of gold where protein is 1.

Its 0.0590 atoms in a cubic angstrom scatter 10.57 angstrom each at zero angle (Peng et al., Acta Cryst. A52, 1996):
0.624 angstrom per cubic angstrom, less 0.096 of vitreous ice. That is 13 times the 0.0407 of protein (see
`cryowae.physics.atomic`). A bead is no weak object though: the ray through the middle of 100 angstrom of gold in ice
is retarded by 1.65 radians at 300 kV (wavelength times path times 0.528), and the mean of `sin(phase) / phase` over
the disc, weighted with the phase, is 0.7. So it looks 9 times as dense as protein. Absorption is left out.
"""

EDGE = 0.5
"""Standard deviation in voxels of the blur of a bead's surface, which keeps it from aliasing."""


def add_bead(canvas: Canvas, diameter: float, rng: np.random.Generator, field: int | None = None) -> Sphere | None:
    """One bead that lies wholly in the box and meets nothing that is there.

    Parameters
    ----------
    canvas
        Where it is painted.
    diameter
        Angstrom.
    rng
        Source of randomness.
    field
        It lies in so many columns in the middle of x; all by default.

    Returns
    -------
    bead
        None where there is no room.
    """
    radius = diameter / 2 / canvas.voxel_size
    reach = radius + 4 * EDGE
    centre = canvas.free_spot(reach, rng, field)
    if centre is None:
        return None
    canvas.draw_ball(centre, lambda r: gold(r, radius), reach, (0.0, radius + EDGE), BEAD)
    z, y, x = (float(c) for c in centre)
    return Sphere((z, y, x), radius)


def gold(distance: Tensor, radius: float) -> Tensor:
    """Density at distances from a bead's centre; both in voxels."""
    return GOLD / 2 * torch.erfc((distance - radius) / (2**0.5 * EDGE))
