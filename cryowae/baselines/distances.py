"""Distances between two sets of samples: features of images, or codes."""

from __future__ import annotations

import torch
from torch import Tensor

from cryowae.objectives.latent import mmd


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance of the Gaussians with the moments of two sets (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    `|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2)`. Both roots are roots of symmetric matrices and come
    from eigenvalues. Negative eigenvalues are rounding errors and count as 0. So covariances may be singular, where
    `scipy.linalg.sqrtm` is slower and less accurate, and a GPU can compute it.

    Parameters
    ----------
    a, b
        `(n, d)`, at least two samples each; with the 2048 features of Inception this is the FID. It falls as `n` grows:
        compare only distances with the same `n`.
    """
    first, second = _exact(a), _exact(b)
    s_a, s_b = torch.cov(first.T).reshape(a.shape[1], -1), torch.cov(second.T).reshape(b.shape[1], -1)
    values, vectors = torch.linalg.eigh(s_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ s_b @ root).clamp(min=0).sqrt().sum()
    means = (first.mean(0) - second.mean(0)).square().sum()
    return max(float(means + s_a.trace() + s_b.trace() - 2 * overlap), 0.0)


def kernel_distance(
    a: Tensor, b: Tensor, generator: torch.Generator, subset: int = 1000, subsets: int = 50
) -> tuple[float, float]:
    """Kernel inception distance: squared MMD under the kernel `(x.y / d + 1)^3` (Binkowski et al. 2018, section 4).

    Parameters
    ----------
    a, b
        `(n, d)` features.
    generator
        Chooses the subsets; on the CPU.
    subset, subsets
        Number of samples of each set in a subset, and number of subsets.

    Returns
    -------
    mean, spread
        Mean and standard deviation over the subsets; the mean is unbiased and may be negative.
    """
    size = min(subset, len(a), len(b))
    first = torch.arange(2 * size) < size
    a, b = _exact(a), _exact(b)
    values = []
    for _ in range(subsets):
        chosen = [torch.randperm(len(s), generator=generator)[:size].to(s.device) for s in (a, b)]
        both = torch.cat([a[chosen[0]], b[chosen[1]]])
        values.append(mmd((both @ both.T / a.shape[1] + 1) ** 3, first))
    found = torch.stack(values).cpu()
    return float(found.mean()), float(found.std()) if subsets > 1 else 0.0


def sliced_wasserstein(a: Tensor, b: Tensor, generator: torch.Generator, directions: int = 128) -> float:
    """Root of the mean squared Wasserstein-2 distance along random directions (Rabin et al. 2012).

    Parameters
    ----------
    a, b
        `(n, d)`; the longer set is cut at its end to the length of the other.
    generator
        Draws the directions; on the CPU.
    directions
        Number of directions.
    """
    size = min(len(a), len(b))
    axes = torch.nn.functional.normalize(torch.randn(a.shape[1], directions, generator=generator), dim=0).to(a)
    along_a, along_b = ((samples[:size] @ axes).sort(dim=0).values for samples in (a, b.to(a)))
    return float((along_a - along_b).square().mean().sqrt())


def _exact(samples: Tensor) -> Tensor:
    """Double precision; on the CPU where the device is a GPU of Apple, which does not support it."""
    return (samples.cpu() if samples.device.type == "mps" else samples).double()
