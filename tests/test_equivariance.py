"""Re-observation and equivariance: units, gradients, and the order of the costs of networks that know the answer.

The specimens are tetrahedral groups of four unequal balls: chiral, and of known transform, so that nothing here is
made by the code that is tested except the wedge.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cryowae.errors import ConfigError
from cryowae.fourier.rotation import random_rotations, rotate_finely
from cryowae.fourier.wedge import Wedge
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.equivariance import Equivariance
from cryowae.objectives.reobservation import central_cube, inner_edge, observations_to_match, observe_again
from cryowae.objectives.term import Pass

EDGE, WIDE, N = 48, 96, 6
TILTS = (-42.0, 66.0)  # the signs of the tilts matter
CORNERS = torch.tensor([[5.0, 0, 0], [-2, 5, 1], [-3, -2, 4], [0, -3, -5]])
HEIGHTS = (1.0, 0.7, 1.3, 0.9)


class Oracle(torch.nn.Module):
    """A network that answers by a given function of its input."""

    stride = 8

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def encode(self, observation):
        return [observation]

    def decode(self, codes):
        return self.answer(codes[0])


def particles(count: int, edge: int, generator: torch.Generator, hand: int = 1) -> torch.Tensor:
    """`(edge, edge, edge)`: groups of four smooth balls at random places and in random orientations."""
    axis = torch.arange(edge) - (edge - 1) / 2
    volume = torch.zeros(edge, edge, edge)
    places = (torch.rand(count, 3, generator=generator) - 0.5) * edge
    mirror = torch.tensor([1.0, 1.0, float(hand)])
    for place, rotation in zip(places, random_rotations(count, generator), strict=True):
        for height, corner in zip(HEIGHTS, CORNERS * mirror, strict=True):
            lines = [torch.exp(-((axis - c) ** 2) / (2 * 1.8**2)) for c in place + rotation @ corner]
            volume += height * lines[0][:, None, None] * lines[1][:, None] * lines[2]
    return volume


def cut(volumes: torch.Tensor) -> torch.Tensor:
    start = (WIDE - EDGE) // 2
    return volumes[:, None, start : start + EDGE, start : start + EDGE, start : start + EDGE]


@pytest.fixture(scope="module")
def scene():
    """Truth `(N, 1, EDGE, ...)` and a batch without it: SNR .5, in units of the tomogram, its mean removed."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.stack([particles(40, WIDE, generator) for _ in range(N)])
    wedge = Wedge.binary(*TILTS)
    signal = wedge.apply(truth)
    sigma = float(signal.std()) / 0.5**0.5
    first, second, third = (sigma * wedge.apply(torch.randn(truth.shape, generator=generator)) for _ in range(3))
    scale, mean = (signal + first).std(), signal.mean()
    y1, y2, noise = (cut(v / scale) for v in (signal + first - mean, signal + second - mean, third))
    return cut(truth / scale), Batch(y1, None, y2, None, (TILTS,) * N, noise)


def passed(batch, restored, answer, seed=1) -> Pass:
    return Pass(batch, [restored], restored, Oracle(answer), torch.Generator().manual_seed(seed), StepInfo(0))


def cost(batch, restored, answer, seed=1, **options) -> float:
    return float(Equivariance(**options).cost(passed(batch, restored, answer, seed))[0].detach())


def rotated(truth, seed=1):
    """The rotated truth that the term of this seed compares with."""
    return rotate_finely(truth[:, 0], random_rotations(N, torch.Generator().manual_seed(seed)), shape=(32,) * 3)[
        :, None
    ]


def test_truth_observed_again_has_mean_and_spread_of_the_observation(scene):
    truth, batch = scene
    turned = rotate_finely(truth[:, 0], random_rotations(N, torch.Generator().manual_seed(2)))[:, None]
    for solvent in (0.0, 3.0):  # another solvent level than 0 does not matter
        made = passed(batch, truth + solvent, None)
        again = observe_again(made, turned + solvent, 32)
        seen = central_cube(batch.observation, 32)
        assert again.std() == pytest.approx(float(seen.std()), rel=0.05)
        assert again.mean() == pytest.approx(float(seen.mean()), abs=0.08)


def test_observed_again_has_no_signal_in_the_wedge(scene):
    truth, batch = scene
    silent = Batch(batch.observation, tilts=batch.tilts, noise=torch.zeros_like(truth))
    again = observe_again(passed(silent, truth, None), truth, EDGE)
    power = torch.fft.rfftn(again, dim=(-3, -2, -1)).abs().square().sum((0, 1))
    axis = torch.fft.fftfreq(EDGE)
    tilt = torch.rad2deg(torch.atan2(axis[:, None, None], axis[: EDGE // 2 + 1].abs())).expand(power.shape)
    missing = ((tilt > TILTS[1] + 1) | (tilt < TILTS[0] - 1)) & (axis[:, None, None].abs() < 0.4)
    assert power[missing].sum() < 1e-8 * power.sum()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_truth_has_the_lowest_cost(scene, seed):
    """Lower than nothing, than the input, than a restoration whose wedge is empty, and than other contrasts."""
    truth, batch = scene
    known = rotated(truth, seed)
    best = cost(batch, truth, lambda u: known, seed)
    assert best < 0.65 * cost(batch, truth, lambda u: 0 * u, seed)
    assert best < 0.65 * cost(batch, truth, lambda u: u, seed)
    assert best < 0.85 * cost(batch, truth, lambda u: Wedge.binary(*TILTS).apply(known), seed)
    for contrast in (0.85, 1.15):
        assert best < 0.995 * cost(batch, truth, lambda u, c=contrast: c * known, seed)


def test_more_weight_in_the_wedge_makes_an_empty_wedge_dearer(scene):
    truth, batch = scene
    known = rotated(truth)
    excess = [
        cost(batch, truth, lambda u: Wedge.binary(*TILTS).apply(known), wedge_weight=weight)
        - cost(batch, truth, lambda u: known, wedge_weight=weight)
        for weight in (1.0, 3.0)
    ]
    assert excess[1] > 2 * excess[0] > 0


def test_the_hand_of_a_particle_is_kept():
    """Particles of the right hand cost less than their mirror images at the same places, with the same orientations."""
    wedge, hands = Wedge.binary(*TILTS), []
    for hand in (1, -1):
        generator = torch.Generator().manual_seed(4)
        hands.append(torch.stack([particles(40, EDGE, generator, hand) for _ in range(N)])[:, None])
    right, left = hands
    data = Batch(wedge.apply(right), None, wedge.apply(right), None, (TILTS,) * N, torch.zeros_like(right))
    assert cost(data, right, lambda u: rotated(right)) < 0.3 * cost(data, right, lambda u: rotated(left))


def test_only_the_answer_has_gradients(scene):
    truth, batch = scene
    restored = truth.clone().requires_grad_()
    gain = torch.ones((), requires_grad=True)
    Equivariance().cost(passed(batch, restored, lambda u: gain * u))[0].backward()
    assert restored.grad is None
    assert gain.grad.abs() > 0
    seen = []
    Equivariance().cost(passed(batch, restored, lambda u: seen.append(u) or gain * u))
    assert not seen[0].requires_grad and seen[0].shape == (N, 1, 32, 32, 32)


def test_the_weight_and_the_own_data_are_used(scene):
    truth, batch = scene
    beside = Batch(torch.zeros(1, 1, 8, 8, 8), own=batch)
    made = passed(beside, torch.zeros(1, 1, 8, 8, 8), lambda u: u)
    alone = cost(batch, batch.observation, lambda u: u)
    assert float(Equivariance(weight=3.0).cost(made)[0]) == pytest.approx(3 * alone, rel=1e-5)


def test_a_single_tomogram_is_compared_with_itself(scene):
    """Without a second half the target is the rotated restored volume, also where it was not measured."""
    truth, batch = scene
    single = Batch(batch.observation, tilts=batch.tilts, noise=batch.noise)
    assert cost(single, truth, lambda u: rotated(truth)) == pytest.approx(0, abs=1e-6)
    empty = cost(single, truth, lambda u: Wedge.binary(*TILTS).apply(rotated(truth)))
    assert empty > 0.1 * cost(single, truth, lambda u: 0 * u)


@pytest.mark.parametrize("missing", ["tilts", "noise"])
def test_missing_data_are_named(scene, missing):
    truth, batch = scene
    fields = {"tilts": batch.tilts, "noise": batch.noise, missing: () if missing == "tilts" else None}
    with pytest.raises(ConfigError, match=f"needs `{missing}`"):
        cost(Batch(batch.observation, **fields), truth, lambda u: u)


def test_cubes_that_fit_after_every_rotation():
    assert inner_edge(64, 2, 8) == 40 and inner_edge(64, 3, 4) == 36
    with pytest.raises(ConfigError, match="got subtomograms of 8 voxels, expected at least 12"):
        inner_edge(8, 2, 8)


@pytest.mark.parametrize("group", ["full", "about-z", "half-turns"])
def test_the_outside_of_the_box_never_enters_the_volumes_to_match(group):
    """A constant volume stays constant in the cut cube, whatever the rotation."""
    ones = torch.ones(20, 1, 32, 32, 32)
    batch = Batch(ones, tilts=((-90.0, 90.0),) * 20, noise=torch.zeros_like(ones))
    again, observations = observations_to_match(passed(batch, ones, None), group)
    assert again.shape == observations.shape
    assert_close(again, observations, atol=1e-3, rtol=0)


def test_the_noise_is_that_of_the_batch_and_not_of_the_observation(scene):
    truth, batch = scene
    again, _ = observations_to_match(passed(batch, torch.zeros_like(truth), None), "full")
    noise, seen = central_cube(batch.noise, again.shape[-1]), central_cube(batch.observation, again.shape[-1])
    level = (again - noise).mean((-3, -2, -1), keepdim=True)
    assert_close(again - level, noise, atol=1e-4, rtol=0)
    assert torch.corrcoef(torch.stack([again.flatten(), seen.flatten()]))[0, 1].abs() < 0.05
