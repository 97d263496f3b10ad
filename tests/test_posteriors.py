"""Reweighting and Langevin steps agree with the closed form where there is one: a linear decoder and Gaussian noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cryowae.fourier.wedge import Wedge
from cryowae.restore.langevin import Langevin
from cryowae.restore.likelihood import Likelihood, measure_likelihood
from cryowae.restore.reweighting import block_sums, importance_weights, log_ratio, spread_over_voxels

SIGMA = 2.0
SIZE = 32
ALL = Wedge.binary(-90, 90)
WHITE = Likelihood(ALL, torch.ones(32), torch.full((32,), SIGMA**2))


def decode(codes: list[Tensor]) -> Tensor:
    """Every code is the density of a cube of 2 x 2 x 2 voxels."""
    return torch.nn.functional.interpolate(codes[0], scale_factor=2.0, mode="nearest")


@pytest.fixture(scope="module")
def toy():
    """An observation, and the mean and the variance of the exact posterior of each code."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(1, 1, *(SIZE // 2,) * 3, generator=generator)
    observed = decode([truth]) + SIGMA * torch.randn(1, 1, *(SIZE,) * 3, generator=generator)
    sums = 8 * torch.nn.functional.avg_pool3d(observed, 2)
    variance = 1 / (1 + 8 / SIGMA**2)
    return observed, variance * sums / SIGMA**2, variance


def normal(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


INNER = (..., slice(4, 12), slice(4, 12), slice(4, 12))  # codes that the taper leaves alone


def test_langevin_steps_reach_the_exact_posterior_from_a_wrong_start(toy):
    observed, mean, variance = toy
    start = [(torch.full_like(mean, 1.5), torch.zeros_like(mean))]  # off by its deviation, which is too large
    steps = Langevin(steps=60, eta=0.15)
    chains = torch.stack(
        [
            steps.run(decode, start, observed, WHITE, lambda step, c=chain: [normal(mean.shape, 1000 * c + step)])[0]
            for chain in range(24)
        ]
    )[INNER]
    error = chains.mean(0) - mean[INNER]
    assert abs(float(error.mean())) < 0.03
    assert float(error.square().mean()) < 2 * variance / 24
    # steps of this size, without a Metropolis test, widen the law by 1 / (1 - eta / (4 v))
    assert float(chains.var(0).mean()) == pytest.approx(variance / (1 - 0.15 / (4 * variance)), rel=0.1)


def test_without_steps_langevin_is_a_draw_of_the_encoder(toy):
    observed, mean, _ = toy
    posterior = [(mean, torch.full_like(mean, -2.0))]
    (drawn,) = Langevin(steps=0).run(decode, posterior, observed, WHITE, lambda _: [normal(mean.shape, 1)])
    assert torch.allclose(drawn, mean + torch.exp(torch.tensor(-1.0)) * normal(mean.shape, 1))


def test_the_step_is_halved_where_it_is_too_large(toy):
    observed, mean, _ = toy
    start = [(mean, torch.zeros_like(mean))]
    (drawn,) = Langevin(steps=40, eta=4.0).run(decode, start, observed, WHITE, lambda s: [normal(mean.shape, s)])
    assert float((drawn - mean)[INNER].abs().max()) < 6


def test_importance_weights_reach_the_exact_posterior_from_a_wrong_encoder(toy):
    observed, mean, variance = toy
    posterior = [(0.7 * mean, torch.full_like(mean, -0.5))]  # the mean of a tomogram has no likelihood
    count, block = 600, 2
    samples, logs = [], []
    for k in range(count):
        code = posterior[0][0] + torch.exp(0.5 * posterior[0][1]) * normal(mean.shape, k)
        misfit = block_sums(WHITE.residual(decode([code]), observed), block)
        samples.append(code[INNER])
        logs.append((log_ratio([code], posterior, block) - misfit / 2)[INNER])
    weights, effective = importance_weights(torch.stack(logs))
    drawn = torch.stack(samples)
    found = (weights * drawn).sum(0)
    assert float((found - mean[INNER]).square().mean()) < 3 * variance / float(effective.mean())
    assert abs(float((found - mean[INNER]).mean())) < 0.02
    spread = (weights * (drawn - found).square()).sum(0)
    assert float(spread.mean()) == pytest.approx(variance, rel=0.1)
    assert 0.2 * count < float(effective.mean()) < count


def test_the_effective_number_is_one_for_a_winner_and_all_for_equals():
    _, effective = importance_weights(torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 0.0]]))
    assert effective.tolist() == pytest.approx([1.0, 3.0])


def test_weights_of_blocks_keep_their_sum_between_blocks():
    weights, _ = importance_weights(torch.randn(5, 1, 3, 4, 2, generator=torch.Generator().manual_seed(0)))
    voxels = spread_over_voxels(weights, (24, 32, 16))
    assert voxels.shape == (5, 1, 24, 32, 16) and torch.allclose(voxels.sum(0), torch.ones(()), atol=1e-5)


def test_the_likelihood_is_measured_where_it_is_known():
    """Half of the amplitude arrives, with noise of a known power, through a wedge."""
    shape, wedge = (48, 48, 48), Wedge.binary(-60, 60)
    truth = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    noise = SIGMA * torch.randn(shape, generator=torch.Generator().manual_seed(2))
    found = measure_likelihood(truth, wedge.apply(0.5 * truth + noise), wedge)
    assert found.transfer[8:].tolist() == pytest.approx([0.5] * 24, abs=0.06)  # coarser shells have few components
    assert found.power[8:].tolist() == pytest.approx([SIGMA**2] * 24, rel=0.15)


def test_the_misfit_of_the_truth_is_the_number_of_measured_components():
    shape, wedge = (48, 48, 48), Wedge.binary(-60, 60)
    truth = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(1))
    noise = SIGMA * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    likelihood = Likelihood(wedge, torch.ones(32), torch.full((32,), SIGMA**2))
    inner = likelihood.residual(truth, truth + noise)[..., 8:40, 8:40, 8:40].square().mean()
    assert float(inner) == pytest.approx(120 / 180, abs=0.06)
