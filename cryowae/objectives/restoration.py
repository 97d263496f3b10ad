"""What the restored density is compared with: the truth, or the other half of the data."""

from __future__ import annotations

import torch
from torch import Tensor


def supervised(restored: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Squared error against the known structure, in units of the structure's own contrast.

    Parameters
    ----------
    restored, truth
        `(n, 1, z, y, x)`.
    scale
        `(n,)` standard deviation that the structure has in the scene of each sample, so that faint scenes count as
        much as strong ones.
    """
    error = (restored.float() - truth).square().flatten(1).mean(1)
    return (error / scale.square()).mean()


def gradient(restored: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Squared error of the differences between neighbours, in the units of `supervised`.

    By Parseval's theorem it is the error's power times `sum_i 4 sin(pi k_i)^2`, about `(2 pi k)^2`. The power that
    scenes have in a shell 0.02 wide falls fourfold from 0.06 to 0.25 cycles per voxel (measured on six of them), so
    that with a weight of 4 these shells count about alike; without it, fine detail hardly counts.

    Parameters
    ----------
    restored, truth
        `(n, 1, z, y, x)`.
    scale
        `(n,)` as in `supervised`.
    """
    error = restored.float() - truth
    power = torch.stack([error.diff(dim=axis).square().flatten(1).mean(1) for axis in (-3, -2, -1)]).sum(0)
    return (power / scale.square()).mean()


def fidelity(restored: Tensor, other_half: Tensor, measured: Tensor) -> Tensor:
    """Squared error against the other half over the measured components (noise2noise; Lehtinen et al. 2018, eq. 5).

    Parameters
    ----------
    restored
        `(n, 1, z, y, x)`, restored from the first half.
    other_half
        The second half, in the same units.
    measured
        `(n, 1, z, y, x // 2 + 1)` mask of the measured components.

    Returns
    -------
    loss
        Mean over voxels, by Parseval's theorem over `measured`, seen through a Hann window so that the borders do not
        leak into the wedge. Its minimum is the noise power of the other half, not zero.
    """
    size = restored.shape[-3:]
    difference = restored.float() - other_half
    for axis, n in enumerate(size):
        window = torch.hann_window(n + 2, periodic=False, device=difference.device)[1:-1]
        window = window / window.square().mean().sqrt()
        difference = difference * window.view([-1 if i == axis else 1 for i in range(3)])
    spectrum = torch.fft.rfftn(difference, dim=(-3, -2, -1)) * measured
    seen: Tensor = torch.fft.irfftn(spectrum, s=size, dim=(-3, -2, -1))
    return seen.square().mean()
