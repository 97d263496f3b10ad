"""The debiased Sinkhorn divergence of two sets of samples: optimal transport with an entropy, and without its bias.

As a term it matches the codes to the prior (a Sinkhorn autoencoder).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cryowae.objectives.mmd import code_samples
from cryowae.objectives.term import Cost, LatentTerm, Pass, code_names

_TOLERANCE = 1e-4  # change of the potentials in one iteration, in units of epsilon
_MOST = 500  # iterations at the final epsilon


@dataclass(eq=False)
class Sinkhorn(LatentTerm):
    """The Sinkhorn divergence between the codes and the prior, summed over the codes (Patrini et al. 2019).

    It logs the divergence of each code (`match`).

    Attributes
    ----------
    weight, prior
        As in `LatentTerm`.
    positions
        Number of samples from each volume; a code without positions is one sample.
    blur
        Square root of the strength of the entropy over the expected squared distance of two samples of the prior.
    """

    positions: Annotated[int, Field(ge=1, le=512)] = 64
    blur: Annotated[float, Field(gt=0, le=1e6)] = 0.2

    def cost(self, made: Pass) -> Cost:
        own, prior = self.matched(made)
        divergences, values = [], {}
        for name, code, other in zip(code_names("match", own), own, prior, strict=True):
            samples, drawn = (self._samples(one, made.generator) for one in (code, other))
            divergence = sinkhorn_divergence(samples, drawn, self.blur**2 * 2 * samples.shape[1])
            divergences.append(divergence)
            values[name] = float(divergence.detach())
        return self.weight * torch.stack(divergences).sum(), values

    def _samples(self, code: Tensor, generator: torch.Generator) -> Tensor:
        """`(samples, c)` codes at random positions."""
        return (code if code.ndim == 2 else code_samples(code, self.positions, generator).flatten(0, 1)).float()


def sinkhorn_divergence(first: Tensor, second: Tensor, epsilon: float) -> Tensor:
    """`OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2` for the cost `|x - y|^2` (Feydy et al. 2019, eq. 3).

    `OT` is entropic: the cost of the plan plus `epsilon` times its divergence from the independent plan. It is 0 for
    equal sets and positive for others. It approaches the squared Wasserstein distance for small `epsilon`, and the
    squared distance of the means for large.

    Parameters
    ----------
    first, second
        `(n, d)` and `(m, d)` samples of equal weights. Memory: `n m d` numbers.
    epsilon
        Strength of the entropy, in units of the cost.

    Returns
    -------
    divergence
        Scalar. The gradients to both sets are those at the optimal plans, which are held fixed (envelope theorem): the
        iterations are not differentiated. Two small sets of one law have a positive divergence; compare with it.
    """
    within = _transport(first, first, epsilon) + _transport(second, second, epsilon)
    return _transport(first, second, epsilon) - within / 2


def _transport(x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    cost = (x[:, None] - y[None]).square().sum(-1)
    with torch.no_grad():
        exact = cost.float() if cost.device.type == "mps" else cost.double()  # MPS has no float64
        f, g = _potentials(exact, epsilon, same=x is y)
        plan = ((f[:, None] + g[None] - exact) / epsilon).exp() / exact.numel()
        value = f.mean() + g.mean() - epsilon * (plan.sum() - 1)
        plan, value, fixed = plan.to(cost.dtype), value.to(cost.dtype), cost.detach()
    return value + (plan * (cost - fixed)).sum()


def _potentials(cost: Tensor, epsilon: float, same: bool) -> tuple[Tensor, Tensor]:
    """Dual potentials by iterations on logarithms; epsilon falls from the largest cost to its value (Schmitzer 2019).

    Those of a set and itself are equal. Their mean with the ones before converges in a few iterations (Feydy et al.
    2019, section 3.1); the potentials of two sets are updated in turn.
    """
    f, g = cost.new_zeros(cost.shape[0]), cost.new_zeros(cost.shape[1])
    steps = math.ceil(math.log(max(float(cost.max()) / epsilon, 1.0), 2))
    for scale in [epsilon * 2.0**i for i in range(steps, 0, -1)] + [epsilon] * _MOST:
        before = f
        f = _soft_minimum(cost, g, scale)
        f = (f + before) / 2 if same else f
        g = f if same else _soft_minimum(cost.T, f, scale)
        if scale == epsilon and (f - before).abs().max() < _TOLERANCE * epsilon:
            break
    return f, g


def _soft_minimum(cost: Tensor, potential: Tensor, epsilon: float) -> Tensor:
    """Of `cost - potential` over the second axis."""
    return -epsilon * (torch.logsumexp((potential[None] - cost) / epsilon, dim=1) - math.log(cost.shape[1]))
