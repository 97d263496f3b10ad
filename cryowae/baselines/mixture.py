"""A mixture of Gaussians with full covariances, fitted to codes: the sampler that knows their holes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """A density of codes.

    Attributes
    ----------
    weights
        `(k,)`, sum 1.
    means
        `(k, d)`.
    roots
        `(k, d, d)` lower Cholesky factors of the covariances.
    """

    weights: Tensor
    means: Tensor
    roots: Tensor

    @classmethod
    def fit(
        cls, samples: Tensor, components: int, generator: torch.Generator, rounds: int = 100, floor: float = 1e-6
    ) -> GaussianMixture:
        """Expectation-maximisation (Dempster et al. 1977), from means spread as k-means++ does.

        Parameters
        ----------
        samples
            `(n, d)`, more than `d` of them.
        components
            How many Gaussians.
        generator
            On the CPU.
        rounds
            At most; it stops when the mean log-likelihood gains less than 1e-4 in a round.
        floor
            Added to the variances, as a share of the samples' own mean variance.
        """
        x = samples.detach().double().cpu()
        n, d = x.shape
        ridge = torch.eye(d, dtype=torch.float64) * floor * float(x.var(dim=0).mean().clamp(min=1e-12))
        root = torch.linalg.cholesky(torch.cov(x.T).reshape(d, d) + ridge)
        even = torch.full((components,), 1 / components, dtype=torch.float64)
        mixture = cls(even, _spread_out(x, components, generator), root.expand(components, d, d))
        before = -math.inf
        for _ in range(rounds):
            joint = mixture._joint(x)
            total = torch.logsumexp(joint, dim=1)
            share = (joint - total[:, None]).exp()
            counts = share.sum(0).clamp(min=1e-8)
            means = share.T @ x / counts[:, None]
            away = [x - mean for mean in means]
            covariances = [(a * s[:, None]).T @ a / c for a, s, c in zip(away, share.T, counts, strict=True)]
            roots = torch.linalg.cholesky(torch.stack(covariances) + ridge)
            mixture = cls(counts / counts.sum(), means, roots)
            if float(total.mean()) - before < 1e-4:
                break
            before = float(total.mean())
        return mixture

    def log_density(self, samples: Tensor) -> Tensor:
        """`(n,)` log-density of `(n, d)` samples."""
        return torch.logsumexp(self._joint(samples.double().cpu()), dim=1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, d)` float32 samples."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], 1, generator=generator, dtype=torch.float64)
        return (self.means[chosen] + (self.roots[chosen] @ noise)[..., 0]).float()

    def _joint(self, x: Tensor) -> Tensor:
        # (n, k) log of weight times density
        parts = []
        for weight, mean, root in zip(self.weights, self.means, self.roots, strict=True):
            white = torch.linalg.solve_triangular(root, (x - mean).T, upper=False)
            scale = root.diagonal().log().sum() + 0.5 * x.shape[1] * math.log(2 * math.pi)
            parts.append(weight.log() - 0.5 * white.square().sum(0) - scale)
        return torch.stack(parts, dim=1)


def _spread_out(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Starts far from one another: each drawn by its squared distance to the nearest (Arthur & Vassilvitskii 2007)."""
    starts = [x[int(torch.randint(len(x), (1,), generator=generator))]]
    for _ in range(count - 1):
        nearest = torch.stack([(x - start).square().sum(1) for start in starts]).amin(0)
        starts.append(x[int(torch.multinomial(nearest + 1e-12, 1, generator=generator))])
    return torch.stack(starts)
