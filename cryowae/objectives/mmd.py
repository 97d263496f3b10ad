"""The maximum mean discrepancy of codes and prior as a term of the objective (Tolstikhin et al. 2018, WAE-MMD)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor

from cryowae.objectives.latent import SCALES, block_kernel, code_samples, mmd, null_quantile
from cryowae.objectives.prior import LatentTerm, PriorName
from cryowae.objectives.term import Cost, Pass, Weight, code_names


class Mmd(LatentTerm):
    """The sum of the block U-statistics of all codes.

    It logs the distance of each code (`match`), and for every row of the log its 95 % quantile if codes and prior had
    the same law (`null95`).

    Parameters
    ----------
    weight, prior
        As in `LatentTerm`.
    positions
        Samples that are drawn of each volume; a code without positions is one sample.
    neighbourhood
        Edge of the cube of positions that makes one sample.
    kernel, scales
        As in `block_kernel`.
    """

    def __init__(
        self,
        weight: Weight = 1e-3,
        prior: PriorName = "normal",
        positions: Annotated[int, Field(ge=1)] = 64,
        neighbourhood: Annotated[int, Field(ge=1, le=4)] = 1,
        kernel: Literal["imq", "gaussian"] = "imq",
        scales: tuple[float, ...] = SCALES,
    ) -> None:
        super().__init__(weight, prior)
        self._positions, self._neighbourhood, self._kernel, self._scales = positions, neighbourhood, kernel, scales

    def cost(self, made: Pass) -> Cost:
        own, prior = self.matched(made)
        shuffles = torch.Generator().manual_seed(made.info.number)
        distances, values = [], {}
        for name, code, other in zip(code_names("", own), own, prior, strict=True):
            state = made.generator.get_state()
            samples = self._samples(code, made.generator)
            made.generator.set_state(state)  # the same positions of both
            blocks = torch.cat([samples, self._samples(other, made.generator)])
            kernel = block_kernel(blocks, self._scales, kind=self._kernel)
            distance = mmd(kernel, torch.arange(len(kernel)) < len(kernel) // 2, paired=self.structured)
            distances.append(distance)
            values[f"match{name}"] = float(distance.detach())
            if made.info.logged:
                values[f"null95{name}"] = null_quantile(kernel, len(kernel) // 2, shuffles)
        return self.weight * torch.stack(distances).sum(), values

    def _samples(self, code: Tensor, generator: torch.Generator) -> Tensor:
        flat = code.ndim == 2
        samples = code[:, None] if flat else code_samples(code, self._positions, generator, self._neighbourhood)
        return _of_all_processes(samples.float())


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
