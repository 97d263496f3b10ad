"""Digits with a 2-D missing wedge: observations, scores, and the test of the method."""

from __future__ import annotations

import os

import matplotlib.image
import pytest
import torch

from cryowae.baselines.digits import KINDS, RestorerConfig, restore_digits
from cryowae.baselines.plots import draw_restored
from cryowae.baselines.wedged import DEVIATION, VACANT, WINDOW, Wedged, WedgedDigits, fit_affine, fit_wiener, scores
from cryowae.data.images import ImageSet, read_mnist
from cryowae.train.state import read_rows


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(11)


def bars(count: int, seed: int = 0) -> ImageSet:
    """Strokes at all angles: for some, half of their components lie in the wedge."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(count, 1, 1, generator=generator) * torch.pi
    y, x = torch.meshgrid(torch.arange(32.0) - 15.5, torch.arange(32.0) - 15.5, indexing="ij")
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    images = 255 * torch.exp(-(along / 9).pow(4) - (across / 2).square())
    return ImageSet("mnist-train", images.to(torch.uint8)[:, None])


def runs(*kinds: str, steps: int) -> list[RestorerConfig]:
    return [RestorerConfig(match=kind, steps=steps) for kind in kinds or KINDS]


def power(images: torch.Tensor, region: torch.Tensor) -> float:
    hann = torch.hann_window(WINDOW, periodic=False)
    spectrum = torch.fft.rfft2(images * hann * hann[:, None]).abs().square().mean(dim=(0, 1))
    return float(spectrum[region].mean())


def test_truth_is_the_digit_padded_with_zeros():
    digits = bars(50).images
    truth = Wedged().truth(digits)
    assert truth.shape == (50, 1, WINDOW, WINDOW)
    assert torch.allclose(truth[..., 8:40, 8:40] * DEVIATION, digits / 255)
    assert float(truth.abs().sum()) == pytest.approx(float(truth[..., 8:40, 8:40].abs().sum()))


@pytest.mark.skipif(
    "CRYOWAE_MNIST" not in os.environ, reason="CRYOWAE_MNIST is not set: the folder of MNIST's idx files"
)
def test_training_digits_have_unit_variance():
    truth = Wedged().truth(read_mnist().images[:48_000])
    assert float(truth.var(dim=(1, 2, 3)).mean()) == pytest.approx(1, rel=1e-3)


def test_some_training_samples_are_only_noise(generator):
    truth, seen = Wedged(snr=1e8).pairs(bars(1000).images, generator)
    vacant = truth.flatten(1).abs().sum(1) == 0
    assert float(vacant.float().mean()) == pytest.approx(VACANT, abs=0.03)
    power = seen.flatten(1).square().sum(1)
    assert float(power[vacant].max()) < 1e-3 < 1 < float(power[~vacant].min())


def test_a_batch_of_digits_depends_on_seed_and_step_alone():
    digits = bars(60).images
    batches = [WedgedDigits(digits, Wedged(), 8, seed).batch(step) for seed, step in ((0, 3), (0, 3), (0, 4), (1, 3))]
    same = [torch.equal(batches[0].observation, other.observation) for other in batches]
    assert same == [True, True, False, False] and batches[0].truth.shape == (8, 1, WINDOW, WINDOW)


def test_noise_has_its_power_in_the_measured_region_and_none_in_the_wedge(generator):
    wedged = Wedged(snr=0.25)
    truth = wedged.truth(bars(64).images)
    noise, regions = wedged.observe(torch.zeros_like(truth), generator), wedged.regions()
    assert power(noise, regions["mw"]) < 0.02 * power(noise, regions["obs"])
    white = torch.randn(64, 1, WINDOW, WINDOW, generator=generator) * 2  # variance 1 / .25
    assert power(noise, regions["obs"]) == pytest.approx(power(white, regions["obs"]), rel=0.15)


def test_the_wedge_lies_about_the_beam():
    """At tilts up to 60 degrees, waves along z are not measured; waves along x are."""
    regions = Wedged().regions()
    assert regions["mw"][6, 0] and not regions["obs"][6, 0]
    assert regions["obs"][0, 6] and not regions["mw"][0, 6]
    assert not (regions["mw"] & regions["obs"]).any()


def test_scores_of_the_truth_of_zeros_and_of_the_observation(generator):
    wedged = Wedged(snr=1e6)
    truth = wedged.truth(bars(60).images)
    assert scores(truth, 3 * truth + 1, wedged) == pytest.approx({"ncc": 1, "fsc_obs": 1, "fsc_mw": 1}, abs=0.02)
    seen = scores(truth, wedged.observe(truth, generator), wedged)
    assert seen["fsc_obs"] > 0.97 and seen["fsc_mw"] < 0.4
    blind = scores(truth, torch.randn(truth.shape, generator=generator), wedged)
    assert all(abs(value) < 0.1 for value in blind.values())


def test_wiener_is_better_than_the_input_and_no_better_in_the_wedge(generator):
    wedged = Wedged(snr=0.2)
    truth = wedged.truth(bars(100).images)
    seen = wedged.observe(truth, generator)
    filtered = fit_wiener(truth, seen, wedged)(seen)
    before, after = scores(truth, seen, wedged), scores(truth, filtered, wedged)
    assert after["ncc"] > before["ncc"] + 0.1
    assert after["fsc_mw"] < 0.4
    assert float((filtered - truth).square().mean()) < float((seen - truth).square().mean())


def test_no_component_in_the_wedge_is_near_a_measured_one():
    """There, the noise-free observation correlates with the truth only by chance: the window spreads the components."""
    wedged = Wedged(snr=1e8)
    regions = wedged.regions()
    rows, columns = torch.where(regions["mw"])
    measured = torch.stack(torch.where(wedged.wedge.mask_plane((WINDOW, WINDOW)) > 0.5)).T.float()
    missing = torch.stack([rows, columns]).T.float()
    apart = (measured[None] - missing[:, None] + WINDOW / 2) % WINDOW - WINDOW / 2
    assert float(apart.norm(dim=2).min()) > 2.4
    assert int(regions["mw"].sum()) >= 12


def test_the_affine_map_has_the_least_squared_error(generator):
    """On Gaussian images it is the posterior mean: here it follows from the known mean, covariance and noise."""
    count, pixels = 40_000, 9
    shape = torch.randn(pixels, pixels, generator=generator) / 3
    mean = torch.randn(pixels, generator=generator)
    truth = mean + torch.randn(count, pixels, generator=generator) @ shape
    observed = truth + 0.5 * torch.randn(count, pixels, generator=generator)
    answer = fit_affine(truth.view(-1, 1, 3, 3), observed.view(-1, 1, 3, 3))(observed.view(-1, 1, 3, 3)).flatten(1)
    covariance = shape.T @ shape
    gain = torch.linalg.solve(covariance + 0.25 * torch.eye(pixels), covariance)
    assert float((answer - (mean + (observed - mean) @ gain)).abs().mean()) < 0.03


def test_the_affine_map_fills_a_part_of_the_wedge(generator):
    """From digits of one kind: a linear map uses the correlation of strokes."""
    wedged = Wedged(snr=2.0)
    known = wedged.pairs(bars(6000).images, generator)
    truth = wedged.truth(bars(100, seed=1).images)
    seen = wedged.observe(truth, generator)
    affine, wiener = fit_affine(*known)(seen), fit_wiener(*known, wedged)(seen)
    a, w = scores(truth, affine, wedged), scores(truth, wiener, wedged)
    assert a["ncc"] > w["ncc"] and a["fsc_mw"] > w["fsc_mw"] + 0.05


def test_every_match_restores_and_writes_its_files(tmp_path):
    found = restore_digits(bars(40), bars(12, seed=1), tmp_path, runs(steps=1), device="cpu")
    methods = ["input", "wiener", "affine", "none", "mmd", "adversarial"]
    assert list(found.scores) == methods == [row["method"] for row in read_rows(tmp_path / "scores.csv")]
    assert found.samples["mmd"].shape == (10, 1, WINDOW, WINDOW)
    assert "match_8" in read_rows(tmp_path / "log_adversarial.csv")[-1]
    assert "match_8" not in read_rows(tmp_path / "log_none.csv")[-1]
    again = restore_digits(bars(40), bars(12, seed=1), tmp_path, runs(steps=1), resume=True, device="cpu")
    assert again.scores == found.scores  # all trainings were complete
    picture = matplotlib.image.imread(draw_restored(found, tmp_path / "restored.png"))
    assert picture.shape[0] > 500 and picture.std() > 0.05


@pytest.mark.slow
def test_the_network_beats_the_wiener_filter_and_fills_the_wedge(tmp_path):
    found = restore_digits(bars(2000), bars(100, seed=1), tmp_path, runs("mmd", steps=200), device="cpu").scores
    assert found["mmd"]["ncc"] > found["wiener"]["ncc"] + 0.05
    assert found["mmd"]["fsc_mw"] > found["wiener"]["fsc_mw"] + 0.2
