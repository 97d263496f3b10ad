"""Objectives of the baselines: one step against the objective written by hand, and the effect of steps on codes.

With plain gradient descent at a rate of 1 a step moves every parameter by minus its gradient, so the change shows sign,
weight and inputs of every term. Networks are in evaluation mode here, in which no image depends on its batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, nll_loss, one_hot
from torch.optim import SGD

from cryowae.baselines import objective as objectives
from cryowae.baselines.model import Baseline
from cryowae.baselines.objective import BaselineObjective, CriticObjective, baseline_objective
from cryowae.config import baseline_config
from cryowae.objectives import Batch, Optimiser, StepInfo

COUNT, SEED = 6, 5
IMAGES = (torch.rand(COUNT, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 3 - 1.5).clamp(-1, 1)
TOLD = IMAGES.flip(3), torch.tensor([3, 1, 4, 1, 5, 9])
CASES = [
    ("ae", ["weight=9"]),
    ("ae", ["output=linear"]),
    ("vae", ["weight=3", "reduction=sum"]),
    ("vae", ["weight=.01", "reduction=mean"]),
    ("wae-mmd", ["weight=9000"]),
    ("wae-mmd", ["weight=900", "kernel=gaussian", "scales=[0.1, 0.2, 0.5, 1, 2, 5, 10]"]),
    ("wae-gan", ["weight=2000"]),
    ("aae", ["weight=.5", "reduction=mean"]),
    ("aae", ["weight=2000", "supervision=300", "labels=100"]),
]


def fixed(model: str, *overrides: str) -> tuple[Baseline, torch.Tensor]:
    """Networks of a known seed in evaluation mode, and the samples of the prior that they always get."""
    torch.manual_seed(2)
    built = Baseline(baseline_config("mnist", model, "fixed", overrides)).eval()
    built.decoder.rest[-1].bias.data -= 1  # images near black, so that some values are below it
    prior = built.prior(COUNT, torch.Generator().manual_seed(4))
    built.prior = lambda count, generator: prior
    return built, prior


def moves(model: Baseline, number: int = 0, told=None) -> dict[str, torch.Tensor]:
    """How a step of gradient descent at a rate of 1 changes each parameter, by name."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    made = BaselineObjective(model, told) if model.encoder else CriticObjective(model)
    made.generator.manual_seed(SEED)
    holders = [made, *(term for term in getattr(made, "terms", {}).values() if term.optimiser)]
    for holder in holders:
        for name in ("optimiser", "opponent"):
            if hasattr(holder, name):
                groups = [p for part in getattr(holder, name).parts.values() for p in part.param_groups[0]["params"]]
                setattr(holder, name, Optimiser(plain=SGD(groups, 1.0)))
    made.step(Batch(IMAGES), StepInfo(number))
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def slopes(model: Baseline, loss: torch.Tensor, part: str) -> dict[str, torch.Tensor]:
    """Gradient of a loss by the parameters of a part: `opponents.`, or all others."""
    names = {n: p for n, p in model.named_parameters() if n.startswith("opponents.") == (part == "opponents")}
    found = torch.autograd.grad(
        loss, list(names.values()), allow_unused=True, retain_graph=True, materialize_grads=True
    )
    return dict(zip(names, found, strict=True))


def same(moved: dict[str, torch.Tensor], gradient: dict[str, torch.Tensor]) -> bool:
    """Whether all parameters with a gradient were updated against it."""
    return all(
        float((moved[name] + slope).norm()) <= 1e-3 * float(slope.norm()) + 1e-5 for name, slope in gradient.items()
    )


def answer(logits: torch.Tensor, yes: bool) -> torch.Tensor:
    """Cross-entropy of a discriminator that should answer yes, or no."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(yes)))


def squared_mmd(codes: torch.Tensor, prior: torch.Tensor, kind: str, scales: Sequence[float]) -> torch.Tensor:
    """Pair by pair (Gretton et al. 2012, eq. 3)."""

    def mean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        pairs = [(x - y).square().sum() for i, x in enumerate(a) for j, y in enumerate(b) if a is not b or i != j]
        widths = [2 * a.shape[1] * s for s in scales]
        values = [c / (c + r) if kind == "imq" else (-r / c).exp() for r in pairs for c in widths]
        return torch.stack(values).sum() / len(pairs)

    return mean(codes, codes) + mean(prior, prior) - 2 * mean(codes, prior)


def latent_terms(network: Baseline, prior: torch.Tensor):
    """The code that is decoded, its match to the prior, and the losses of the discriminators, if there are any."""
    name, found = network.config.model, network.encoder(IMAGES)
    if name == "vae":  # drawn from the posterior; the divergence in closed form
        noise = torch.randn(COUNT, 32, generator=torch.Generator().manual_seed(SEED))
        posterior = torch.distributions.Normal(found["mean"], (found["log_variance"] / 2).exp())
        away = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1))
        return posterior.mean + posterior.stddev * noise, away.sum(1).mean(), None
    code, judges = found["style"], network.opponents
    if name == "wae-mmd":
        config = network.config
        scales = (0.02, 0.05, 0.1) if config.kernel == "imq" else (0.1, 0.2, 0.5, 1, 2, 5, 10)
        return code, squared_mmd(code, prior, config.kernel, scales), None
    if name == "ae":
        return code, torch.zeros(()), None
    seen, real = {"style": code}, {"style": prior}
    if network.classes:  # the discriminator gets a style with its class, so that styles are normal in every class
        label = found["label"].softmax(1)
        seen = {"style": torch.cat([one_hot(label.argmax(1), 10), code], 1), "label": label}
        real = {"style": prior, "label": prior[:, :10]}
        code = torch.cat([label, code], 1)
    match = sum(answer(judges[key](seen[key]), True) for key in seen)
    right = [answer(judges[key](real[key]), True) + answer(judges[key](seen[key].detach()), False) for key in seen]
    return code, match, sum(right) / 2


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_an_autoencoder_moves_down_its_objective(name, overrides, monkeypatch):
    model, prior = fixed(name, *overrides)
    network, config = copy.deepcopy(model), model.config
    code, match, theirs = latent_terms(network, prior)
    away = network.decode(code) - IMAGES
    if config.output == "clipped":  # values beyond [-1, 1] are not penalised
        away = torch.where(IMAGES == -1, away.relu(), torch.where(IMAGES == 1, (-away).relu(), away))
    errors = away.square().sum((1, 2, 3))
    loss = errors.mean() / (1 if config.reduction == "sum" else 32 * 32) + config.weight * match
    told = TOLD if network.classes else None
    monkeypatch.setattr(objectives, "draw_labelled", lambda *_: TOLD)
    if told:
        loss = loss + config.supervision * nll_loss(network.encoder(told[0])["label"].log_softmax(1), told[1])
    by_hand = slopes(network, loss, "model")
    if name != "ae":  # otherwise the test would not detect a match of the wrong sign
        share = slopes(network, config.weight * match, "model")["encoder.trunk.0.weight"].norm()
        assert share > 0.02 * by_hand["encoder.trunk.0.weight"].norm()
    by_hand |= slopes(network, theirs, "opponents") if theirs is not None else {}
    assert same(moves(model, told=told), by_hand)


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_critic_moves_down_its_objective_and_then_the_generator(one_sided):
    model, prior = fixed("wgan-gp", f"one_sided={one_sided}", "critic_steps=3", "penalty=7")
    shares = torch.rand(COUNT, generator=torch.Generator().manual_seed(SEED))[:, None, None, None]

    def steepness(network: Baseline) -> torch.Tensor:
        between = (shares * IMAGES + (1 - shares) * network.decode(prior).detach()).requires_grad_()
        value = network.opponents["critic"](between).sum()
        return torch.autograd.grad(value, between, create_graph=True)[0].flatten(1).norm(dim=1)

    last = model.opponents["critic"][-1]
    last.weight.data /= steepness(model).detach().median()
    network = copy.deepcopy(model)
    critic, excess = network.opponents["critic"], steepness(network) - 1
    assert bool((excess < 0).any()) and bool((excess > 0).any())
    distance = critic(IMAGES).mean() - critic(network.decode(prior).detach()).mean()
    penalty = (excess.clamp(min=0) if one_sided else excess).square().mean()
    by_hand = slopes(network, 7 * penalty - distance, "opponents")
    for number in (0, 1):
        moved = moves(copy.deepcopy(model), number)
        assert same(moved, by_hand)
        assert all(bool((move == 0).all()) for name, move in moved.items() if name.startswith("decoder."))
    for name, parameter in network.named_parameters():  # the generator is updated after the critic
        parameter.data -= by_hand.get(name, torch.zeros(()))
    by_hand |= slopes(network, -critic(network.decode(prior)).mean(), "model")
    assert same(moves(model, 2), by_hand)


@pytest.mark.parametrize("name", ["vae", "wae-mmd", "wae-gan"])
def test_a_match_pulls_codes_to_the_prior(name):
    """Codes about 3 along every axis: if the match dominates the objective, they return to 0."""
    overrides = ["weight=1e5", "reduction=mean", "rate=3e-3", "discriminator_rate=1e-2"]
    made = baseline_objective(baseline_config("mnist", name, "fixed", overrides), torch.device("cpu"))
    model = made.network
    model.encoder.heads["mean" if name == "vae" else "style"].bias.data += 3
    away = []
    for number in range(24):
        with torch.no_grad():
            away.append(float(model.encode(IMAGES).mean(0).norm()))
        made.step(Batch(IMAGES), StepInfo(number))
    assert away[-1] < 0.5 * away[0]


def test_a_critic_learns_to_discriminate_and_a_generator_to_deceive_it():
    config = baseline_config("mnist", "wgan-gp", "fixed", ["critic_steps=1", "rate=1e-3"])
    for still, figure, sign in (("optimiser", "wasserstein", 1), ("opponent", "generator", -1)):
        made = baseline_objective(config, torch.device("cpu"))
        (part,) = getattr(made, still).parts.values()
        setattr(made, still, Optimiser(plain=SGD(part.param_groups[0]["params"], 0.0)))
        found = [made.step(Batch(IMAGES[:3]), StepInfo(number))[figure] for number in range(4)]
        assert sign * (found[-1] - found[0]) > 0.002, figure
