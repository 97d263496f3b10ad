"""The laws of observations: what the transport and the adversary prefer, and which parameters they move."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cryowae.errors import ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.models.discriminator import PatchDiscriminator
from cryowae.objectives import Batch, Optimiser, StepInfo
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.objectives.observation_adversary import ObservationAdversary
from cryowae.objectives.observation_transport import ObservationTransport
from cryowae.objectives.random_features import RandomFeatures
from cryowae.objectives.term import Pass

EDGE, WIDE, N = 32, 64, 14
TILTS = (-60.0, 60.0)


class Restoring(torch.nn.Module):
    """A network of one parameter: the input times a gain."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def encode(self, observation):
        return [self.gain * observation]

    def decode(self, codes):
        return codes[0]


def isotropic(n: int, generator: torch.Generator) -> torch.Tensor:
    """Smooth volumes of which no direction is preferred: squares of low-pass noise, so that they are not Gaussian."""
    k = torch.fft.fftfreq(WIDE)
    radius = (k[:, None, None] ** 2 + k[:, None] ** 2 + k[: WIDE // 2 + 1].abs() ** 2).sqrt()
    spectrum = torch.fft.rfftn(torch.randn(n, WIDE, WIDE, WIDE, generator=generator), dim=(1, 2, 3))
    smooth = torch.fft.irfftn(spectrum * torch.exp(-((radius / 0.1) ** 2)), dim=(1, 2, 3))
    return (smooth / smooth.std()).square() - 1


def cut(volumes: torch.Tensor) -> torch.Tensor:
    start = (WIDE - EDGE) // 2
    return volumes[:, None, start : start + EDGE, start : start + EDGE, start : start + EDGE]


@pytest.fixture(scope="module")
def scene():
    """Truth `(N, 1, EDGE, ...)` and its batch, at SNR .5."""
    generator = torch.Generator().manual_seed(0)
    wedge, truth = Wedge.binary(*TILTS), isotropic(N, generator)
    signal = wedge.apply(truth)
    sigma = float(signal.std()) / 0.5**0.5
    first, second = (sigma * wedge.apply(torch.randn(truth.shape, generator=generator)) for _ in range(2))
    scale = (signal + first).std()
    batch = Batch(cut((signal + first) / scale), tilts=(TILTS,) * N, noise=cut(second / scale))
    return cut(truth / scale), batch


def passed(batch, restored, seed=1, logged=False) -> Pass:
    generator = torch.Generator().manual_seed(seed)
    return Pass(batch, [restored], restored, Restoring(), generator, StepInfo(0, logged=logged))


def transported(batch, restored) -> tuple[float, float]:
    """The divergence and its quantile for equal laws, mean over two draws of the rotations."""
    term = ObservationTransport(rotations="full")
    term.prepare(Restoring())
    values = [term.cost(passed(batch, restored, seed, logged=True))[1] for seed in range(2)]
    return tuple(sum(v[name] for v in values) / 2 for name in ("transport", "transport_null95"))


def test_the_truth_is_below_the_null_quantile_and_wrong_restorations_are_above(scene):
    truth, batch = scene
    wedge = Wedge.binary(*TILTS)
    right, limit = transported(batch, truth)
    assert right < limit
    for name, wrong in {
        "empty wedge": wedge.apply(truth),
        "weak": 0.6 * truth,
        "strong": 1.5 * truth,
        "nothing": 0 * truth,
        "the input": batch.observation,
        "noise of the input kept": truth + 0.7 * (batch.observation - wedge.apply(truth)),
    }.items():
        found, limit = transported(batch, wrong)
        assert found > max(1.1 * limit, 1.3 * right), (name, found, limit)


def test_the_transport_falls_as_the_restoration_becomes_the_truth(scene):
    truth, batch = scene
    costs = [transported(batch, share * truth)[0] for share in (0.0, 0.4, 0.8, 1.0)]
    assert costs == sorted(costs, reverse=True)


def test_the_gradient_of_the_transport_gives_a_weak_restoration_more_contrast(scene):
    truth, batch = scene
    term = ObservationTransport(weight=2.0, rotations="full")
    term.prepare(Restoring())
    slopes = []
    for contrast in (0.6, 1.4):
        share = torch.tensor(contrast, requires_grad=True)
        term.cost(passed(batch, share * truth))[0].backward()
        slopes.append(float(share.grad))
    assert slopes[0] < 0 < slopes[1]


def test_raw_voxels_show_only_the_noise(scene):
    """Why features are needed: squared distances of noisy cubes are `2 sigma^2 d` to a few percent, features differ."""
    truth, batch = scene
    empty = batch.noise.flatten(1)
    full = (batch.noise + Wedge.binary(*TILTS).apply(truth)).flatten(1)
    spread = torch.pdist(full).std() / torch.pdist(full).mean()
    assert spread < 0.1
    features = RandomFeatures()
    a, b = (features(v.view(N, 1, EDGE, EDGE, EDGE)).flatten(1) for v in (empty, full))
    assert ((a.mean(0) - b.mean(0)).abs() / b.std(0)).max() > 2
    assert empty.shape == full.shape


def test_features_are_fixed_and_have_no_mean_of_the_volume(scene):
    truth, batch = scene
    torch.manual_seed(1)
    one = RandomFeatures()
    torch.manual_seed(2)
    other = RandomFeatures()
    assert_close(one(batch.observation), other(batch.observation))
    assert_close(one(batch.observation + 5), one(batch.observation), atol=1e-4, rtol=0)
    assert not list(one.parameters()) and not one.state_dict()
    assert one(torch.zeros(2, 1, 36, 36, 36)).shape[:2] == (2, 8)


def discriminated(scene, share):
    """The term with a discriminator that was trained on a share of the truth, and a pass of other samples."""
    truth, batch = scene
    torch.manual_seed(0)
    term = ObservationAdversary(weight=1.0, rotations="full", width=8, rate=3e-3)
    term.prepare(Restoring())

    def some(first, last, seed):
        part = Batch(batch.observation[first:last], tilts=batch.tilts[first:last], noise=batch.noise[first:last])
        return passed(part, share * truth[first:last], seed)

    for step in range(30):
        made = some(0, 8, step)
        term.cost(made)
        term.optimiser.descend(term.oppose(made)[0], 1.0)
    return term, some(8, N, 30)


@pytest.fixture(scope="module")
def recogniser(scene):
    return discriminated(scene, 0.0)


def test_the_discriminator_recognises_nothing_but_not_the_truth(scene, recogniser):
    term, made = recogniser
    assert term.cost(made)[1]["recognised"] > 0.7
    assert float(term.oppose(made)[0].detach()) < 0.5
    term, made = discriminated(scene, 1.0)
    term.cost(made)
    assert float(term.oppose(made)[0].detach()) > 0.6


def test_the_network_pays_for_what_the_discriminator_recognises(scene, recogniser):
    """A trained discriminator gives nothing a higher cost than the truth, and its gradient points to the truth."""
    truth, batch = scene
    term, _ = recogniser
    share = torch.tensor(0.1, requires_grad=True)
    term.cost(passed(batch, share * truth))[0].backward()
    assert share.grad < 0
    costs = [float(term.cost(passed(batch, s * truth))[0].detach()) for s in (0.0, 1.0)]
    assert costs[0] > costs[1]


def test_each_step_trains_the_network_and_the_discriminator_by_their_own_costs(scene):
    truth, batch = scene
    term = ObservationAdversary(rotations="half-turns", width=4)
    network = Restoring()
    rates = Optimiser(sgd=torch.optim.SGD(network.parameters(), lr=0.0))
    objective = AutoencoderObjective(network, {"observation_adversary": term}, rates, torch.Generator().manual_seed(0))
    kept = {k: v.clone() for k, v in term.discriminator.named_parameters()}
    objective.step(batch, StepInfo(0))
    assert all(not torch.equal(v, kept[k]) for k, v in term.discriminator.named_parameters())
    assert float(network.gain.detach()) == 0.5
    assert "observation_adversary.discriminator" in objective.parts
    # the loss of the opponent has no gradient to the network, the cost of the network none to the opponent
    made = objective.forward(batch, StepInfo(1))
    rates.zero_grad()
    term.optimiser.zero_grad()
    term.cost(made)[0].backward()
    assert network.gain.grad is not None
    assert all(p.grad is None for p in term.discriminator.parameters())
    rates.zero_grad()
    term.oppose(made)[0].backward()
    assert network.gain.grad is None
    assert all(p.grad is not None for p in term.discriminator.parameters())


def test_the_slope_of_the_discriminator_is_limited():
    """Trained to separate two sets as far as possible, its logits still differ by little."""
    torch.manual_seed(0)
    judge = PatchDiscriminator(width=4, gain=1.0)
    one, other = torch.randn(2, 4, 1, 16, 16, 16)
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        (judge(one).mean() - judge(other).mean()).backward()
        optimiser.step()
    for layer in judge.layers[::2]:
        matrix = layer.weight.detach().flatten(1)
        assert torch.linalg.matrix_norm(matrix, 2) == pytest.approx(1, abs=0.2)
    assert (judge(one).mean() - judge(other).mean()).abs() < 10


def test_a_single_patch_cannot_be_compared(scene):
    truth, batch = scene
    one = Batch(batch.observation[:1], tilts=batch.tilts[:1], noise=batch.noise[:1])
    term = ObservationTransport()
    term.prepare(Restoring())
    with pytest.raises(ConfigError, match="got one patch"):
        term.cost(passed(one, truth[:1]))


@pytest.mark.parametrize("kind", [ObservationAdversary, ObservationTransport])
def test_own_data_are_compared(scene, kind):
    truth, batch = scene
    small = torch.zeros(1, 1, 8, 8, 8)
    costs = []
    for given in (batch, Batch(small, truth=small, own=batch)):
        torch.manual_seed(0)
        term, network = kind(), Restoring()
        term.prepare(network)
        restored = network.decode(network.encode(given.observation))
        generator = torch.Generator().manual_seed(3)
        costs.append(term.cost(Pass(given, [restored], restored, network, generator, StepInfo(0)))[0].detach())
    assert_close(costs[0], costs[1])
