"""The Sinkhorn divergence against exact transport, and its gradient against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.testing import assert_close

from cryowae.objectives.sinkhorn import sinkhorn_divergence


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def samples(n, d, generator):
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 50.0])
def test_equal_sets_have_none_and_others_a_positive_and_symmetric_one(epsilon, generator):
    x, y = samples(30, 3, generator), samples(20, 3, generator) * 1.5 + 0.3
    assert sinkhorn_divergence(x, x[torch.randperm(30, generator=generator)], epsilon).abs() < 1e-4
    there, back = sinkhorn_divergence(x, y, epsilon), sinkhorn_divergence(y, x, epsilon)
    assert there > 0.05
    assert_close(there, back, rtol=1e-3, atol=1e-5)


def test_small_epsilon_gives_the_wasserstein_distance_of_sorted_numbers(generator):
    """On a line the optimal plan joins the sorted samples."""
    x, y = samples(40, 1, generator), samples(40, 1, generator) * 2 + 1
    expected = (x.sort(0).values - y.sort(0).values).square().mean()
    assert_close(sinkhorn_divergence(x, y, 0.03), expected, rtol=0.01, atol=0)


def test_small_epsilon_gives_the_optimal_assignment(generator):
    x, y = samples(24, 5, generator), samples(24, 5, generator) + 0.5
    cost = (x[:, None] - y[None]).square().sum(-1).numpy()
    expected = cost[linear_sum_assignment(cost)].mean()
    assert float(sinkhorn_divergence(x, y, 0.02)) == pytest.approx(expected, rel=0.01)


def test_large_epsilon_gives_the_distance_of_the_means(generator):
    x, y = samples(30, 4, generator), samples(25, 4, generator) + 1
    expected = (x.mean(0) - y.mean(0)).square().sum()
    assert_close(sinkhorn_divergence(x, y, 1e4), expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("epsilon", [0.3, 3.0])
def test_gaussians_have_the_closed_form(epsilon):
    """Of N(0, a^2) and N(m, b^2) on a line, by quantiles (Janati et al. 2020, theorem 1, for the cost |x - y|^2).

    The entropic cost is `m^2 + a^2 + b^2 - D + (e/2) log((D + e/2) / e)` up to a term without a and b, with
    `D = sqrt(4 a^2 b^2 + e^2 / 4)`.
    """
    a, b, m = 1.0, 1.6, 0.7

    def entropic(s, t):
        d = np.sqrt(4 * s**2 * t**2 + epsilon**2 / 4)
        return s**2 + t**2 - d + epsilon / 2 * np.log((d + epsilon / 2) / epsilon)

    expected = m**2 + entropic(a, b) - (entropic(a, a) + entropic(b, b)) / 2
    line = torch.special.ndtri((torch.arange(400, dtype=torch.float64) + 0.5) / 400)[:, None]
    assert float(sinkhorn_divergence(a * line, b * line + m, epsilon)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("epsilon", [0.2, 2.0])
def test_gradients_are_those_of_finite_differences(epsilon, generator):
    x, y = samples(12, 3, generator).requires_grad_(), (samples(9, 3, generator) + 0.4).requires_grad_()
    sinkhorn_divergence(x, y, epsilon).backward()
    for moved in (x, y):
        direction = samples(*moved.shape, generator)
        values = []
        for step in (1e-4, -1e-4):
            pair = [(v + step * direction if v is moved else v).detach() for v in (x, y)]
            values.append(float(sinkhorn_divergence(*pair, epsilon)))
        assert (values[0] - values[1]) / 2e-4 == pytest.approx(float((moved.grad * direction).sum()), rel=0.01)


def test_descent_moves_samples_onto_the_other_set(generator):
    moving, there = samples(20, 2, generator).requires_grad_(), samples(20, 2, generator) + 3
    optimiser = torch.optim.Adam([moving], lr=0.3)
    for _ in range(30):
        optimiser.zero_grad()
        sinkhorn_divergence(moving, there, 0.1).backward()
        optimiser.step()
    nearest = torch.cdist(there, moving.detach()).min(1).values
    assert nearest.median() < 0.4
