"""A volume in a random orientation: subtomograms lie in a specimen as it happens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.io.memory import require_memory
from cryowae.progress import Progress
from cryowae.tomogram import Tomogram

_SLAB_VOXELS = 2**22
_BYTES_PER_VOXEL = 4


@dataclass(frozen=True)
class Turn:
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
    def random(cls, seed: int) -> Turn:
        """One of all rotations, each as likely as the other."""
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


def turn(tomogram: Tomogram, by: Turn, level: float, out: NDArray[Any], progress: Progress) -> None:
    """Write a volume, turned about its centre `(n - 1) / 2`, by trilinear interpolation.

    Parameters
    ----------
    tomogram
        The volume, which is read into memory; what is turned is written a few sections at a time.
    by
        The rotation.
    level
        What lies beyond the box.
    out
        `(z, y, x)` of the volume's shape.
    progress
        Told of every section.

    Raises
    ------
    TomogramError
        If there is not enough memory.
    """
    z, y, x = tomogram.shape
    needed = math.prod(tomogram.shape) * _BYTES_PER_VOXEL
    require_memory(needed, f"turning {tomogram.path}", "cut a smaller volume out of it, or leave out --rotate")
    volume = torch.from_numpy(tomogram.read())
    volume -= level
    step = max(1, _SLAB_VOXELS // (y * x))
    progress.begin("rotation", z, "sections")
    for start in range(0, z, step):
        count = min(step, z - start)
        # positions are counted from the centre of what is written, here a slab
        shift = torch.tensor([[(z - 1) / 2 - (start + (count - 1) / 2), 0.0, 0.0]])
        slab = rotate(volume[None], by.matrix[None], shape=(count, y, x), shift=shift)[0]
        out[start : start + count] = (slab + level).numpy()
        progress.advance(count)
    progress.end()
