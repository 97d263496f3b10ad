"""The WGAN with gradient penalty: the Wasserstein distance in its dual form, by a critic whose slope is kept at one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cryowae.objectives import Batch, Stateful, StepInfo, Values, require_finite
from cryowae.objectives.optimiser import Optimiser


class CriticObjective:
    """Moves the critic in every step, the generator of images at every so many-th.

    Parameters
    ----------
    network
        A module with `decode`, and `prior(count, generator)` which draws codes; it may hold the critic too.
    critic
        Images to one number each.
    optimiser, opponent
        Move the parameters of the generator of images, and those of the critic.
    generator
        Source of randomness, on the CPU.
    every
        Steps of the critic to one of the generator of images.
    penalty, one_sided
        Weight and kind of the gradient penalty.
    """

    def __init__(
        self,
        network: Any,
        critic: nn.Module,
        optimiser: Optimiser,
        opponent: Optimiser,
        generator: torch.Generator,
        every: int = 5,
        penalty: float = 10.0,
        one_sided: bool = False,
    ) -> None:
        self.network, self.critic, self.optimiser, self.opponent = network, critic, optimiser, opponent
        self.generator, self._every, self._penalty, self._one_sided = generator, every, penalty, one_sided

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """The networks, and their optimisers."""
        return {"model": self.network, **self.optimiser.parts, **self.opponent.parts}

    def step(self, batch: Batch, info: StepInfo) -> Values:
        """Move the critic, and the generator of images if it is its turn."""
        images, count = batch.observation, len(batch.observation)
        with torch.no_grad():
            made = self.network.decode(self.network.prior(count, self.generator))
        shares = torch.rand(count, generator=self.generator).to(images.device)
        distance = critic_loss(self.critic(images), self.critic(made))
        penalty = gradient_penalty(self.critic, images, made, shares, self._one_sided)
        self.opponent.descend(distance + self._penalty * penalty, info.share)
        values = {"wasserstein": -float(distance.detach()), "penalty": float(penalty.detach())}
        if (info.number + 1) % self._every == 0:
            loss = -self.critic(self.network.decode(self.network.prior(count, self.generator))).mean()
            self.optimiser.descend(loss, info.share)
            values["generator"] = float(loss.detach())
        return require_finite(values, info)


def critic_loss(on_real: Tensor, on_made: Tensor) -> Tensor:
    """Minus the distance that the critic sees (Arjovsky et al. 2017, eq. 2); `(n, 1)` values of each."""
    return on_made.mean() - on_real.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, shares: Tensor, one_sided: bool = False
) -> Tensor:
    """Mean squared excess of the critic's slope over one, between real and made samples.

    Parameters
    ----------
    critic
        `(n, ...)` to `(n, 1)`, every sample by itself.
    real, made
        `(n, ...)`, without gradient.
    shares
        `(n,)` in [0, 1]: where on the line from made to real the slope is taken.
    one_sided
        Slopes below one cost nothing (Gulrajani et al. 2017, section 4 and appendix, two-sided by default; one-sided
        as Petzka et al. 2018 argue for).
    """
    weight = shares.view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(made, real, weight).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    excess = gradient.flatten(1).norm(dim=1) - 1
    cost: Tensor = (excess.clamp(min=0) if one_sided else excess).square().mean()
    return cost
