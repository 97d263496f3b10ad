"""Distances between two sets of samples (features of images, or codes), and the power of the MMD.

The power is how often the MMD detects that codes are not normal, over the bandwidth of its kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cryowae.objectives.mmd import SCALES, Kernel, block_kernel, mmd
from cryowae.progress import SILENT, Progress
from cryowae.train.state import write_rows

Sampler = Callable[[int, int, torch.Generator], Tensor]
"""`(count, d, generator)` to `(count, d)` samples."""

BANDWIDTHS = tuple(float(f"{s:.3g}") for s in np.geomspace(1e-3, 1e3, 13))


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


@dataclass(frozen=True)
class Seen:
    """Power of the MMD with one kernel for one mismatch.

    Attributes
    ----------
    mismatch, kernel
        Names.
    bandwidth
        `s` in `C = 2 d s`; 0 for the sum over the default seven scales.
    ratio
        Mean MMD of the mismatch, divided by the 95 % quantile of the MMD without a mismatch. NaN where that quantile
        is not positive, for example if no two samples are near enough for the kernel.
    power
        Share of batches with an MMD above that quantile. Without any power it is .05.
    """

    mismatch: str
    kernel: str
    bandwidth: float
    ratio: float
    power: float


def shifted(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Normal numbers with the mean .25 along every axis, not 0."""
    return torch.randn(count, d, generator=generator) + 0.25


def lumps(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Two clusters along every axis with a gap between them; mean and covariance are those of the prior."""
    side = torch.randint(2, (count, d), generator=generator) * 2.0 - 1
    return side * 0.95 + torch.randn(count, d, generator=generator) * math.sqrt(1 - 0.95**2)


def thin(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Normal numbers along half of the axes, nearly 0 along the others: collapsed codes."""
    return torch.randn(count, d, generator=generator) * torch.where(torch.arange(d) < d // 2, 1.0, 0.1)


MISMATCHES: dict[str, Sampler] = {"shifted": shifted, "lumps": lumps, "collapsed axes": thin}


def sweep_bandwidths(
    d: int = 8,
    batch: int = 64,
    bandwidths: Sequence[float] = BANDWIDTHS,
    draws: int = 200,
    seed: int = 0,
    progress: Progress = SILENT,
) -> list[Seen]:
    """Compare codes that have a known mismatch with the normal prior, for kernels of one and of all seven bandwidths.

    Parameters
    ----------
    d, batch
        Length of a code, and number of codes in one MMD.
    bandwidths
        In units of the mean squared distance between two samples of the prior, `2 d`.
    draws
        Number of batches of each kind.
    seed
        Seed of all batches.
    progress
        Advances with every kernel and bandwidth.
    """
    choices: list[tuple[Kernel, float]] = [(k, s) for k in ("imq", "gaussian") for s in (*bandwidths, 0.0)]
    samplers: dict[str, Sampler] = {"": _prior, **MISMATCHES}
    found = []
    for kind, bandwidth in progress.track("bandwidths", choices, "kernels"):
        scales = (bandwidth,) if bandwidth else SCALES
        generator = torch.Generator().manual_seed(seed)
        values = {}
        for name, sampler in samplers.items():
            pairs = [torch.cat([sampler(batch, d, generator), _prior(batch, d, generator)]) for _ in range(draws)]
            kernels = [block_kernel(pair[:, None], scales, kind=kind) for pair in pairs]
            values[name] = torch.stack([mmd(kernel, torch.arange(2 * batch) < batch) for kernel in kernels])
        limit = float(torch.quantile(values.pop(""), 0.95))
        unit = limit if limit > 0 else math.nan
        found += [
            Seen(name, kind, bandwidth, float(v.mean()) / unit, float((v > limit).float().mean()))
            for name, v in values.items()
        ]
    return found


def write_bandwidths(found: Sequence[Seen], path: Path) -> Path:
    """Write a CSV file with a row for each kernel, bandwidth and mismatch; `all` is the sum over seven scales."""
    texts = ({"bandwidth": s.bandwidth or "all", "ratio": f"{s.ratio:.4g}", "power": f"{s.power:.3f}"} for s in found)
    write_rows([asdict(seen) | text for seen, text in zip(found, texts, strict=True)], path)
    return path


def _prior(count: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, d, generator=generator)


def _exact(samples: Tensor) -> Tensor:
    """Double precision; on the CPU where the device is a GPU of Apple, which does not support it."""
    return (samples.cpu() if samples.device.type == "mps" else samples).double()
