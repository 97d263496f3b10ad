"""Which bandwidths of a kernel see that codes are not normal: the power of the MMD over bandwidths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cryowae.io.outputs import write_text
from cryowae.objectives.latent import SCALES, block_kernel, mmd
from cryowae.progress import SILENT, Progress
from cryowae.report.style import FAINT, SERIES, WIDTH, house_style, new_figure, place, save

Kernel = Literal["imq", "gaussian"]
Sampler = Callable[[int, int, torch.Generator], Tensor]
"""`(count, d, generator)` to `(count, d)` samples."""

BANDWIDTHS = tuple(float(f"{s:.3g}") for s in np.geomspace(1e-3, 1e3, 13))


@dataclass(frozen=True)
class Seen:
    """How well one kernel sees one mismatch.

    Attributes
    ----------
    mismatch, kernel
        Names.
    bandwidth
        `s` in `C = 2 d s`; 0 for the sum over the seven scales that training uses.
    ratio
        Mean MMD of the mismatch over the 95 % quantile of the MMD when there is none; NaN where that is not
        positive, as when no two samples are near enough for the kernel.
    power
        Share of batches whose MMD is beyond that quantile: .05 is blindness.
    """

    mismatch: str
    kernel: str
    bandwidth: float
    ratio: float
    power: float


def shifted(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Normal numbers about .25 along every axis, not about 0."""
    return torch.randn(count, d, generator=generator) + 0.25


def lumps(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Two lumps along every axis, with the mean and the covariance of the prior: holes between them."""
    side = torch.randint(2, (count, d), generator=generator) * 2.0 - 1
    spread = math.sqrt(1 - 0.95**2)
    return side * 0.95 + torch.randn(count, d, generator=generator) * spread


def thin(count: int, d: int, generator: torch.Generator) -> Tensor:
    """Normal numbers on half of the axes, nearly nothing on the others: codes that collapsed."""
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
    """Hold codes with a known mismatch to the normal prior, under kernels of one bandwidth, and of all seven.

    Parameters
    ----------
    d, batch
        Length of a code, and how many of them one MMD sees.
    bandwidths
        In units of the squared distance that two samples of the prior have on average, `2 d`.
    draws
        Batches of each kind.
    seed
        Of all of them.
    progress
        Told every kernel and bandwidth.
    """
    kernels: list[tuple[Kernel, float]] = [(k, s) for k in ("imq", "gaussian") for s in (*bandwidths, 0.0)]
    samplers: dict[str, Sampler] = {"": _prior, **MISMATCHES}
    found = []
    progress.begin("bandwidths", len(kernels), "kernels")
    for kernel, bandwidth in kernels:
        scales = (bandwidth,) if bandwidth else SCALES
        generator = torch.Generator().manual_seed(seed)
        values = {
            name: torch.tensor(
                [
                    _distance(sampler(batch, d, generator), _prior(batch, d, generator), scales, kernel)
                    for _ in range(draws)
                ]
            )
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


def write_sweep(found: Sequence[Seen], path: Path) -> Path:
    """Write the sweep as CSV, a row a kernel, bandwidth and mismatch."""
    lines = ["mismatch,kernel,bandwidth,ratio,power"]
    lines += [f"{s.mismatch},{s.kernel},{s.bandwidth or 'all'},{s.ratio:.4g},{s.power:.3f}" for s in found]
    write_text(path, "\n".join(lines) + "\n")
    return path


def draw_sweep(found: Sequence[Seen], path: str | Path) -> Path:
    """Draw the power over the bandwidth, a panel a mismatch; dotted lines are the sum over seven scales."""
    mismatches = list(dict.fromkeys(seen.mismatch for seen in found))
    kernels = list(dict.fromkeys(seen.kernel for seen in found))
    width = (WIDTH - 0.6) / len(mismatches) - 0.3
    with house_style():
        figure = new_figure(WIDTH, 3.0)
        for i, mismatch in enumerate(mismatches):
            axes = place(figure, 0.6 + i * (width + 0.3), 0.65, width, 1.75, label=mismatch)
            axes.axhline(0.05, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
            for colour, kernel in zip(SERIES, kernels, strict=False):
                mine = [seen for seen in found if (seen.mismatch, seen.kernel) == (mismatch, kernel)]
                single = [seen for seen in mine if seen.bandwidth]
                name = {"imq": "inverse multiquadratic", "gaussian": "Gaussian"}[kernel]
                axes.plot([s.bandwidth for s in single], [s.power for s in single], ".-", color=colour, label=name)
                for seen in mine:
                    if not seen.bandwidth:
                        axes.axhline(seen.power, color=colour, linewidth=1.0, linestyle=":")
            axes.set(title=mismatch, xscale="log", ylim=(-0.02, 1.04), xlabel="bandwidth / mean squared distance")
            if i:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("share of batches that are told")
        figure.legend(*axes.get_legend_handles_labels(), loc="upper left", ncols=2)
    return save(figure, path)


def _prior(count: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, d, generator=generator)


def _distance(codes: Tensor, prior: Tensor, scales: Sequence[float], kernel: Kernel) -> float:
    both = torch.cat([codes, prior])[:, None]
    return float(mmd(block_kernel(both, scales, kind=kernel), torch.arange(len(both)) < len(codes)))
