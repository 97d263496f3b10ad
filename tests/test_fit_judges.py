"""Judges of weights: the truth wins, and what was left out is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fit_parts import item_from, noise_of, observe, scene_of
from scipy.ndimage import gaussian_filter
from validation_parts import ANGLES as SERIES_ANGLES
from validation_parts import SHAPE as SERIES_SHAPE
from validation_parts import Fake, blobs, density, tilt_images

from cryowae.config.options import FitOptions
from cryowae.errors import ConfigError, TiltError
from cryowae.fit.judge import ComponentJudge
from cryowae.fit.own import held_out_region
from cryowae.fit.tilt_judge import tilt_judge
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import write_mrc
from cryowae.tomogram import Item, Tomogram

SHAPE = (48, 64, 128)


class Applied(Fake):
    """A function of the window in place of a network."""

    def __init__(self, function):
        self.function = function

    def __call__(self, window):
        return torch.from_numpy(self.function(window[0, 0].numpy()).astype(np.float32))[None, None]


@pytest.fixture(scope="module")
def scene():
    """The truth of the held-out region, and the observation."""
    truth, observation = observe(scene_of(SHAPE))
    return truth[held_out_region(SHAPE)].copy(), observation


def judged(observation, snr=0.2, halves=False):
    pair = tuple(half.numpy() for half in observation.halves(snr))
    return ComponentJudge(item_from(observation.tomogram(snr).numpy(), pair if halves else None))


@pytest.mark.parametrize("halves", [False, True])
def test_the_truth_beats_the_input_and_a_blurred_input(scene, halves):
    truth, observation = scene
    judge = judged(observation, halves=halves)
    best, same = judge.score(Fake(truth)), judge.score(Fake())
    assert best > 0.4 and best > same + 0.1
    assert best > judge.score(Applied(lambda v: gaussian_filter(v, 1.5))) + 0.1
    shifted = np.roll(truth, (11, 23), (0, 1))
    assert judge.score(Fake(shifted)) < best / 3
    assert judge.score(Applied(np.zeros_like)) == pytest.approx(0, abs=1e-6)
    assert judge.score(Fake(-truth)) == pytest.approx(-best, abs=1e-3)


def test_half_of_the_truth_is_worth_less_than_the_truth_and_more_than_nothing(scene):
    truth, observation = scene
    judge = judged(observation)
    half = truth.copy()
    half[:, :32] = 0
    assert judge.score(Fake(half)) < 0.9 * judge.score(Fake(truth))
    assert judge.score(Fake(half)) > 0.2 and judge.score(Fake(half)) < judge.score(Fake(0.5 * (half + truth)))


def test_the_amplitude_of_a_restoration_does_not_matter(scene):
    truth, observation = scene
    judge = judged(observation)
    assert judge.score(Fake(0.1 * truth)) == pytest.approx(judge.score(Fake(truth)), abs=1e-3)


def test_noise_of_a_half_is_no_evidence_about_the_other():
    """A model that makes the missing components out of the noise itself, by a square, predicts nothing."""
    one, two = noise_of(SHAPE)
    judge = ComponentJudge(item_from((one + two) / 2, (one, two)))
    for function in (np.square, lambda v: np.maximum(v, 0), lambda v: v * (gaussian_filter(v, 2) > 0)):
        assert abs(judge.score(Applied(function))) < 0.25


def test_a_model_that_sees_the_removed_components_would_win(scene):
    """The sign of the correlation: the observation itself, from before the removal, has the score 1."""
    truth, observation = scene
    judge = judged(observation)
    assert judge.score(Fake(judge._observed.numpy())) == pytest.approx(1, abs=1e-3)


def test_protein_dark_gives_the_same_score(scene):
    truth, observation = scene
    volume = observation.tomogram(0.2).numpy()
    bright, dark = (ComponentJudge(item_from(v, contrast=c)) for v, c in ((volume, "bright"), (-volume, "dark")))
    assert bright.score(Fake(truth)) == pytest.approx(dark.score(Fake(truth)), abs=1e-3)


def test_what_the_network_sees_is_removed_at_one_end_then_at_the_other(scene):
    seen = []
    judged(scene[1]).score(Applied(lambda window: seen.append(window) or window))
    powers = [np.abs(np.fft.rfftn(window - window.mean())) ** 2 for window in seen]
    assert len(powers) == 2
    for power, (low, high), lost in zip(powers, ((-60, 42), (-42, 60)), ((43, 59), (-59, -43)), strict=True):
        kept, gone = (Wedge.binary(*pair).mask(seen[0].shape).numpy() > 0 for pair in ((low, high), lost))
        assert power[gone & ~kept].max() < 1e-6 * power[kept].mean()


@pytest.mark.parametrize("shape", [(16, 32, 32), (24, 33, 47)])
def test_small_regions_can_be_judged(shape):
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert -1 <= ComponentJudge(item_from(volume)).score(Fake()) <= 1


def test_a_narrow_tilt_range_is_refused():
    tomogram = Tomogram(np.zeros(SHAPE), 10.0, None, Path("tomo.mrc"), Wedge.binary(-15, 20))
    with pytest.raises(TiltError, match=r"-15 to 20 degrees; expected at least 38 degrees"):
        ComponentJudge(Item(source=tomogram))


# ---- the tilt series


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A folder with a noisy tilt series, protein dark, its angles, and the density."""
    folder = tmp_path_factory.mktemp("series")
    clean = tilt_images(*blobs(), SERIES_ANGLES)
    noise = np.random.default_rng(1).normal(0, clean.std(), clean.shape)
    write_mrc(folder / "TS.st", (100 - clean + noise).astype(np.float32), voxel_size=10.0)
    (folder / "TS.tlt").write_text("".join(f"{angle}\n" for angle in SERIES_ANGLES))
    return folder, density(*blobs())


def judge_of(folder, **options):
    item = item_from(np.zeros(SERIES_SHAPE, np.float32), contrast="dark")
    given = {"series": folder / "TS.st", "series_tilts": folder / "TS.tlt"}
    return tilt_judge(item, FitOptions(**{**given, **options}))


def test_the_truth_predicts_the_tilts_that_were_left_out_best(series):
    folder, truth = series
    judge = judge_of(folder)
    best, same, nothing = (judge.score(model) for model in (Fake(truth), Fake(), Applied(np.zeros_like)))
    assert best > same + 0.05 > 0.5
    assert abs(judge.score(Fake(np.roll(truth, (7, 31), (0, 1))))) < 0.1
    assert np.isnan(nothing) or abs(nothing) < 1e-6
    assert judge.score(Fake(-truth)) == pytest.approx(-best, abs=1e-3)


def test_outer_tilts_and_every_fifth_are_left_out(series):
    judge = judge_of(series[0])
    assert len(SERIES_ANGLES) == 31
    assert judge.dropped == (0, 1, 4, 9, 14, 19, 24, 29, 30)
    assert judge.question.endswith("at -60, -56, -44, -24, -4, 16, 36, 56, 60 degrees")


def test_the_network_sees_a_reconstruction_without_these_tilts(series):
    """Images that are left out can have any content."""
    folder, truth = series
    judge = judge_of(folder)
    seen = []
    judge.score(Applied(lambda window: seen.append(window) or window))
    changed = judge_of(folder)
    images = judge._images.clone()
    images[list(judge.dropped)] = torch.randn_like(images[list(judge.dropped)]) * 1000
    changed.__dict__["_images"] = images
    changed.score(Applied(lambda window: seen.append(window) or window))
    assert len(seen) == 2 and np.array_equal(seen[0], seen[1])


def test_images_are_binned_to_the_tomogram(series, tmp_path):
    folder, _ = series
    write_mrc(tmp_path / "TS.st", np.random.default_rng(0).normal(size=(31, 64, 96)).astype(np.float32), voxel_size=5.0)
    judge = judge_of(tmp_path, series_tilts=folder / "TS.tlt")
    assert judge.factor == 2 and judge._images.shape == (31, 32, 48)


def test_what_does_not_belong_together_is_refused(series, tmp_path):
    folder, _ = series
    write_mrc(tmp_path / "TS.st", np.ones((31, 64, 96), np.float32), voxel_size=7.0)
    with pytest.raises(ConfigError, match=r"voxels of 10 Å and .* pixels of 7 Å"):
        judge_of(tmp_path, series_tilts=folder / "TS.tlt")
    write_mrc(
        tmp_path / "few.st", np.random.default_rng(0).normal(size=(9, 64, 96)).astype(np.float32), voxel_size=10.0
    )
    (tmp_path / "few.tlt").write_text("".join(f"{angle}\n" for angle in range(-40, 41, 10)))
    with pytest.raises(TiltError, match=r"9 tilts; expected 10 or more"):
        judge_of(tmp_path, series=tmp_path / "few.st", series_tilts=tmp_path / "few.tlt")
    with pytest.raises(ConfigError, match="no tilt series"):
        tilt_judge(item_from(np.zeros(SERIES_SHAPE)), FitOptions())
