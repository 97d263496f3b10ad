"""An opened volume, projected or rotated a few slabs at a time.

The orientation of a molecule in a specimen is arbitrary: a random rotation of its volume is equally probable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryowae.fourier.grids import axis_slabs
from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.imaging.projection import TiltGeometry, project
from cryowae.io.memory import require_memory
from cryowae.progress import Progress
from cryowae.tomogram import Tomogram

_PROJECTED_VOXELS = 2**24  # of the volume, at a time
_ROTATED_VOXELS = 2**22
_MATRIX_VOXELS = 2**20  # columns of the projection matrix, times tilts, that are computed at a time
_BYTES_PER_VOXEL = 4


def project_tomogram(tomogram: Tomogram, angles: Sequence[float], level: float, progress: Progress) -> Tensor:
    """Projections of an opened volume, a few tilts and rows at a time, to save memory.

    Parameters
    ----------
    tomogram
        The volume.
    angles
        Degrees, ascending, at least two.
    level
        Value that is subtracted from the volume.
    progress
        Receives the progress of every group of tilts.

    Returns
    -------
    series
        `(tilts, y, x)` float32, see `cryowae.imaging.projection.project`.
    """
    depth, rows, width = tomogram.shape
    groups = np.array_split(np.arange(len(angles)), max(1, len(angles) // max(2, _MATRIX_VOXELS // (depth * width))))
    series = torch.empty(len(angles), rows, width)
    for group in progress.track("projection", groups, "groups of tilts"):
        part = slice(int(group[0]), int(group[-1]) + 1)
        geometry = TiltGeometry(tuple(angles[part]), depth, width)
        for y in axis_slabs(rows, _PROJECTED_VOXELS // (depth * width)):
            slab = torch.from_numpy(tomogram.read(slice(None), y, slice(None)))
            series[part, y] = project(slab - level, geometry)
    return series


@dataclass(frozen=True)
class AxisAngle:
    """A rotation by an angle about an axis.

    Attributes
    ----------
    angle
        Degrees, 0 to 180, by the right-hand rule in right-handed axes x, y, z.
    axis
        `(z, y, x)` of unit length.
    """

    angle: float
    axis: tuple[float, float, float]

    @classmethod
    def random(cls, seed: int) -> AxisAngle:
        """A random rotation, uniformly distributed."""
        matrix = random_rotations(1, torch.Generator().manual_seed(seed))[0].double().numpy()
        x, y, z = (float(v) for v in Rotation.from_matrix(matrix[::-1, ::-1]).as_rotvec())
        angle = math.hypot(x, y, z)
        return cls(math.degrees(angle), (z / angle, y / angle, x / angle))

    @property
    def matrix(self) -> Tensor:
        """`(3, 3)` float32, acting on `(z, y, x)` column vectors."""
        vector = np.array(self.axis[::-1]) * math.radians(self.angle)
        return torch.from_numpy(Rotation.from_rotvec(vector).as_matrix()[::-1, ::-1].copy()).float()

    def __str__(self) -> str:
        z, y, x = self.axis
        return f"turned {self.angle:.1f} deg zyx {z:.2f} {y:.2f} {x:.2f}"


def rotate_tomogram(tomogram: Tomogram, turn: AxisAngle, level: float, out: NDArray[Any], progress: Progress) -> None:
    """Write a volume, rotated about its centre `(n - 1) / 2`, by trilinear interpolation.

    Parameters
    ----------
    tomogram
        The volume. It is read into memory; the result is written a few sections at a time.
    turn
        The rotation.
    level
        Value beyond the box.
    out
        `(z, y, x)` of the volume's shape.
    progress
        Receives the progress of every slab.

    Raises
    ------
    TomogramError
        If there is not enough memory.
    """
    z, y, x = tomogram.shape
    needed = math.prod(tomogram.shape) * _BYTES_PER_VOXEL
    require_memory(needed, f"rotating {tomogram.path}", "cut a smaller volume out of it, or leave out --rotate")
    volume = torch.from_numpy(tomogram.read())
    volume -= level
    for slab in progress.track("rotation", axis_slabs(z, _ROTATED_VOXELS // (y * x)), "slabs"):
        # positions are counted from the centre of the output, which is a slab here
        shift = torch.tensor([[(z - slab.start - slab.stop) / 2, 0.0, 0.0]])
        shape = (slab.stop - slab.start, y, x)
        out[slab] = (rotate(volume[None], turn.matrix[None], shape=shape, shift=shift)[0] + level).numpy()
