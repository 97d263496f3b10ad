"""Rotation of volumes, batched and on any device.

Rotation matrices are proper (determinant +1) and act on `(z, y, x)` column vectors. There are no mirrors: molecules are
chiral, and their handedness must not change.
"""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

HALF_TURNS: tuple[tuple[int, ...], ...] = ((), (-2, -1), (-3, -1), (-3, -2))
"""The identity and the half turns about z, y and x, which map a symmetric tilt range onto itself.

They are given as the axes of `(..., z, y, x)` to flip: voxels are exchanged, and nothing is interpolated."""


def random_rotations(n: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Random rotations, uniformly distributed.

    Parameters
    ----------
    n
        Number of rotations.
    generator
        Source of randomness, on the CPU.
    device
        Device of the result.

    Returns
    -------
    rotations
        `(n, 3, 3)` float32, uniform with respect to the Haar measure: normalised Gaussian quaternions
        (Shoemake, Graphics Gems III, 1992).
    """
    # scalar last, as SciPy has it; the vector part is along (z, y, x)
    quaternions = torch.randn(n, 4, generator=generator, dtype=torch.float64).roll(-1, dims=1)
    return torch.from_numpy(Rotation.from_quat(quaternions.numpy()).as_matrix()).float().to(device)


def rotate(
    volumes: Tensor,
    rotations: Tensor,
    *,
    shape: tuple[int, int, int] | None = None,
    scale: float = 1.0,
    shift: Tensor | None = None,
) -> Tensor:
    """Rotate volumes about their centres: `output(p) = input(R^T (p - shift) / scale)`.

    Positions are counted from the centre `(n - 1) / 2` of the input and of the output box.

    Parameters
    ----------
    volumes
        `(n, z, y, x)` floating point.
    rotations
        `(n, 3, 3)`, acting on `(z, y, x)` column vectors.
    shape
        `(z, y, x)` of the output box; the input's by default.
    scale
        Magnification: 2 draws the object twice as large in voxels.
    shift
        `(n, 3)` displacement `(z, y, x)` in output voxels.

    Returns
    -------
    rotated
        `(n, *shape)`, by trilinear interpolation, zero outside the input.
    """
    target = tuple(volumes.shape[-3:]) if shape is None else shape
    # affine_grid works in (x, y, z) and in units of half a box edge: pixel = (coordinate * n - 1) / 2 + n / 2
    size_in = volumes.new_tensor(volumes.shape[-3:])
    size_out = volumes.new_tensor(target)
    inverse = rotations.to(volumes).transpose(1, 2) / scale
    offset = volumes.new_zeros(len(volumes), 3) if shift is None else shift.to(volumes)
    linear = inverse * size_out[None, None, :] / size_in[None, :, None]
    constant = -(inverse @ offset[:, :, None]) * 2 / size_in[None, :, None]
    theta = torch.cat([linear, constant], dim=2).flip(1)
    theta = torch.cat([theta[:, :, :3].flip(2), theta[:, :, 3:]], dim=2)
    grid = affine_grid(theta, [len(volumes), 1, *target], align_corners=False)
    return grid_sample(volumes[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]
