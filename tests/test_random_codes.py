"""Random codes: the numbers of a sample depend on its seed and on the position alone, so that its windows fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryowae.config import ModelConfig, TrainConfig
from cryowae.config.options import RestoreOptions
from cryowae.errors import CheckpointError, ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.models import Autoencoder
from cryowae.models.draws import Draw
from cryowae.models.weights import RestorationModel, load_model, write_weights
from cryowae.restore.core import restore_array
from cryowae.train import start_from

SHAPE = ModelConfig(widths=(8, 8, 8), codes=(2, 3, 4), down=(1, 1, 1), up=(1, 1), decode=(1, 1, 1), random=True)
KNOWN = [-0.38246, 0.25709, 0.66898, 0.33796]  # two channels of two positions
FACTS = {"wedge": Wedge.binary(-60, 60), "voxel_size": 10.0, "contrast": "bright"}


@pytest.fixture(scope="module")
def model() -> RestorationModel:
    torch.manual_seed(1)
    network = Autoencoder(SHAPE).eval().requires_grad_(False)
    network.head.mix.weight.mul_(30)  # the first weights give nearly nothing
    return RestorationModel(network, "random", "", (8.0, 20.0), {}, torch.device("cpu"), half=False)


def observed(shape: tuple[int, int, int] = (32, 40, 96)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_numbers_are_standard_normal_and_independent():
    drawn = Draw(3, 1).normal(0, (0, 0, 0), (4, 40, 40, 40), "cpu").double()
    assert abs(drawn.mean()) < 0.01 and abs(drawn.var() - 1) < 0.02 and abs(drawn.pow(4).mean() - 3) < 0.1
    others = [
        Draw(3, 2).normal(0, (0, 0, 0), (1, 40, 40, 40), "cpu"),
        Draw(4, 1).normal(0, (0, 0, 0), (1, 40, 40, 40), "cpu"),
        Draw(3, 1).normal(1, (0, 0, 0), (1, 40, 40, 40), "cpu"),
        Draw(3, 1).normal(0, (1, 0, 0), (1, 40, 40, 40), "cpu"),
        Draw(3, 1).normal(0, (0, 0, 1), (1, 40, 40, 40), "cpu"),
    ]
    rows = torch.stack([c.flatten() for c in (*drawn, *(o[0].double() for o in others))])
    correlations = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlations.abs().max() < 5 / 40**1.5


def test_numbers_belong_to_the_position_in_the_tomogram():
    whole = Draw(7, 2).normal(1, (0, 0, 0), (3, 12, 16, 20), "cpu")
    part = Draw(7, 2).normal(1, (4, 0, 10), (3, 8, 8, 10), "cpu")
    assert torch.equal(part, whole[:, 4:, :8, 10:])


def test_numbers_do_not_change_with_versions():
    drawn = Draw(1, 0).normal(0, (5, 6, 7), (2, 1, 1, 2), "cpu").flatten()
    assert torch.allclose(drawn, torch.tensor(KNOWN), atol=1e-5)


@pytest.mark.parametrize(("seed", "sample"), [(-1, 0), (2**32, 0), (0, -1)])
def test_seeds_out_of_range_are_refused(seed, sample):
    with pytest.raises(ConfigError, match="expected 0 to 4294967295"):
        Draw(seed, sample)


def test_two_tilings_give_the_same_sample(model):
    volume, results = observed(), []
    for window in (96, 64):
        options = RestoreOptions(window=window, overlap=40)
        results.append(restore_array(volume, model=model, options=options, draw=Draw(5, 1), **FACTS).data)
    # the margin of 16 voxels is narrower than the receptive field; codes drawn per window would differ by 1 or more
    assert np.std(results[0] - results[1]) < 0.005 * results[0].std()


def test_a_region_is_part_of_the_same_sample(model):
    volume = observed((32, 40, 128))
    part = (slice(0, 32), slice(0, 40), slice(48, 88))
    whole = restore_array(volume, model=model, draw=Draw(5, 1), **FACTS).data[part]
    region = restore_array(volume, model=model, draw=Draw(5, 1), region=part, **FACTS).data
    assert np.abs((whole - whole.mean()) - (region - region.mean())).max() < 0.02 * whole.std()


def test_samples_differ_and_can_be_made_again(model):
    volume = observed((16, 24, 24))
    first, again, second, other = (
        restore_array(volume, model=model, draw=draw, **FACTS).data
        for draw in (Draw(0, 0), Draw(0, 0), Draw(0, 1), Draw(1, 0))
    )
    assert np.array_equal(first, again)
    assert np.abs(first - second).max() > 0.01 and np.abs(first - other).max() > 0.01


def test_without_a_spread_a_sample_is_the_restoration_from_the_mean(model):
    still = Autoencoder(SHAPE)
    still.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        for layer in still.to_spread:
            layer.bias.fill_(-1)  # a log-scale of -10, bounded to -7
    same, volume = replace(model, network=still.eval()), observed((16, 24, 24))
    sample = restore_array(volume, model=same, draw=Draw(), **FACTS).data
    mean = restore_array(volume, model=same, options=RestoreOptions(fast=True), **FACTS).data
    assert np.abs(sample - mean).max() < 0.01 * mean.std()


def test_shipped_weights_have_no_samples():
    with pytest.raises(CheckpointError, match="no random codes"):
        restore_array(observed((16, 16, 16)), model="cryowae-3", draw=Draw(), **FACTS)


def test_random_codes_start_from_weights_without_them(tmp_path, model):
    config = TrainConfig(name="x", model=SHAPE.model_copy(update={"random": False}))
    plain = Autoencoder(config.model)
    write_weights(tmp_path / "plain.safetensors", plain, config, 1)
    network = Autoencoder(SHAPE)
    start_from(network, tmp_path / "plain.safetensors")
    values = torch.randn(1, 1, 16, 16, 16)
    mean = torch.cat([m.flatten() for m, _ in network.posterior(values)])
    assert torch.allclose(mean, torch.cat([c.flatten() for c in plain.encode(values)]), atol=2e-2)
    assert all(torch.allclose(log.exp(), torch.tensor(0.09)) for _, log in network.posterior(values))
    other = Autoencoder(SHAPE.model_copy(update={"widths": (8, 8, 16)}))
    with pytest.raises(CheckpointError, match="different network"):
        start_from(other, tmp_path / "plain.safetensors")


def test_weights_with_random_codes_are_read_back(tmp_path, model):
    config = TrainConfig(name="x", model=SHAPE)
    write_weights(tmp_path / "random.safetensors", model.network, config, 1)
    assert load_model(tmp_path / "random.safetensors", "cpu").random
