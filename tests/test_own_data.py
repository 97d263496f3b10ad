"""A batch with the user's own subtomograms beside the simulated ones: which terms see which of the two."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cryowae.errors import ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.adversary import Adversary
from cryowae.objectives.fidelity import Fidelity
from cryowae.objectives.mmd import Mmd
from cryowae.objectives.supervised import Supervised
from cryowae.objectives.term import Pass


class Gain(torch.nn.Module):
    """A network with one number: its code is the observation times this number, and so is its output."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(2.0))
        self.calls = 0

    def encode(self, observation):
        self.calls += 1
        return [self.gain * observation]

    def decode(self, codes):
        return codes[0]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(2)


def forward(network, batch, generator) -> Pass:
    codes = network.encode(batch.observation)
    return Pass(batch, codes, network.decode(codes), network, generator, StepInfo(0))


def volumes(n, edge, generator):
    return torch.randn(n, 1, edge, edge, edge, generator=generator)


def test_own_is_a_second_pass_with_gradients_that_is_computed_once(generator):
    network = Gain()
    mine = Batch(volumes(3, 16, generator))
    made = forward(network, Batch(volumes(2, 8, generator), own=mine), generator)
    assert network.calls == 1
    assert made.own.batch is mine
    assert_close(made.own.restored, 2 * mine.observation)
    assert made.own is made.own and network.calls == 2
    made.own.restored.sum().backward()
    assert_close(network.gain.grad, mine.observation.sum())


def test_without_own_data_the_batch_itself_is_the_users(generator):
    network = Gain()
    made = forward(network, Batch(volumes(2, 8, generator)), generator)
    assert made.own is made and network.calls == 1


def test_fidelity_sees_the_own_data_and_the_supervised_error_the_simulated(generator):
    simulated, mine = volumes(2, 8, generator), volumes(3, 16, generator)
    half = 2 * Wedge.binary(-60, 60).apply(mine)  # the network doubles: it agrees with the other half
    own = Batch(mine, other=half, tilts=((-60, 60),) * 3)
    made = forward(Gain(), Batch(simulated, truth=simulated, own=own), generator)
    assert float(Fidelity().cost(made)[0].detach()) == pytest.approx(0, abs=1e-9)
    assert float(Supervised().cost(made)[0].detach()) == pytest.approx(float(simulated.square().mean()), rel=1e-5)


def test_a_term_says_which_of_the_own_data_is_missing(generator):
    made = forward(Gain(), Batch(volumes(1, 8, generator), own=Batch(volumes(1, 8, generator))), generator)
    with pytest.raises(ConfigError, match="needs `tilts`"):
        Fidelity().cost(made)


def test_the_structure_prior_compares_own_codes_with_those_of_simulated_structures(generator):
    """Own subtomograms with the law of the simulated structures match; those of another law do not.

    The codes of the simulated observations, which have another law here, do not count.
    """
    found = {}
    for name, width in (("same", 1.0), ("wider", 3.0)):
        mine = Batch(width * volumes(7, 8, generator))
        truth = volumes(9, 8, generator)
        made = forward(Gain(), Batch(10 + truth, truth=truth, own=mine), generator)
        made = Pass(made.batch, made.codes, made.restored, made.network, generator, StepInfo(0, logged=True))
        found[name] = Mmd(prior="structure").cost(made)[1]
    assert found["same"]["match_2"] < 2 * found["same"]["null95_2"]
    assert found["wider"]["match_2"] > 3 * found["wider"]["null95_2"]


def test_the_latent_discriminator_compares_own_codes_with_those_of_simulated_structures(generator):
    truth, mine = volumes(4, 8, generator), volumes(3, 16, generator)
    made = forward(Gain(), Batch(10 + truth, truth=truth, own=Batch(mine)), generator)
    codes, prior = Adversary(prior="structure").matched(made)
    spread = (2 * truth).std()
    assert_close(codes[0], 2 * mine / spread)
    assert_close(prior[0], 2 * truth / spread)
    assert codes[0].requires_grad and not prior[0].requires_grad


def test_the_pairs_of_observation_and_structure_are_left_out_only_where_there_are_pairs(generator):
    """Codes equal to those of the structures: without pairs, equal blocks count and the distance is negative."""
    truth = volumes(6, 8, generator) + 3 * torch.randn(6, 1, 1, 1, 1, generator=generator)
    together = forward(Gain(), Batch(truth, truth=truth), generator)
    apart = forward(Gain(), Batch(truth, truth=truth, own=Batch(truth)), torch.Generator().manual_seed(2))
    paired = float(Mmd(prior="structure", weight=1.0).cost(together)[0].detach())
    unpaired = float(Mmd(prior="structure", weight=1.0).cost(apart)[0].detach())
    assert paired == pytest.approx(0, abs=1e-5)
    assert unpaired < -0.05
