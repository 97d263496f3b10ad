"""The objectives of the baselines: an autoencoder with the terms of its model, or a critic and a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, pad
from torch.optim import Adam

from cryowae.baselines.model import Baseline
from cryowae.config import BaselineConfig
from cryowae.data.images import ImageSet, signed
from cryowae.errors import ImagesError
from cryowae.objectives import Batch, Optimiser, StepInfo, Values, check_divergence
from cryowae.objectives.adversary import discriminator_loss, fooling_loss
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.objectives.kl import Kl
from cryowae.objectives.mmd import Mmd
from cryowae.objectives.term import Cost, Pass, Term, draw_codes


def baseline_objective(
    config: BaselineConfig, device: torch.device, told: ImageSet | None = None
) -> BaselineObjective | CriticObjective:
    """The objective of a new run, its weights drawn from the config's seed.

    Parameters
    ----------
    config
        Configuration of the model.
    device
        Where to compute.
    told
        The images whose class is given to an AAE.
    """
    torch.manual_seed(config.seed)
    model = Baseline(config).to(device)
    return BaselineObjective(model, told) if model.encoder is not None else CriticObjective(model)


class BaselineObjective(AutoencoderObjective):
    """Cost of the reconstruction, match of the codes, and cost of the known classes.

    Parameters
    ----------
    model
        In training mode, on the device of the training.
    told
        The images whose class is given.
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
        self.parts = {"model" if name == "network" else name: part for name, part in self.parts.items()}

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
        style = draw_codes(posterior, self.generator)[0] if posterior else found["style"][:n]
        drawn = model.prior(n, self.generator)
        code, codes, prior = style, [style], [drawn]
        if self._told is not None:
            extra["answers"] = found["label"][n:]
            label = found["label"][:n].softmax(1)
            code = torch.cat([label, style], 1)
            # the discriminator gets a style with its class, so that styles are normal in every class
            codes = [torch.cat([one_hot(label.argmax(1), classes), style], 1), label]
            prior = [drawn, drawn[:, :classes]]
        restored = model.decode(code)
        return Pass(
            batch, codes, restored, model, self.generator, info, posterior=posterior, drawn_prior=prior, extra=extra
        )


class CriticObjective:
    """The WGAN with gradient penalty: the Wasserstein distance in its dual form, by a critic with a slope of one.

    The critic is updated in every step, the generator of images in every `critic_steps`-th step.

    Parameters
    ----------
    model
        In training mode, on the device of the training.
    """

    def __init__(self, model: Baseline) -> None:
        config, self.network = model.config, model
        adam = partial(Adam, lr=config.rate, betas=config.betas)
        self.optimiser = Optimiser(optimiser=adam(_own(model)))
        self.opponent = Optimiser(opponent=adam(model.opponents.parameters()))
        self.parts: Mapping[str, Any] = {"model": model, **self.optimiser.parts, **self.opponent.parts}
        self.generator = torch.Generator().manual_seed(config.seed + 1)

    def step(self, batch: Batch, info: StepInfo) -> Values:
        """Update the critic, and in every `critic_steps`-th step the generator of images."""
        model, images, count = self.network, batch.observation, len(batch.observation)
        config, critic = model.config, model.opponents["critic"]
        with torch.no_grad():
            made = model.decode(model.prior(count, self.generator))
        shares = torch.rand(count, generator=self.generator).to(images.device)
        distance = critic_loss(critic(images), critic(made))
        penalty = gradient_penalty(critic, images, made, shares, config.one_sided)
        self.opponent.descend(distance + config.penalty * penalty, info.share)
        values = {"wasserstein": -float(distance.detach()), "penalty": float(penalty.detach())}
        if (info.number + 1) % config.critic_steps == 0:
            loss = -critic(model.decode(model.prior(count, self.generator))).mean()
            self.optimiser.descend(loss, info.share)
            values["generator"] = float(loss.detach())
        return check_divergence(values, info)


class Reconstruction(Term):
    """The squared error of `reconstruction_cost` against the input images of the network."""

    def __init__(self, reduction: str, clipped: bool) -> None:
        super().__init__()
        self._how = reduction, clipped

    def cost(self, made: Pass) -> Cost:
        return self.logged("reconstruction", reconstruction_cost(made.restored, made.batch.observation, *self._how))


class Discriminators(Term):
    """Discriminators of the style and, if classes are given, of the label; the encoder is trained to fool them.

    It logs the cost of the encoder (`match`) and the accuracy of each discriminator (`accuracy`).
    """

    follows_schedule = True

    def __init__(self, model: Baseline) -> None:
        config, self._judges = model.config, model.opponents
        super().__init__(config.weight)
        rate, betas = config.discriminator_rate, config.discriminator_betas
        self.optimiser = Optimiser(opponent=Adam(self._judges.parameters(), lr=rate, betas=betas))

    def cost(self, made: Pass) -> Cost:
        pairs = zip(self._judges.values(), made.codes, strict=True)
        each = [fooling_loss([judge(code)]) for judge, code in pairs]
        return self.logged("match", torch.stack(each).sum(), weighted=False)

    def oppose(self, made: Pass) -> Cost:
        assert made.drawn_prior is not None
        losses, values = [], {}
        for (name, judge), code, drawn in zip(self._judges.items(), made.codes, made.drawn_prior, strict=True):
            on_prior, on_code = judge(drawn), judge(code.detach())
            losses.append(discriminator_loss([on_prior], [on_code]))
            values[f"accuracy_{name}"] = float((on_prior > 0).float().mean() + (on_code < 0).float().mean()) / 2
        return torch.stack(losses).sum(), values


class Supervision(Term):
    """The cross-entropy of the classes that are given."""

    def cost(self, made: Pass) -> Cost:
        return self.logged("supervision", cross_entropy(made.extra["answers"], made.extra["classes"]), weighted=False)


def reconstruction_cost(made: Tensor, images: Tensor, reduction: str, clipped: bool = False) -> Tensor:
    """Squared error, `mean` or `sum` over the values of an image, mean over the batch.

    If `clipped`, values beyond [-1, 1] are not penalised where the image has that limit, since images are clipped when
    they are written.
    """
    if clipped:
        alike = ((images <= -1) & (made < -1)) | ((images >= 1) & (made > 1))
        made = torch.where(alike, images, made)
    squares = (made - images).square().flatten(1)
    return (squares.sum(1) if reduction == "sum" else squares.mean(1)).mean()


def critic_loss(on_real: Tensor, on_made: Tensor) -> Tensor:
    """Minus the distance by the critic (Arjovsky et al. 2017, eq. 2); `(n, 1)` values of each."""
    return on_made.mean() - on_real.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, shares: Tensor, one_sided: bool = False
) -> Tensor:
    """Mean squared excess of the critic's slope over one, between real and generated samples.

    Parameters
    ----------
    critic
        `(n, ...)` to `(n, 1)`, every sample by itself.
    real, made
        `(n, ...)`, without gradient.
    shares
        `(n,)` in [0, 1]: position on the line from generated to real at which the slope is taken.
    one_sided
        Slopes below one are not penalised (Gulrajani et al. 2017, section 4 and appendix, two-sided by default;
        one-sided as Petzka et al. 2018 argue for).
    """
    weight = shares.view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(made, real, weight).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    excess = gradient.flatten(1).norm(dim=1) - 1
    cost: Tensor = (excess.clamp(min=0) if one_sided else excess).square().mean()
    return cost


def choose_labelled(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` images whose class is given, the same number of each of ten classes, chosen by the seed.

    Raises
    ------
    ImagesError
        If a class has too few.
    """
    assert images.labels is not None
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(images.labels.device)
    fewest = int(images.labels.bincount(minlength=10).min())
    if count > 10 * fewest:
        raise ImagesError(f"got labels={count}, the same number per class, expected at most {10 * fewest} here")
    classes = images.labels[order]
    chosen = torch.cat([order[classes == label][: count // 10] for label in range(10)])
    return ImageSet(images.name, images.images[chosen], images.labels[chosen])


def draw_labelled(told: ImageSet, count: int, shift: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random images whose class is given, in [-1, 1], shifted by up to `shift` pixels on black, and their classes."""
    chosen = torch.randint(len(told), (count,), generator=generator)
    moves = torch.randint(2 * shift + 1, (count, 2), generator=generator).tolist()
    assert told.labels is not None
    chosen = chosen.to(told.images.device)
    wide, size = pad(signed(told.images[chosen]), [shift] * 4, value=-1.0), told.images.shape[-1]
    moved = [image[:, y : y + size, x : x + size] for image, (y, x) in zip(wide, moves, strict=True)]
    return torch.stack(moved), told.labels[chosen]


_MATCHES: dict[str, Callable[[Baseline], Term]] = {
    "vae": lambda model: Kl(model.config.weight),
    "wae-mmd": lambda model: Mmd(model.config.weight, kernel=model.config.kernel, scales=model.config.scales),
    "wae-gan": Discriminators,
    "aae": Discriminators,
}
"""The term that matches the codes of each model to the prior; `ae` has none."""


def _own(model: Baseline) -> list[nn.Parameter]:
    """Trained parameters of encoder and decoder."""
    theirs = {id(p) for p in model.opponents.parameters()}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in theirs]
