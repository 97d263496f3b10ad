"""The energy score: proper, unbiased, and equal to the formula written by hand."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from cryowae.errors import ConfigError
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.energy import Energy, crps, energy_score
from cryowae.objectives.term import Pass, make_terms


def gaussian(spread: float, seed: int, count: int = 200_000, mean: float = 0.0) -> torch.Tensor:
    return mean + spread * torch.randn(count, 1, generator=torch.Generator().manual_seed(seed)).double()


def test_energy_score_is_the_formula_written_by_hand():
    samples = [torch.randn(5, 7, generator=torch.Generator().manual_seed(i)).double() for i in range(3)]
    truth = torch.randn(5, 7, generator=torch.Generator().manual_seed(9)).double()
    by_hand = 0.0
    for row in range(5):
        error = sum(math.sqrt(float((s[row] - truth[row]).square().sum())) for s in samples) / 3
        pairs = sum(math.sqrt(float((a[row] - b[row]).square().sum())) for a in samples for b in samples)
        by_hand += (error - pairs / (2 * 3 * 2)) / 5
    assert float(energy_score(samples, truth)) == pytest.approx(by_hand, rel=1e-12)


def test_its_gradient_is_the_formula_written_by_hand():
    first, second = (
        torch.randn(1, 4, generator=torch.Generator().manual_seed(i)).double().requires_grad_() for i in (0, 1)
    )
    truth = torch.zeros(1, 4).double()
    energy_score([first, second], truth).backward()
    difference = first - second
    by_hand = first / first.norm() / 2 - difference / difference.norm() / 2
    assert torch.allclose(first.grad, by_hand.detach(), atol=1e-12)


@pytest.mark.parametrize("score", [energy_score, lambda s, t: crps(s, t, 1.0)])
def test_scores_are_lowest_for_the_true_law(score):
    """Samples that are too wide, too narrow, or off the mean have a higher expected score."""
    truth = gaussian(1.0, 0)

    def of(spread: float, mean: float = 0.0) -> float:
        return float(score([gaussian(spread, 1, mean=mean), gaussian(spread, 2, mean=mean)], truth))

    right = of(1.0)
    assert right == pytest.approx(1 / math.sqrt(math.pi), abs=0.01)  # half the mean distance of two draws
    assert all(of(spread) > right + 0.005 for spread in (0.0, 0.7, 1.4)) and of(1.0, mean=0.3) > right + 0.005


def test_crps_is_almost_fair():
    samples = [gaussian(1.0, i, 40) for i in range(4)]
    truth = gaussian(1.0, 9, 40)
    error = sum((s - truth).abs().mean() for s in samples) / 4
    spread = sum((a - b).abs().mean() for a, b in combinations(samples, 2))
    for fairness, factor in ((1.0, 1 / 12), (0.0, 1 / 16), (0.95, 0.95 / 12 + 0.05 / 16)):
        assert float(crps(samples, truth, fairness)) == pytest.approx(float(error - factor * spread), rel=1e-12)


class Blurred:
    """A decoder whose sample has a chosen deviation in the wedge alone, about the truth where it is measured."""

    def __init__(self, truth: torch.Tensor, missing: torch.Tensor, spread: float) -> None:
        self.truth, self.missing, self.spread, self.made = truth, missing, spread, 0

    def decode(self, codes: object) -> torch.Tensor:
        self.made += 1
        noise = torch.randn(self.truth.shape, generator=torch.Generator().manual_seed(self.made + 10))
        return masked(self.truth, 1 - self.missing) + self.spread * masked(noise, self.missing)


def masked(volume: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfftn(torch.fft.rfftn(volume, dim=(-3, -2, -1)) * mask, s=volume.shape[-3:], dim=(-3, -2, -1))


def test_the_term_wants_the_right_power_in_the_wedge():
    """White noise in the wedge: samples of its deviation have a lower cost than none (the mean), and than too much."""
    from cryowae.fourier.wedge import Wedge

    truth = torch.randn(8, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    missing = 1 - Wedge.binary(-50, 50).mask((24, 24, 24))
    batch = Batch(truth, truth=truth, tilts=((-50.0, 50.0),) * 8)
    posterior = [(torch.zeros(8, 1, 2, 2, 2), torch.zeros(8, 1, 2, 2, 2))]

    def cost(spread: float) -> float:
        network = Blurred(truth, missing, spread)
        generator = torch.Generator().manual_seed(0)
        made = Pass(batch, [], network.decode([]), network, generator, StepInfo(0), posterior=posterior)
        return float(Energy(patch=4, bands=(0.0, 0.5)).cost(made)[0])

    right = cost(1.0)
    assert right < cost(0.5) and right < cost(0.0) and right < cost(1.5)


def test_a_network_without_random_codes_is_refused():
    batch = Batch(torch.zeros(1, 1, 8, 8, 8))
    made = Pass(batch, [], batch.observation, None, torch.Generator(), StepInfo(0))
    with pytest.raises(ConfigError, match="no random codes"):
        make_terms({"energy": 1.0})["energy"].cost(made)
