"""Beads of colloidal gold, by which tilt series are aligned: the darkest thing in a tomogram, with streaks along z."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cryowae.config.scene import ImagingConfig
from cryowae.specimen.canvas import BEAD, Canvas, Sphere

GOLD = 9.0
"""Density of gold where protein is 1.

Its 0.0590 atoms in a cubic angstrom scatter 10.57 angstrom each at zero angle (Peng et al., Acta Cryst. A52, 1996):
0.624 angstrom per cubic angstrom, less 0.096 of vitreous ice. That is 13 times the 0.0407 of protein (see
`cryowae.specimen.atomic`). A bead is no weak object though: the ray through the middle of 100 angstrom of gold in ice
is retarded by 1.65 radians at 300 kV (wavelength times path times 0.528), and the mean of `sin(phase) / phase` over
the disc, weighted with the phase, is 0.7. So it looks 9 times as dense as protein.
"""

AMPLITUDE_CONTRAST = 0.25
"""Of gold, where protein has 0.07: the sine of the angle whose tangent is absorption over phase shift.

Of 300 kV electrons, 100 angstrom of gold scatter half elastically (mean free path 129 angstrom by Langmore and Smith,
Ultramicroscopy 46, 1992), nearly all of them wider than an objective aperture of 10 mrad, and some inelastically: the
amplitude falls by a factor exp(-0.42), and the phase shift is 1.65. Without it defocus would make a bead hollow.
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
    centre = canvas.free_spot(radius + 4 * EDGE, rng, field)
    if centre is None:
        return None
    z, y, x = (float(c) for c in centre)
    bead = Sphere((z, y, x), radius)
    _draw(canvas, bead)
    return bead


def gold_density(
    beads: Sequence[Sphere], shape: tuple[int, int, int], voxel_size: float, device: torch.device | str = "cpu"
) -> Tensor:
    """`(z, y, x)` density of beads and nothing else."""
    canvas = Canvas(shape, voxel_size, device)
    for bead in beads:
        _draw(canvas, bead)
    return canvas.density


def gold_imaging(imaging: ImagingConfig) -> ImagingConfig:
    """The microscope as gold sees it: with its own amplitude contrast."""
    return imaging.model_copy(update={"amplitude_contrast": max(imaging.amplitude_contrast, AMPLITUDE_CONTRAST)})


def _draw(canvas: Canvas, bead: Sphere) -> None:
    radius = bead.radius
    shell, reach = (0.0, radius + EDGE), radius + 4 * EDGE
    canvas.draw_ball(np.array(bead.centre), lambda r: _gold(r, radius), reach, shell, BEAD)


def _gold(distance: Tensor, radius: float) -> Tensor:
    """Density at distances from a bead's centre; both in voxels."""
    return GOLD / 2 * torch.erfc((distance - radius) / (2**0.5 * EDGE))
