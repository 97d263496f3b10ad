"""Importance weights of samples, block by block (CryoWGEN-I), and what is left of them: the effective sample size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d, interpolate


def log_ratio(codes: Sequence[Tensor], posterior: Sequence[tuple[Tensor, Tensor]], block: int) -> Tensor:
    """`log p(z) - log q(z|y)` of the codes in each block, for a standard normal prior p.

    Parameters
    ----------
    codes, posterior
        One `(n, c, z, y, x)` per scale, at 1/2, 1/4 ... of the sampling, and mean and log-variance of each.
    block
        Edge of a block in voxels, a multiple of the total stride.

    Returns
    -------
    ratio
        `(n, 1, z // block, y // block, x // block)`; the constant of both densities is left out.
    """
    total: Tensor | float = 0.0
    for i, (code, (mean, log)) in enumerate(zip(codes, posterior, strict=True)):
        edge = block // 2 ** (i + 1)
        z, m, v = code.float(), mean.float(), log.float()
        each = 0.5 * ((z - m).square() * (-v).exp() + v - z.square()).sum(1, keepdim=True)
        total = total + avg_pool3d(each, edge) * edge**3
    assert isinstance(total, Tensor)
    return total


def block_sums(field: Tensor, block: int) -> Tensor:
    """Sums of the squares of a field `(n, 1, z, y, x)` over blocks."""
    return avg_pool3d(field.float().square(), block) * block**3


def importance_weights(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of K samples in each block, and their effective number.

    Parameters
    ----------
    log_weights
        `(K, ...)`, up to a constant of each block.

    Returns
    -------
    weights, effective
        `(K, ...)` with sum 1, and `(...)` `1 / sum w^2`: 1 if one sample has all the weight, K if all are equal.
    """
    weights = torch.softmax(log_weights.double(), 0)
    return weights.float(), (1 / weights.square().sum(0)).float()


def spread_over_voxels(weights: Tensor, shape: Sequence[int]) -> Tensor:
    """Weights of blocks `(K, 1, ...)` as weights of voxels `(K, 1, *shape)`, linear between the centres of blocks."""
    return interpolate(weights, size=tuple(shape), mode="trilinear", align_corners=False)
