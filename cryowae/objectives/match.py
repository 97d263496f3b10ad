"""The latent match as one term of the training objective: which distance, to which prior, over which samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cryowae.config import MatchConfig
from cryowae.objectives.latent import block_kernel, code_samples, discriminator_loss, fooling_loss, mmd, null_quantile


@dataclass(frozen=True)
class Match:
    """What one step of matching gives.

    Attributes
    ----------
    loss
        Scalar to add to the objective, weight included.
    distances
        Per scale: the block U-statistic of the MMD, or the discriminator's share of right answers.
    kernels
        Per scale: the `(blocks, blocks)` kernel behind an MMD; empty for a discriminator.
    """

    loss: Tensor
    distances: list[float]
    kernels: list[Tensor]


class LatentMatch(nn.Module):
    """Matches the codes of observations to a prior.

    Parameters
    ----------
    config
        Kind, prior and weight.
    discriminator
        Codes per scale to logits per scale; needed by the kind `adversarial` alone.
    """

    def __init__(self, config: MatchConfig, discriminator: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.discriminator = discriminator

    def forward(self, codes: Sequence[Tensor], prior: Sequence[Tensor], generator: torch.Generator) -> Match:
        """Loss of the encoder.

        Parameters
        ----------
        codes
            `(n, c, ...)` per scale, of observations.
        prior
            The same shapes, of `prior_codes`.
        generator
            Chooses positions; on the CPU.
        """
        if self.config.kind == "none":
            return Match(codes[0].new_zeros(()), [], [])
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            logits = self.discriminator([c.float() for c in codes])
            self.discriminator.requires_grad_(True)
            right = [float((scale < 0).float().mean()) for scale in logits]
            return Match(self.config.weight * fooling_loss(logits), right, [])
        distances, kernels = [], []
        for code, other in zip(codes, prior, strict=True):
            state = generator.get_state()
            samples = code_samples(code, self.config.positions, generator, self.config.neighbourhood)
            generator.set_state(state)
            reference = code_samples(other, self.config.positions, generator, self.config.neighbourhood)
            blocks = torch.cat([_everyone(samples.float()), _everyone(reference.float())])
            kernel = block_kernel(blocks)
            first = torch.arange(len(kernel)) < len(kernel) // 2
            distances.append(mmd(kernel, first, paired=self.config.prior == "structure"))
            kernels.append(kernel)
        return Match(self.config.weight * torch.stack(distances).sum(), [float(d.detach()) for d in distances], kernels)

    def discriminate(self, codes: Sequence[Tensor], prior: Sequence[Tensor]) -> Tensor:
        """Loss of the discriminator on codes that carry no gradient."""
        if self.discriminator is None:
            raise ValueError("only an adversarial match has a discriminator")
        return discriminator_loss(
            self.discriminator([p.detach().float() for p in prior]),
            self.discriminator([c.detach().float() for c in codes]),
        )

    def null_quantiles(self, match: Match, generator: torch.Generator) -> list[float]:
        """95 % quantile of each scale's distance if codes and prior had the same law."""
        return [null_quantile(kernel, len(kernel) // 2, generator) for kernel in match.kernels]


def prior_codes(
    config: MatchConfig, codes: Sequence[Tensor], clean: Sequence[Tensor] | None, generator: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Codes of the prior, and the codes of the observations on the same scale.

    Parameters
    ----------
    config
        `normal` draws independent standard normal numbers; `structure` takes `clean`.
    codes
        Codes of the observations.
    clean
        Codes of the clean, isotropic structures under the averaged encoder, without gradient. Both sets are divided
        by the standard deviation of `clean` per channel, or shrinking the codes would make every distance vanish.
    generator
        Source of the normal numbers; on the CPU.
    """
    if config.prior == "normal" or clean is None:
        return [_normal(c, generator) for c in codes], list(codes)
    scaled: Iterator[tuple[Tensor, Tensor]] = (
        (p / _spread(p), c.float() / _spread(p))
        for p, c in zip((p.detach().float() for p in clean), codes, strict=True)
    )
    prior, own = zip(*scaled, strict=True)
    return list(prior), list(own)


def _normal(code: Tensor, generator: torch.Generator) -> Tensor:
    if code.device.type == "cpu":
        return torch.randn(code.shape, generator=generator)
    # ten million numbers a step are drawn on the device itself, from a seed of the generator's
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.randn(code.shape, generator=torch.Generator(code.device).manual_seed(seed), device=code.device)


def _spread(code: Tensor) -> Tensor:
    axes = [a for a in range(code.ndim) if a != 1]
    return code.std(dim=axes, keepdim=True).clamp(min=1e-4)


def _everyone(samples: Tensor) -> Tensor:
    # all processes see all blocks; each sends its gradient back through its own, times the team's size, since the
    # team averages gradients and every process computes the whole distance
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return samples
    size = dist.get_world_size()
    gathered = [torch.empty_like(samples) for _ in range(size)]
    dist.all_gather(gathered, samples.detach().contiguous())
    gathered[dist.get_rank()] = size * samples - (size - 1) * samples.detach()
    return torch.cat(gathered)
