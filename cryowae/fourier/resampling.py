"""Another sampling of a volume: axis by axis, about its centre, without aliasing."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from cryowae.errors import TomogramError

LARGEST = 2.0
"""Largest factor by which a voxel size is changed: beyond it a network would be shown what it does not know."""

_DENOMINATORS = 8


def resample(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Resample a volume by cubic convolution, low-passed where it gets coarser.

    The faces of the volume stay where they are: voxel `i` of `n` lies at `(i + 1/2) / n` of the axis.

    Parameters
    ----------
    volume
        `(..., z, y, x)`.
    shape
        New `(z, y, x)`.

    Returns
    -------
    resampled
        `(..., *shape)`.
    """
    for axis, n in zip((-3, -2, -1), shape, strict=True):
        if volume.shape[axis] != n:
            matrix = _matrix(volume.shape[axis], n, volume.device).to(volume.dtype)
            volume = torch.movedim(torch.movedim(volume, axis, -1) @ matrix.T, -1, axis)
    return volume


def resampling_ratio(voxel_size: float, known: tuple[float, float]) -> Fraction:
    """Voxels after resampling over voxels before, so that the voxel size is one of the known: 1 if it is already.

    Parameters
    ----------
    voxel_size
        Angstrom.
    known
        Least and largest voxel size that will do.

    Returns
    -------
    ratio
        The fraction with a denominator of at most 8 that is nearest to 1.

    Raises
    ------
    TomogramError
        If the voxel size would have to change by more than a factor of 2.
    """
    low, high = known
    slack = 1 + 1e-3  # headers round
    if low / slack <= voxel_size <= high * slack:
        return Fraction(1)
    candidates = {Fraction(p, q) for q in range(1, _DENOMINATORS + 1) for p in range(1, 2 * q + 1)}
    fitting = [r for r in candidates if low / slack <= voxel_size / r <= high * slack and r >= 1 / LARGEST]
    if not fitting:
        raise TomogramError(
            f"got a voxel size of {voxel_size:g} Å, expected {low / LARGEST:g} to {high * LARGEST:g} Å: the model "
            f"knows {low:g} to {high:g} Å, and resampling by more than {LARGEST:g} would show it the unknown; bin the "
            "tomogram, or name other weights with --model"
        )
    return min(fitting, key=lambda r: (max(r, 1 / r), r.denominator))


def _matrix(n: int, m: int, device: torch.device) -> Tensor:
    """`(m, n)`: each row holds the weights of the `n` old samples in one of the `m` new ones.

    The kernel is that of Keys (1981, IEEE Trans. Acoust. 29, 1153) with a = -1/2, widened by `n / m` where the new
    samples are the sparser ones.
    """
    width = max(n / m, 1.0)
    old = torch.arange(n, dtype=torch.float64, device=device)
    new = (torch.arange(m, dtype=torch.float64, device=device) + 0.5) * (n / m) - 0.5
    x = ((new[:, None] - old) / width).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(dim=1, keepdim=True)
