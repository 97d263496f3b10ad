"""One training step of each baseline: the cost of the reconstruction, the match of the codes, the opponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Optimizer

from cryowae.baselines.model import Baseline, draw_posterior
from cryowae.objectives.critic import critic_loss, gradient_penalty
from cryowae.objectives.latent import SCALES, block_kernel, discriminator_loss, fooling_loss, gaussian_divergence, mmd

Values = dict[str, float]
Labelled = tuple[Tensor, Tensor]
"""Images in [-1, 1] and their classes."""


def step(
    model: Baseline,
    optimisers: Mapping[str, Optimizer],
    number: int,
    images: Tensor,
    labelled: Labelled | None,
    generator: torch.Generator,
) -> Values:
    """Move every parameter once (the WGAN's generator: at every `critic_steps`-th step).

    Parameters
    ----------
    model
        In training mode.
    optimisers
        `model` for encoder and decoder, `opponents` for discriminators or critic.
    number
        Of the step, from 0.
    images
        `(n, c, size, size)` in [-1, 1].
    labelled
        What an AAE with labels is told.
    generator
        Draws noise and priors; on the CPU.

    Returns
    -------
    values
        Terms of the objective, for the log.
    """
    if model.encoder is None:
        return _critic_step(model, optimisers, number, images, generator)
    return _autoencoder_step(model, optimisers, images, labelled, generator)


def reconstruction_cost(made: Tensor, images: Tensor, reduction: str, clipped: bool = False) -> Tensor:
    """Squared error, `mean` or `sum` over the values of an image, mean over the batch.

    If `clipped`, values beyond [-1, 1] cost nothing where the image is at that end: they are written as it is.
    """
    if clipped:
        alike = ((images <= -1) & (made < -1)) | ((images >= 1) & (made > 1))
        made = torch.where(alike, images, made)
    squares = (made - images).square().flatten(1)
    return (squares.sum(1) if reduction == "sum" else squares.mean(1)).mean()


def mmd_of_codes(
    codes: Tensor, prior: Tensor, kernel: Literal["imq", "gaussian"], scales: Sequence[float] = SCALES
) -> Tensor:
    """Squared MMD of `(n, d)` codes and as many samples of the prior: every code is a block of its own."""
    both = torch.cat([codes, prior])[:, None]
    first = torch.arange(len(both)) < len(codes)
    return mmd(block_kernel(both, scales, kind=kernel), first)


def _autoencoder_step(
    model: Baseline,
    optimisers: Mapping[str, Optimizer],
    images: Tensor,
    labelled: Labelled | None,
    generator: torch.Generator,
) -> Values:
    config, n = model.config, len(images)
    assert model.encoder is not None
    found = model.encoder(images if labelled is None else torch.cat([images, labelled[0]]))
    codes: dict[str, Tensor] = {}
    if config.model == "vae":
        codes["style"] = draw_posterior(found["mean"], found["log_variance"], generator)
    else:
        codes["style"] = found["style"][:n]
    if labelled is not None:
        codes["label"] = found["label"][:n].softmax(1)
    drawn = model.prior(n, generator)
    prior = {"label": drawn[:, : model.classes], "style": drawn[:, model.classes :]}
    seen, real = dict(codes), dict(prior)  # by the discriminators: a style with its class, to be normal in every one
    if labelled is not None:
        seen["style"] = torch.cat([one_hot(codes["label"].argmax(1), model.classes), codes["style"]], 1)
        real["style"] = drawn
    code = torch.cat([codes[name] for name in ("label", "style") if name in codes], 1)
    loss = reconstruction_cost(model.decode(code), images, config.reduction, config.output == "clipped")
    values = {"reconstruction": float(loss.detach())}
    if config.model == "vae":
        match = gaussian_divergence(found["mean"], found["log_variance"])
    elif config.model == "wae-mmd":
        match = mmd_of_codes(codes["style"], prior["style"], config.kernel, config.scales)
    elif model.opponents:
        match = torch.stack([fooling_loss([model.opponents[name](seen[name])]) for name in model.opponents]).sum()
    else:
        match = loss.new_zeros(())
    values["match"] = float(match.detach())
    loss = loss + config.weight * match
    if labelled is not None:
        known = cross_entropy(found["label"][n:], labelled[1])
        values["supervision"] = float(known.detach())
        loss = loss + config.supervision * known
    _move(optimisers["model"], loss)
    if model.opponents:
        answers = {
            name: (opponent(real[name]), opponent(seen[name].detach())) for name, opponent in model.opponents.items()
        }
        _move(optimisers["opponents"], torch.stack([discriminator_loss([p], [c]) for p, c in answers.values()]).sum())
        for name, (p, c) in answers.items():
            right = (p > 0).float().mean() + (c < 0).float().mean()
            values[f"accuracy_{name}"] = float(right) / 2
    return values


def _critic_step(
    model: Baseline, optimisers: Mapping[str, Optimizer], number: int, images: Tensor, generator: torch.Generator
) -> Values:
    config, n = model.config, len(images)
    critic = model.opponents["critic"]
    with torch.no_grad():
        made = model.decode(model.prior(n, generator))
    shares = torch.rand(n, generator=generator).to(images.device)
    distance = critic_loss(critic(images), critic(made))
    penalty = gradient_penalty(critic, images, made, shares, config.one_sided)
    _move(optimisers["opponents"], distance + config.penalty * penalty)
    values = {"wasserstein": -float(distance.detach()), "penalty": float(penalty.detach())}
    if (number + 1) % config.critic_steps == 0:
        loss = -critic(model.decode(model.prior(n, generator))).mean()
        _move(optimisers["model"], loss)
        values["generator"] = float(loss.detach())
    return values


def _move(optimiser: Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
