"""The prior that codes are matched to: independent normal numbers, or the codes of clean structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cryowae.objectives.term import Pass, Term, Weight

PriorName = Literal["normal", "structure"]


class LatentTerm(Term):
    """Base of the terms that compare the codes of observations with those of a prior.

    Parameters
    ----------
    weight
        Multiplies the distance.
    prior
        `normal`: independent standard normal numbers. `structure`: codes of the clean, isotropic structures under the
        averaged network, without gradient.
    """

    def __init__(self, weight: Weight = 1e-3, prior: PriorName = "normal") -> None:
        super().__init__(weight)
        self.structured = prior == "structure"

    def matched(self, made: Pass) -> tuple[list[Tensor], list[Tensor]]:
        """Codes of the observations, and as many of the prior on the same scale."""
        if self.structured:
            return on_one_scale(made.codes, made.clean_codes)
        drawn = made.drawn_prior
        return list(made.codes), [_normal(c, made.generator) for c in made.codes] if drawn is None else list(drawn)


def on_one_scale(codes: Sequence[Tensor], clean: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Codes of observations and of clean structures, both divided by the deviation of the clean ones.

    Per channel, and without gradient to the clean ones. Otherwise shrinking the codes would make every distance vanish.
    """
    reference = [c.detach().float() for c in clean]
    spread = [c.std(dim=[0, *range(2, c.ndim)], keepdim=True).clamp(min=1e-4) for c in reference]
    return (
        [c.float() / s for c, s in zip(codes, spread, strict=True)],
        [c / s for c, s in zip(reference, spread, strict=True)],
    )


def _normal(code: Tensor, generator: torch.Generator) -> Tensor:
    if code.device.type == "cpu":
        return torch.randn(code.shape, generator=generator)
    # ten million numbers a step are drawn on the device itself, from a seed that the generator gives
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.randn(code.shape, generator=torch.Generator(code.device).manual_seed(seed), device=code.device)
