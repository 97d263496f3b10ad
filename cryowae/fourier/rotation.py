"""Rotation of volumes, batched and on any device.

Rotation matrices are proper (determinant +1) and act on `(z, y, x)` column vectors. There are no mirrors: molecules are
chiral, and their handedness must not change.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from cryowae.fourier.grids import frequency_grid
from cryowae.fourier.resampling import fourier_resample

RotationGroup = Literal["full", "about-z", "half-turns"]
"""The rotations after which a specimen is as likely as before, see `draw_rotations`."""

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


def draw_rotations(
    group: RotationGroup, n: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Random rotations of one of the groups under which a specimen may be invariant.

    | group | rotations | specimens for which it is legal |
    |---|---|---|
    | `full` | all of SO(3) | isotropic ones: particles without a preferred orientation |
    | `about-z` | by any angle about the beam z, and these after a half turn about y | slabs and membranes as well |
    | `half-turns` | by 180 degrees about z, y and x, and none | aligned filaments as well |

    The specimen must be as likely after a rotation as before. `about-z` assumes that no direction in the plane and
    neither side of the slab is preferred; `half-turns` assumes only that there is no preferred sense of an axis.

    Parameters
    ----------
    group
        `full`, `about-z` or `half-turns`. None of them has mirrors.
    n
        Number of rotations.
    generator
        Source of randomness, on the CPU.
    device
        Device of the result.

    Returns
    -------
    rotations
        `(n, 3, 3)` float32, independent and uniform over the group.
    """
    if group == "full":
        return random_rotations(n, generator, device)
    if group == "half-turns":
        chosen = torch.randint(len(HALF_TURNS), (n,), generator=generator).tolist()
        signs = torch.ones(n, 3)
        for row, turn in zip(signs, chosen, strict=True):
            row[list(HALF_TURNS[turn])] = -1
        return torch.diag_embed(signs).to(device)
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    over = 1.0 - 2.0 * torch.randint(2, (n,), generator=generator)
    rotations = torch.zeros(n, 3, 3, dtype=torch.float64)
    rotations[:, 0, 0] = over
    rotations[:, 1, 1], rotations[:, 1, 2] = angle.cos(), -angle.sin() * over
    rotations[:, 2, 1], rotations[:, 2, 2] = angle.sin(), angle.cos() * over
    return rotations.float().to(device)


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


def rotate_finely(volumes: Tensor, rotations: Tensor, *, shape: tuple[int, int, int] | None = None) -> Tensor:
    """As `rotate`, without the blur of the trilinear interpolation, for eight times the memory.

    The volume is interpolated at twice its sampling, which is exact by its spectrum, and the mean attenuation of the
    trilinear interpolation there is divided out. So a noisy volume keeps its fine detail, and its noise its power.

    Parameters
    ----------
    volumes
        `(n, z, y, x)` float32 or float64.
    rotations
        `(n, 3, 3)`, acting on `(z, y, x)` column vectors.
    shape
        `(z, y, x)` of the output box; the input's by default.

    Returns
    -------
    rotated
        `(n, *shape)`; zero outside the input. Voxels near the faces of the input depend on the opposite face.
    """
    z, y, x = volumes.shape[-3:]
    spectrum = torch.fft.rfftn(volumes, dim=(-3, -2, -1))
    for frequency in frequency_grid((z, y, x), volumes.device, volumes.dtype):
        spectrum = spectrum / torch.sinc(frequency / 2).square()  # at twice the sampling, all frequencies are halved
    sharp = torch.fft.irfftn(spectrum, s=(z, y, x), dim=(-3, -2, -1))
    fine = fourier_resample(sharp, (2 * z, 2 * y, 2 * x))
    return rotate(fine, rotations, shape=(z, y, x) if shape is None else shape, scale=0.5)
