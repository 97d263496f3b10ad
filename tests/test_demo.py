"""The demo: its scene, its files, and its failure when the restoration is no better than the input."""

from __future__ import annotations

from collections.abc import Callable

import mrcfile
import numpy as np
import pytest
import torch
from torch import Tensor

from cryowae import demo
from cryowae.errors import CheckpointError, OutputError
from cryowae.fourier.rotation import HALF_TURNS

NAMES = {"demo_tomogram.mrc", "demo_tomogram.tlt", "demo_truth.mrc", "demo_restored.mrc", "demo.png"}


class StandIn:
    """A model that applies any function to a whole volume, in place of the weights."""

    stride = 8
    receptive_field = 8
    voxel_sizes = (8.0, 20.0)
    name = "stand-in"
    device = torch.device("cpu")

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self._answer = answer

    def __call__(self, window: Tensor, /) -> Tensor:
        return self._answer(window)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SHAPE", (64, 72, 72))


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    return demo.simulate(1)


def test_the_scene_is_crowded_and_dark(scene):
    truth, tomogram = scene
    assert truth.shape == tomogram.shape == demo.SHAPE
    assert truth.dtype == tomogram.dtype == np.float32
    assert 0.05 < (truth < -0.5).mean() < 0.3
    assert truth.max() < 0.5 < -truth.min()


def test_the_same_seed_gives_the_same_scene(small):
    first, again, other = (demo.simulate(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert np.abs(first[0] - other[0]).max() > 0.5


def test_the_tomogram_is_noisy_and_its_wedge_is_empty(scene):
    truth, tomogram = scene
    assert 0.05 < np.corrcoef(truth.ravel(), tomogram.ravel())[0, 1] < 0.6
    power = np.abs(np.fft.rfftn(tomogram)) ** 2
    kz = np.abs(np.fft.fftfreq(64))[:, None, None] + 0 * power
    kx = np.fft.rfftfreq(128)[None, None, :] + 0 * power
    band = (kz > 0.15) & (kz < 0.3) & (kx < 0.3)
    inside, outside = power[band & (kx < 0.3 * kz)].mean(), power[band & (kx > kz)].mean()
    assert inside < 0.02 * outside


def test_a_restoration_equal_to_the_truth_passes(small, tmp_path):
    truth, _ = demo.simulate(1)
    bright = torch.from_numpy(-truth)[None, None]
    answers = [bright.flip(axes) for axes in HALF_TURNS]

    def know(window):
        return max(answers, key=lambda answer: float((answer * window).sum()))

    result = demo.run_demo(tmp_path / "new" / "folder", model=StandIn(know), seed=1)
    assert result.passed
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == NAMES
    assert result.scores["restored"].ncc > 0.99 > result.scores["input"].ncc
    for path in (result.tomogram, result.truth, result.restored):
        assert mrcfile.validate(path)
        with mrcfile.open(path) as file:
            assert file.voxel_size.x == pytest.approx(10.0)
    for word in ("input", "restored", "ncc"):
        assert word in result.table.lower()
    assert result.picture.stat().st_size > 50_000


@pytest.mark.parametrize(
    "answer", [lambda window: window, lambda window: torch.randn_like(window)], ids=["same", "noise"]
)
def test_a_restoration_no_better_than_the_input_fails(answer, small, tmp_path):
    torch.manual_seed(0)
    assert not demo.run_demo(tmp_path, model=StandIn(answer)).passed


def test_existing_files_are_kept_without_overwrite(small, tmp_path):
    (tmp_path / "demo.png").write_text("mine")
    with pytest.raises(OutputError, match=r"demo\.png exists already"):
        demo.run_demo(tmp_path, model=StandIn(lambda window: window))
    assert {path.name for path in tmp_path.iterdir()} == {"demo.png"}
    demo.run_demo(tmp_path, model=StandIn(lambda window: window), overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == NAMES


def test_no_files_remain_after_an_interrupt_or_without_weights(small, tmp_path):
    def interrupt(window: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(tmp_path, model=StandIn(interrupt))
    with pytest.raises(CheckpointError, match="no weights"):
        demo.run_demo(tmp_path, model="of-no-such-name")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        demo.run_demo(tmp_path / "file" / "folder", model=StandIn(lambda window: window))


@pytest.mark.slow  # the quick tests run the demo of the installed wheel, in test_package
def test_the_shipped_weights_beat_the_input(tmp_path):
    assert demo.run_demo(tmp_path, device="cpu").passed
