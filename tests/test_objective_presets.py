"""The family of objectives: each trains through the one loop, and its limits are the objectives that they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from cryowae.config import TrainConfig
from cryowae.config.files import check, shipped
from cryowae.fourier.grids import hermitian_weights
from cryowae.fourier.wedge import Wedge
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.misfit import misfit, noise_power
from cryowae.train import Team, make_objective

PRESETS = sorted(path.stem for path in shipped("objectives").glob("*.yaml"))
MODEL = {"widths": [8, 8, 8], "codes": [2, 2, 2], "down": [1, 1, 1], "up": [1, 1], "decode": [1, 1, 1]}
TILTS = ((-60.0, 60.0), (-42.0, 60.0), (-60.0, 42.0), (-50.0, 50.0))


def batch(seed: int, size: int = 16) -> Batch:
    """Smooth structures, seen through the wedge with white noise."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.nn.functional.avg_pool3d(torch.randn(4, 1, size + 4, size + 4, size + 4, generator=generator), 5, 1)
    truth = truth / truth.std()
    halves = []
    for _ in range(2):
        noisy = truth + torch.randn(truth.shape, generator=generator)
        seen = [Wedge.binary(*t).apply(v[0])[None] for t, v in zip(TILTS, noisy, strict=True)]
        halves.append(torch.stack(seen))
    return Batch(halves[0], truth=truth, other=halves[1], scale=torch.ones(4), tilts=TILTS)


def configured(objective: object, **values: object) -> TrainConfig:
    plain = {"name": "x", "steps": 20, "precision": "float32", "model": MODEL, "objective": objective, "warmup": 1}
    return check(TrainConfig, {**plain, **values}, "test")


@pytest.mark.parametrize("name", PRESETS)
def test_every_objective_trains_and_moves_every_parameter_by_one_optimiser(name):
    made = make_objective(configured(name), Team("cpu"))
    holders = [made.optimiser, *(term.optimiser for term in made.terms.values() if term.optimiser)]
    parts = [part for holder in holders for part in holder.parts.values()]
    held = [id(p) for part in parts for group in part.param_groups for p in group["params"]]
    opponents = [module for term in made.terms.values() for module in term.parts.values()]
    moving = [p for module in (made.network, *opponents) for p in module.parameters()]
    assert len(held) == len(set(held)) == len(moving)  # Muon holds views of its kernels, so that their ids differ
    before = [p.detach().clone() for p in moving]
    losses = [made.step(batch(step % 2), StepInfo(step))["loss"] for step in range(20)]
    assert all(not torch.equal(was, now) for was, now in zip(before, moving, strict=True))
    assert all(torch.isfinite(p).all() for p in moving)
    assert sum(losses[-4:]) < sum(losses[:4])


def after(objective: object, steps: int = 5, **values: object) -> list[torch.Tensor]:
    made = make_objective(configured(objective, **values), Team("cpu"))
    for step in range(steps):
        made.step(batch(step), StepInfo(step))
    return [p.detach() for p in made.network.parameters()]


def test_entropic_coupling_without_the_divergence_is_a_wae():
    """gamma -> 0: the weights after some steps approach those of the same cost and match without the divergence."""
    model = {**MODEL, "random": True}
    match = {"weight": 1.0, "positions": 8}
    wae = after({"misfit": 1.0, "mmd": match}, model=model)

    def distance(gamma: float) -> float:
        evia = after({"misfit": 1.0, "kl": gamma, "mmd": match}, model=model)
        return sum(float((a - b).square().sum()) for a, b in zip(evia, wae, strict=True))

    assert distance(0.0) == 0
    assert distance(1e-3) < distance(10.0)


def test_entropic_coupling_without_the_match_is_a_vae():
    """lambda = 0: a step gives the weights of a VAE with the same cost, digit for digit."""
    model = {**MODEL, "random": True}
    vae = after({"misfit": 1.0, "kl": 2.0}, 1, model=model)
    evia = after({"misfit": 1.0, "kl": 2.0, "mmd": {"weight": 0.0, "positions": 8}}, 1, model=model)
    matched = after({"misfit": 1.0, "kl": 2.0, "mmd": {"weight": 1e4, "positions": 8}}, 1, model=model)
    assert all(torch.equal(a, b) for a, b in zip(vae, evia, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(vae, matched, strict=True))


def test_misfit_is_the_sum_written_by_hand_and_counts_the_components():
    shape, generator = (12, 10, 8), torch.Generator().manual_seed(0)
    truth, noise = (torch.randn(2, 1, *shape, generator=generator) for _ in range(2))
    mask = Wedge.binary(-50, 60).mask(shape)[None, None].expand(2, 1, -1, -1, -1)
    power = torch.full_like(mask, 4.0)
    found = misfit(truth, truth + 2 * noise, mask, power)
    full = torch.fft.fftn(2 * noise, dim=(-3, -2, -1), norm="ortho").abs().square() / 4
    whole = torch.fft.fftn(torch.fft.irfftn(torch.fft.rfftn(noise, dim=(-3, -2, -1)) * mask, s=shape), dim=(-3, -2, -1))
    measured = (whole.abs() > 1e-4).float()
    assert float(found) == pytest.approx(float((full * measured).flatten(1).sum(1).mean()), rel=1e-4)
    count = float((mask * hermitian_weights(shape[-1])).flatten(1).sum(1).mean())
    assert float(found) == pytest.approx(count, rel=0.1)


def test_the_gradient_of_the_misfit_is_the_formula_written_by_hand():
    """d/dx sum |M (F x - F y)|^2 / p = 2 M (x - y) / p, for a transform that keeps lengths."""
    shape, generator = (8, 8, 8), torch.Generator().manual_seed(1)
    restored = torch.randn(1, 1, *shape, generator=generator, requires_grad=True)
    seen = torch.randn(1, 1, *shape, generator=generator)
    mask = Wedge.binary(-60, 60).mask(shape)[None, None]
    misfit(restored, seen, mask, torch.full_like(mask, 3.0)).backward()
    by_hand = 2 / 3 * torch.fft.irfftn(torch.fft.rfftn(restored.detach() - seen, dim=(-3, -2, -1)) * mask, s=shape)
    assert_close(restored.grad, by_hand, atol=1e-4, rtol=1e-4)


def test_the_power_of_the_noise_is_that_of_the_halves():
    made = batch(0, 32)
    mask = torch.stack([Wedge.binary(*t).mask((32, 32, 32)) for t in TILTS])[:, None]
    power = noise_power(made.observation, made.other, mask)
    inside = power[mask > 0]
    assert float(inside.mean()) == pytest.approx(1.0, abs=0.05)  # white noise of variance 1


def test_a_preset_can_be_changed_and_a_file_can_be_given(tmp_path: Path):
    assert configured("energy").model.random and not configured("wae-mmd").model.random
    assert set(configured("aae").objective) == {"supervised", "gradient", "adversary"}
