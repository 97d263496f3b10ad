"""What a critic is trained by: the Wasserstein distance in its dual form, and a penalty that keeps its slope at one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def critic_loss(on_real: Tensor, on_made: Tensor) -> Tensor:
    """Minus the distance that the critic sees (Arjovsky et al. 2017, eq. 2); `(n, 1)` values of each."""
    return on_made.mean() - on_real.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, shares: Tensor, one_sided: bool = False
) -> Tensor:
    """Mean squared excess of the critic's slope over one, between real and made samples.

    Parameters
    ----------
    critic
        `(n, ...)` to `(n, 1)`, every sample by itself.
    real, made
        `(n, ...)`, without gradient.
    shares
        `(n,)` in [0, 1]: where on the line from made to real the slope is taken.
    one_sided
        Slopes below one cost nothing (Gulrajani et al. 2017, section 4 and appendix, two-sided by default; one-sided
        as Petzka et al. 2018 argue for).
    """
    weight = shares.view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(made, real, weight).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    excess = gradient.flatten(1).norm(dim=1) - 1
    cost: Tensor = (excess.clamp(min=0) if one_sided else excess).square().mean()
    return cost
