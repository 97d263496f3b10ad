"""The objective of an autoencoder: a sum of terms, each of which may train an opponent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import InitVar, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cryowae.objectives import Batch, Optimiser, StepInfo, Values, check_divergence
from cryowae.objectives.term import Forward, Pass, Term, channels_last, forward


@dataclass(eq=False)
class AutoencoderObjective:
    """Updates an autoencoder by the sum of its terms, then each opponent by its own loss.

    Every parameter is updated by exactly one optimiser.

    Attributes
    ----------
    network
        A module with `encode` (observation to codes) and `decode`.
    terms
        By name.
    optimiser
        Updates the network, but not the opponents, which the terms update.
    generator
        Source of randomness, on the CPU.
    average
        A second network for the running average of the weights, if one is wanted.
    ema
        Decay of the average per step; smaller in the first steps.
    clip
        Largest norm of the gradient; 0 does not clip.
    precision
        Creates the context in which the networks are evaluated.
    share
        Wraps the forward pass, so that several processes average their gradients.
    parts
        Networks, optimisers, and the state of the terms.
    """

    network: nn.Module
    terms: Mapping[str, Term]
    optimiser: Optimiser
    generator: torch.Generator
    average: nn.Module | None = None
    ema: float = 0.0
    clip: float = 0.0
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    share: InitVar[Callable[[nn.Module], nn.Module]] = lambda module: module

    def __post_init__(self, share: Callable[[nn.Module], nn.Module]) -> None:
        self._shared = share(_WithCodes(self.network, self.generator))
        kept: dict[str, Any] = {"network": self.network, **self.optimiser.parts}
        kept |= {} if self.average is None else {"ema": self.average}
        for name, term in self.terms.items():
            term.prepare(self.network)
            own = {**term.parts, **(term.optimiser.parts if term.optimiser else {})}
            kept |= {f"{name}.{part}": value for part, value in own.items()}
        self.parts: Mapping[str, Any] = kept

    def step(self, batch: Batch, info: StepInfo) -> Values:
        """Update every parameter once; return the terms and other values for the log."""
        made = self.forward(batch, info)
        costs = [term.cost(made) for term in self.terms.values()]
        loss = torch.stack([loss for loss, _ in costs]).sum()
        self.optimiser.zero_grad()
        loss.backward()
        values = {"loss": float(loss.detach())}
        for _, said in costs:
            values |= said
        if self.clip:
            values["gradient_norm"] = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.clip))
        if math.isfinite(values.get("gradient_norm", 0.0)):
            self.optimiser.step(info.share)
        for term in self.terms.values():
            if term.optimiser is not None:
                loss, said = term.oppose(made)
                term.optimiser.descend(loss, info.share if term.follows_schedule else 1.0)
                values |= said
        self._update_average(info.number + 1)
        return values if self.clip else check_divergence(values, info)  # with clipping such steps are skipped

    def forward(self, batch: Batch, info: StepInfo) -> Pass:
        """One forward pass of a batch."""
        with self.precision():
            restored, codes, posterior = self._shared(channels_last(batch.observation))
        network, average = self.network, self.average
        return Pass(batch, codes, restored, network, self.generator, info, average, self.precision, posterior)

    @torch.no_grad()
    def _update_average(self, steps: int) -> None:
        if self.average is not None:
            keep = min(self.ema, (1 + steps) / (10 + steps))
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)


class _WithCodes(nn.Module):
    """One forward pass as a module, as data-parallel training needs it."""

    def __init__(self, network: Any, generator: torch.Generator) -> None:
        super().__init__()
        self.network, self.generator = network, generator

    def forward(self, observation: Tensor) -> Forward:
        return forward(self.network, observation, self.generator)
