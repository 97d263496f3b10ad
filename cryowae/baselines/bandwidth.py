"""The power of the MMD over the bandwidth of its kernel: how often it detects that codes are not normal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cryowae.objectives.latent import SCALES, block_kernel, mmd
from cryowae.progress import SILENT, Progress
from cryowae.train.rows import write_rows

Kernel = Literal["imq", "gaussian"]
Sampler = Callable[[int, int, torch.Generator], Tensor]
"""`(count, d, generator)` to `(count, d)` samples."""

BANDWIDTHS = tuple(float(f"{s:.3g}") for s in np.geomspace(1e-3, 1e3, 13))


@dataclass(frozen=True)
class Seen:
    """How well the MMD with one kernel detects one mismatch.

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
    """Two lumps along every axis with a gap between them; mean and covariance are those of the prior."""
    side = torch.randint(2, (count, d), generator=generator) * 2.0 - 1
    spread = math.sqrt(1 - 0.95**2)
    return side * 0.95 + torch.randn(count, d, generator=generator) * spread


def thin(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Normal numbers along half of the axes, nearly 0 along the others: collapsed codes."""
    samples = torch.randn(count, d, generator=generator)
    samples[:, d // 2 :] *= 0.1
    return samples


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
        Of all batches.
    progress
        Advances with every kernel and bandwidth.
    """
    kernels: list[tuple[Kernel, float]] = [(k, s) for k in ("imq", "gaussian") for s in (*bandwidths, 0.0)]
    samplers: dict[str, Sampler] = {"": _prior, **MISMATCHES}
    found = []
    progress.begin("bandwidths", len(kernels), "kernels")
    for kernel, bandwidth in kernels:
        scales = (bandwidth,) if bandwidth else SCALES
        generator = torch.Generator().manual_seed(seed)
        values = {
            name: torch.tensor([_distance(sampler, batch, d, generator, scales, kernel) for _ in range(draws)])
            for name, sampler in samplers.items()
        }
        limit = float(torch.quantile(values.pop(""), 0.95))
        unit = limit if limit > 0 else math.nan
        found += [
            Seen(name, kernel, bandwidth, float(v.mean()) / unit, float((v > limit).float().mean()))
            for name, v in values.items()
        ]
        progress.advance()
    progress.end()
    return found


def write_bandwidths(found: Sequence[Seen], path: Path) -> Path:
    """Write a CSV file with a row for each kernel, bandwidth and mismatch; `all` is the sum over seven scales."""
    rows = (
        asdict(s) | {"bandwidth": s.bandwidth or "all", "ratio": f"{s.ratio:.4g}", "power": f"{s.power:.3f}"}
        for s in found
    )
    write_rows(list(rows), path)
    return path


def _prior(count: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, d, generator=generator)


def _distance(
    sampler: Sampler, batch: int, d: int, generator: torch.Generator, scales: Sequence[float], kernel: Kernel
) -> float:
    both = torch.cat([sampler(batch, d, generator), _prior(batch, d, generator)])[:, None]
    return float(mmd(block_kernel(both, scales, kind=kernel), torch.arange(2 * batch) < batch))
