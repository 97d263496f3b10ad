"""The objectives of the baselines: an autoencoder with terms that its model has, or a critic and a generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Adam

from cryowae.baselines.labels import draw_labelled
from cryowae.baselines.model import Baseline, draw_posterior
from cryowae.config import BaselineConfig
from cryowae.data.images import ImageSet
from cryowae.errors import ConfigError
from cryowae.objectives.adversary import discriminator_loss, fooling_loss
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.objectives.critic import critic_loss, gradient_penalty
from cryowae.objectives.kl import Kl
from cryowae.objectives.mmd import Mmd
from cryowae.objectives.optimiser import Optimiser
from cryowae.objectives.protocols import Batch, Stateful, StepInfo, Values
from cryowae.objectives.term import Pass, Term


def baseline_objective(
    config: BaselineConfig, device: torch.device, told: ImageSet | None = None
) -> BaselineObjective | CriticObjective:
    """The objective of a new run, its weights drawn from the config's seed.

    Parameters
    ----------
    config
        Of the model.
    device
        Where to compute.
    told
        The images whose class an AAE is told.
    """
    torch.manual_seed(config.seed)
    model = Baseline(config).to(device)
    return CriticObjective(model) if model.encoder is None else BaselineObjective(model, told)


class BaselineObjective(AutoencoderObjective):
    """The cost of the reconstruction, the match of the codes, and the classes that are told.

    Parameters
    ----------
    model
        In training mode, where it is to be trained.
    told
        The images whose class is told.
    """

    network: Baseline

    def __init__(self, model: Baseline, told: ImageSet | None = None) -> None:
        config, self._told = model.config, told
        terms: dict[str, Term] = {"reconstruction": Reconstruction(config.reduction, config.output == "clipped")}
        if config.model in _MATCHES:
            terms["match"] = _MATCHES[config.model](model)
        if told is not None:
            terms["supervision"] = Supervision(config.supervision)
        moving = Optimiser(optimiser=Adam(_own(model), lr=config.rate, betas=config.betas))
        super().__init__(model, terms, moving, torch.Generator().manual_seed(config.seed + 1))

    @property
    def parts(self) -> Mapping[str, Stateful]:
        found = dict(super().parts)
        return {"model": found.pop("network"), **found}

    def step(self, batch: Batch, info: StepInfo) -> Values:
        return _finite(super().step(batch, info), info)

    def forward(self, batch: Batch, info: StepInfo) -> Pass:
        model, images = self.network, batch.observation
        n, classes = len(images), model.classes
        assert model.encoder is not None
        extra = {}
        if self._told is not None:
            told, extra["classes"] = draw_labelled(self._told, n, model.config.shift, self.generator)
            images = torch.cat([images, told])
        found = model.encoder(images)
        posterior = [(found["mean"], found["log_variance"])] if "mean" in found else []
        style = draw_posterior(*posterior[0], self.generator) if posterior else found["style"][:n]
        drawn = model.prior(n, self.generator)
        code, codes, prior = style, [style], [drawn]
        if self._told is not None:
            extra["answers"] = found["label"][n:]
            label = found["label"][:n].softmax(1)
            code = torch.cat([label, style], 1)
            # a style is judged together with its class, so that styles are normal in every class
            codes = [torch.cat([one_hot(label.argmax(1), classes), style], 1), label]
            prior = [drawn, drawn[:, :classes]]
        restored = model.decode(code)
        return Pass(
            batch, codes, restored, model, self.generator, info, posterior=posterior, drawn_prior=prior, extra=extra
        )


class CriticObjective:
    """The WGAN with gradient penalty: the critic moves in every step, the generator at every `critic_steps`-th.

    Parameters
    ----------
    model
        In training mode, where it is to be trained.
    """

    def __init__(self, model: Baseline) -> None:
        config = model.config
        self.network, self.critic = model, model.opponents["critic"]
        self.optimiser = Optimiser(optimiser=Adam(_own(model), lr=config.rate, betas=config.betas))
        self.opponent = Optimiser(opponent=Adam(self.critic.parameters(), lr=config.rate, betas=config.betas))
        self.generator = torch.Generator().manual_seed(config.seed + 1)

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Both networks, and their optimisers."""
        return {"model": self.network, **self.optimiser.parts, **self.opponent.parts}

    def step(self, batch: Batch, info: StepInfo) -> Values:
        """Move the critic, and the generator if it is its turn."""
        model, config, images = self.network, self.network.config, batch.observation
        with torch.no_grad():
            made = model.decode(model.prior(len(images), self.generator))
        shares = torch.rand(len(images), generator=self.generator).to(images.device)
        distance = critic_loss(self.critic(images), self.critic(made))
        penalty = gradient_penalty(self.critic, images, made, shares, config.one_sided)
        self._move(self.opponent, distance + config.penalty * penalty, info)
        values = {"wasserstein": -float(distance.detach()), "penalty": float(penalty.detach())}
        if (info.number + 1) % config.critic_steps == 0:
            loss = -self.critic(model.decode(model.prior(len(images), self.generator))).mean()
            self._move(self.optimiser, loss, info)
            values["generator"] = float(loss.detach())
        return _finite(values, info)

    def _move(self, optimiser: Optimiser, loss: Tensor, info: StepInfo) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step(info.share)


class Reconstruction(Term):
    """The squared error of `reconstruction_cost` against the images that the network saw."""

    def __init__(self, reduction: str, clipped: bool) -> None:
        super().__init__()
        self._how = reduction, clipped

    def cost(self, made: Pass) -> tuple[Tensor, Values]:
        loss = reconstruction_cost(made.restored, made.batch.observation, *self._how)
        return loss, {"reconstruction": float(loss.detach())}


class Discriminators(Term):
    """Discriminators of the style and, where classes are told, of the label; the encoder is trained to fool them.

    It logs the cost of the encoder (`match`) and the share of right answers of each discriminator (`accuracy`).
    """

    follows_schedule = True

    def __init__(self, model: Baseline) -> None:
        config, self._judges = model.config, model.opponents
        super().__init__(config.weight)
        rate, betas = config.discriminator_rate, config.discriminator_betas
        self.optimiser = Optimiser(opponent=Adam(self._judges.parameters(), lr=rate, betas=betas))

    def cost(self, made: Pass) -> tuple[Tensor, Values]:
        pairs = zip(self._judges.values(), made.codes, strict=True)
        match = torch.stack([fooling_loss([judge(code)]) for judge, code in pairs]).sum()
        return self.weight * match, {"match": float(match.detach())}

    def oppose(self, made: Pass) -> tuple[Tensor, Values]:
        assert made.drawn_prior is not None
        losses, values = [], {}
        for (name, judge), code, drawn in zip(self._judges.items(), made.codes, made.drawn_prior, strict=True):
            on_prior, on_code = judge(drawn), judge(code.detach())
            losses.append(discriminator_loss([on_prior], [on_code]))
            values[f"accuracy_{name}"] = float((on_prior > 0).float().mean() + (on_code < 0).float().mean()) / 2
        return torch.stack(losses).sum(), values


class Supervision(Term):
    """The cross-entropy of the classes that are told."""

    def cost(self, made: Pass) -> tuple[Tensor, Values]:
        known = cross_entropy(made.extra["answers"], made.extra["classes"])
        return self.weight * known, {"supervision": float(known.detach())}


def reconstruction_cost(made: Tensor, images: Tensor, reduction: str, clipped: bool = False) -> Tensor:
    """Squared error, `mean` or `sum` over the values of an image, mean over the batch.

    If `clipped`, values beyond [-1, 1] are not penalised where the image is at that end: they are written as it is.
    """
    if clipped:
        alike = ((images <= -1) & (made < -1)) | ((images >= 1) & (made > 1))
        made = torch.where(alike, images, made)
    squares = (made - images).square().flatten(1)
    return (squares.sum(1) if reduction == "sum" else squares.mean(1)).mean()


def _kl(model: Baseline) -> Term:
    return Kl(model.config.weight)


def _mmd(model: Baseline) -> Term:
    return Mmd(model.config.weight, kernel=model.config.kernel, scales=model.config.scales)


_MATCHES: dict[str, Callable[[Baseline], Term]] = {
    "vae": _kl,
    "wae-mmd": _mmd,
    "wae-gan": Discriminators,
    "aae": Discriminators,
}
"""The term that matches the codes of each model to the prior; `ae` has none."""


def _own(model: Baseline) -> list[nn.Parameter]:
    """Trained parameters of encoder and decoder."""
    theirs = {id(p) for p in model.opponents.parameters()}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in theirs]


def _finite(values: Values, info: StepInfo) -> Values:
    if not all(math.isfinite(value) for value in values.values()):
        raise ConfigError(f"the objective is not finite at step {info.number}: {values}; lower the rates")
    return values
