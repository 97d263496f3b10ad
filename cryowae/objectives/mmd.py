"""The maximum mean discrepancy (MMD) between the codes and the prior, and the term that reduces it (WAE-MMD).

With the inverse multiquadratic or the Gaussian kernel (Gretton et al. 2012; Tolstikhin et al. 2018, section 4 and
appendix).

Positions of one volume are dependent samples, and the plain U-statistic over them is biased: it interprets the
correlation of neighbours as a mismatch. So volumes are the blocks of a *block U-statistic*: only pairs of different
volumes count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor

from cryowae.objectives.term import Cost, LatentTerm, Pass, code_names

Kernel = Literal["imq", "gaussian"]
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(eq=False)
class Mmd(LatentTerm):
    """The sum of the block U-statistics of all codes.

    It logs the distance of each code (`match`), and for every row of the log its 95 % quantile if codes and prior had
    the same law (`null95`).

    Attributes
    ----------
    weight, prior
        As in `LatentTerm`.
    positions
        Number of samples from each volume; a code without positions is one sample.
    neighbourhood
        Edge of the cube of positions that makes one sample.
    kernel, scales
        As in `block_kernel`.
    """

    positions: Annotated[int, Field(ge=1, le=10_000)] = 64
    neighbourhood: Annotated[int, Field(ge=1, le=4)] = 1
    kernel: Kernel = "imq"
    scales: tuple[float, ...] = SCALES

    def cost(self, made: Pass) -> Cost:
        own, prior = self.matched(made)
        shuffles = torch.Generator().manual_seed(made.info.number)
        distances, values = [], {}
        for name, code, other in zip(code_names("", own), own, prior, strict=True):
            state = made.generator.get_state()
            samples = self._samples(code, made.generator)
            made.generator.set_state(state)  # the same positions in both
            blocks = torch.cat([samples, self._samples(other, made.generator)])
            kernel = block_kernel(blocks, self.scales, kind=self.kernel)
            distance = mmd(kernel, torch.arange(len(kernel)) < len(samples), paired=self.paired(made))
            distances.append(distance)
            values[f"match{name}"] = float(distance.detach())
            if made.info.logged:
                values[f"null95{name}"] = null_quantile(kernel, len(samples), shuffles)
        return self.weight * torch.stack(distances).sum(), values

    def _samples(self, code: Tensor, generator: torch.Generator) -> Tensor:
        flat = code.ndim == 2
        samples = code[:, None] if flat else code_samples(code, self.positions, generator, self.neighbourhood)
        return _of_all_processes(samples.float())


def code_samples(code: Tensor, positions: int, generator: torch.Generator, neighbourhood: int = 1) -> Tensor:
    """Draw positions of a code field as samples.

    Parameters
    ----------
    code
        `(n, c, ...)` codes of one scale, two or three spatial axes.
    positions
        Number per volume, drawn with replacement, the same positions in every volume.
    generator
        Source of randomness, on the CPU.
    neighbourhood
        Edge of the cube of positions that makes one sample.

    Returns
    -------
    samples
        `(n, positions, c * neighbourhood ** d)`.
    """
    for axis in range(2, code.ndim):
        if neighbourhood > 1:
            code = code.unfold(axis, neighbourhood, 1)
    dims = (code.ndim - 2) // 2 if neighbourhood > 1 else code.ndim - 2
    count = int(torch.tensor(code.shape[2 : 2 + dims]).prod())
    flat = code.reshape(*code.shape[:2], count, -1)
    chosen = torch.randint(count, (positions,), generator=generator).to(code.device)
    return flat[:, :, chosen].permute(0, 2, 1, 3).flatten(2)


def block_kernel(samples: Tensor, scales: Sequence[float] = SCALES, kind: Kernel = "imq") -> Tensor:
    """Mean kernel value between every two blocks of samples.

    Parameters
    ----------
    samples
        `(blocks, m, d)`; independent samples are blocks of one, `(n, 1, d)`.
    scales
        `C_s = 2 d s`: of two samples of the prior, the expected squared distance times `s`.
    kind
        `imq`: the kernel is `sum_s C_s / (C_s + |a - b|^2)` (Tolstikhin et al. 2018). `gaussian`: it is
        `sum_s exp(-|a - b|^2 / C_s)`.

    Returns
    -------
    kernel
        `(blocks, blocks)`; the diagonal mixes dependent samples and must not be used.
    """
    blocks, m, d = samples.shape
    flat = samples.reshape(-1, d).float()
    squares = (flat * flat).sum(1)
    distance = (squares[:, None] + squares[None] - 2 * flat @ flat.T).clamp(min=0)
    total = torch.zeros_like(distance)
    for s in scales:
        c = 2 * d * s
        total = total + (c / (c + distance) if kind == "imq" else torch.exp(-distance / c))
    return total.view(blocks, m, blocks, m).mean(dim=(1, 3))


def mmd(kernel: Tensor, first: Tensor, paired: bool = False) -> Tensor:
    """Squared maximum mean discrepancy, a block U-statistic (Gretton et al. 2012, eq. 3, over blocks).

    Parameters
    ----------
    kernel
        `(blocks, blocks)` of `block_kernel`.
    first
        `(blocks,)` bool: True for the blocks of one distribution, False for those of the other.
    paired
        Whether block `i` of one distribution depends on block `i` of the other (codes of a volume and of its own ground
        truth). Such pairs are left out too.

    Returns
    -------
    distance
        Scalar, unbiased, so it is negative about half of the time when the distributions agree. Do not clamp it.
    """
    a, b = first.nonzero()[:, 0], (~first).nonzero()[:, 0]
    within = _off_diagonal(kernel[a][:, a]) + _off_diagonal(kernel[b][:, b])
    between = kernel[a][:, b]
    return within - 2 * (_off_diagonal(between) if paired else between.mean())


def null_quantile(
    kernel: Tensor, blocks: int, generator: torch.Generator, level: float = 0.95, draws: int = 200
) -> float:
    """Quantile of `mmd` when both distributions agree: the first `blocks` blocks and the rest are shuffled."""
    kernel = kernel.detach().cpu().double()
    kernel = kernel - kernel.diagonal().diag()
    n = len(kernel)
    first = torch.zeros(draws, n, dtype=torch.float64)
    for row in first:
        row[torch.randperm(n, generator=generator)[:blocks]] = 1
    sums = first @ kernel  # as in `mmd`, for all draws at once
    a, between = (sums * first).sum(1), (sums * (1 - first)).sum(1)
    b, rest = kernel.sum() - a - 2 * between, n - blocks
    values = a / (blocks * (blocks - 1)) + b / (rest * (rest - 1)) - 2 * between / (blocks * rest)
    return float(values.quantile(level))


def _off_diagonal(matrix: Tensor) -> Tensor:
    n = len(matrix)
    return (matrix.sum() - matrix.diagonal().sum()) / (n * (n - 1))


def _of_all_processes(samples: Tensor) -> Tensor:
    # all processes see all blocks; each sends its gradient back through its own, times the team's size, since the
    # team averages gradients and every process computes the whole distance
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return samples
    size = dist.get_world_size()
    gathered = [torch.empty_like(samples) for _ in range(size)]
    dist.all_gather(gathered, samples.detach().contiguous())
    gathered[dist.get_rank()] = size * samples - (size - 1) * samples.detach()
    return torch.cat(gathered)
