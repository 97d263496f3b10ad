"""`cryowae fit` and `restore --fit`: files, messages and exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fit_parts import PHYSICS, objective_file
from PIL import Image
from test_cli import make_weights, run, save

import cryowae.fit
from cryowae.errors import TomogramError
from cryowae.fit import FitResult
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.report.fitting import draw_fit, fit_figure


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def calls(monkeypatch, weights):
    """The calls of `fit_weights`, which writes a copy of the weights."""
    made = []

    def fitted(items, output, options, *, model, progress):
        made.append((items, Path(output), options, model))
        if options.seed == 13:
            raise KeyboardInterrupt
        if items[0].tomogram.path.stem == "bad":
            raise TomogramError("bad.mrc is bad;\nexpected a good one")
        Path(output).write_bytes(weights.read_bytes())
        before, after = {1: (0.25, 0.5), 2: (0.5, 0.5), 3: (-np.inf, 0.5)}[options.seed or 1]
        folder = Path(output).with_suffix(".fit")
        pictures, physics = Path(output).with_suffix(".png"), (PHYSICS,) * len(items)
        said = {"notes": ("a note",), "seconds": 120.0}
        return FitResult(Path(output), folder, pictures, physics, 40, "what is asked", before, after, **said)

    monkeypatch.setattr(cryowae.fit, "fit_weights", fitted)
    return made


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (1, "0.250 -> 0.500, better than at the start"),
        (2, "0.500 -> 0.500, not better than at the start: those were written"),
        (3, "score       0.500, better than at the start"),
    ],
)
def test_fit_says_what_it_did(tmp_path, calls, seed, said):
    paths = [save(tmp_path), save(tmp_path, "second")]
    result = run(
        "fit", *paths, "--output", tmp_path / "w.safetensors", "--minutes", 5, "--seed", seed, "--model", "mine"
    )
    assert result.exit_code == 0, result.output
    (items, output, options, model), *_ = calls
    assert [item.tomogram.path for item in items] == paths and output == tmp_path / "w.safetensors" and model == "mine"
    assert (options.minutes, options.seed, options.rotations, options.objective) == (5.0, seed, "about-z", "rehearsal")
    for words in (said, "w.safetensors", "second.mrc: 10 Å, -60 to +60", "40", "what is asked", "w.png", "2.0 min"):
        assert words in result.stdout
    assert "note: a note" in result.stderr


def test_ctrl_c_is_said_and_has_its_exit_code(tmp_path, calls):
    result = run("fit", save(tmp_path), "--output", tmp_path / "w.safetensors", "--seed", 13)
    assert result.exit_code == 130 and "interrupted" in result.stderr and len(calls) == 1


ERRORS = {
    "no such tomogram": (("none.mrc",), "does not exist"),
    "too short": (("tomo.mrc", "--minutes", 0.5), "expected 1 or more"),
    "another ending": (("tomo.mrc", "--output", "w.mrc"), "expected the name of weights"),
    "existing weights": (("tomo.mrc", "--output", "tiny.safetensors"), "exists already"),
    "nothing to resume": (("tomo.mrc", "--resume"), "nothing to resume"),
    "no such weights": (("tomo.mrc", "--model", "none"), "no weights 'none'"),
    "no such objective": (("tomo.mrc", "--objective", "none"), "no configuration 'none'"),
    "no halves": (("tomo.mrc", "--objective", "fidelity.yaml"), "--half1 and --half2"),
    "one half": (("tomo.mrc", "--half1", "tomo.mrc"), "got one half"),
    "two tomograms and halves": (("tomo.mrc", "b.mrc", "--half1", "tomo.mrc", "--half2", "b.mrc"), "one tomogram"),
    "no tilts": (("untilted.mrc",), "--tilt-range"),
    "narrow tilts": (("untilted.mrc", "--tilt-range", -10, 10), "expected at least 38 degrees"),
    "angles without a series": (("tomo.mrc", "--series-tilts", "tomo.tlt"), "no --series"),
    "a series without angles": (("tomo.mrc", "--series", "tomo.mrc"), "no angles for"),
    "no such device": (("tomo.mrc", "--device", "none"), "device 'none'"),
}


@pytest.mark.parametrize(("words", "said"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_take_one_line_and_leave_nothing(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    weights = make_weights(tmp_path)
    for name in ("tomo", "b"):
        save(tmp_path, name)
    save(tmp_path, "untilted", angles=False)
    objective_file(tmp_path, {"fidelity": 1.0}).rename(tmp_path / "fidelity.yaml")
    before = sorted(os.listdir(tmp_path))
    rest = () if "--output" in words else ("--output", "mine.safetensors")
    rest += () if "--model" in words else ("--model", weights)
    result = run("fit", *words, *rest)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert said in lines[-1] and lines[-1].startswith("cryowae: ") and "Traceback" not in result.output
    assert sorted(os.listdir(tmp_path)) == before


def test_the_output_must_be_given(tmp_path):
    result = run("fit", save(tmp_path))
    assert result.exit_code == 2 and "--output" in result.stderr


# ---- restore --fit


def test_restore_fits_each_tomogram_first(tmp_path, weights, calls):
    paths = [save(tmp_path), save(tmp_path, "second")]
    (tmp_path / "out").mkdir()
    words = ("--output", tmp_path / "out", "--fit", 7, "--model", weights, "--fast", "--device", "cpu")
    result = run("restore", *paths, *words)
    assert result.exit_code == 0, result.output
    assert [output.name for _, output, _, _ in calls] == ["tomo_fit.safetensors", "second_fit.safetensors"]
    assert all(output.parent == tmp_path / "out" for _, output, _, _ in calls)
    for (items, _, options, model), path in zip(calls, paths, strict=True):
        assert [item.tomogram.path for item in items] == [path] and model == str(weights)
        assert (options.minutes, options.device, options.overwrite) == (7.0, "cpu", False)
    assert "0.250 -> 0.500 on held-out data" in result.stdout
    labels = [read_mrc(tmp_path / "out" / f"{name}_restored.mrc").header.labels for name in ("tomo", "second")]
    assert "tomo_fit" in str(labels[0]) and "second_fit" in str(labels[1])


def test_restore_checks_its_outputs_before_the_fit(tmp_path, weights, calls):
    path = save(tmp_path)
    (tmp_path / "tomo_restored.mrc").touch()
    result = run("restore", path, "--fit", 7, "--model", weights)
    assert result.exit_code == 2 and "exists already" in result.stderr and calls == []
    result = run("restore", path, "--fit", 0.1, "--model", weights, "--overwrite")
    assert result.exit_code == 2 and "expected 1 or more" in result.stderr and calls == []


def test_a_fit_that_fails_does_not_stop_the_others(tmp_path, weights, calls):
    paths = [save(tmp_path, "bad"), save(tmp_path, "good")]
    result = run("restore", *paths, "--fit", 7, "--model", weights, "--fast", "--device", "cpu")
    assert result.exit_code == 1, result.output
    assert "cryowae: bad.mrc is bad; expected a good one" in result.stderr.splitlines()
    assert (tmp_path / "good_restored.mrc").exists() and not (tmp_path / "bad_restored.mrc").exists()
    assert run("restore", paths[0], "--fit", 7, "--model", weights, "--device", "cpu").exit_code == 2


# ---- the picture


def volumes(*names):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(16, 24, 32)).astype(np.float32) for name in names}


def test_the_picture_has_the_curve_and_the_slices(tmp_path):
    draw_fit(
        tmp_path / "fit.png", {0: 0.1, 2: 0.3, 4: 0.2}, volumes("input", "weights at the start", "adapted"), 10.0, "q"
    )
    image = Image.open(tmp_path / "fit.png")
    assert image.width > 1000 and image.height > 600


def test_the_curve_marks_the_start_and_the_best():
    figure = fit_figure({0: 0.1, 4: 0.2, 2: 0.3}, volumes("input", "adapted"), 10.0, "what is asked")
    (axes,) = [one for one in figure.axes if one.get_label() == "held-out score"]
    by_label = {line.get_label(): line for line in axes.lines}
    assert list(by_label["adapted weights"].get_xdata()) == [0, 2, 4]
    assert list(by_label["written"].get_xdata()) == [2] and list(by_label["written"].get_ydata()) == [0.3]
    assert set(by_label["weights at the start"].get_ydata()) == {0.1}
    assert "what is asked" in {text.get_text() for one in (figure, *figure.axes) for text in one.texts}


def test_without_weights_at_the_start_there_is_no_line():
    figure = fit_figure({0: -np.inf}, volumes("input"), 10.0)
    (axes,) = [one for one in figure.axes if one.get_label() == "held-out score"]
    assert not [line for line in axes.lines if line.get_label() in ("weights at the start", "written")]
    figure = fit_figure({0: -np.inf, 2: 0.3}, {"input": np.ones((16, 24, 32))}, 10.0)
    assert len(figure.axes) > 2


def test_the_preview_restores_the_centre(weights, tmp_path):
    from fit_parts import item_from

    from cryowae.fit.preview import Preview
    from cryowae.models.weights import load_model

    volume = np.random.default_rng(0).normal(size=(70, 140, 150)).astype(np.float32)
    shown = Preview(item_from(volume), load_model(weights, "cpu"))
    assert np.array_equal(shown._input, volume[3:67, 6:134, 11:139])
    assert shown._before.shape == (64, 128, 128) and Preview(item_from(volume), None)._before is None


def test_a_series_judges(tmp_path, weights, monkeypatch):
    """The series of the command line reaches the judge."""
    seen = {}

    def stop(item, options):
        seen.update(series=options.series, tilts=options.series_tilts, align=options.alignment)
        raise TomogramError("seen")

    monkeypatch.setattr(cryowae.fit, "tilt_judge", stop)
    path = save(tmp_path)
    write_mrc(tmp_path / "TS.st", np.ones((41, 32, 40), np.float32), voxel_size=10.0)
    words = ("--series", tmp_path / "TS.st", "--series-tilts", tmp_path / "tomo.tlt", "--model", weights)
    result = run("fit", path, "--output", tmp_path / "w.safetensors", *words)
    assert result.exit_code == 2 and "seen" in result.stderr
    assert seen == {"series": tmp_path / "TS.st", "tilts": tmp_path / "tomo.tlt", "align": None}
