"""The commands `cryowae baseline`, from images to tables and pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch
from baseline_parts import blobs
from typer.testing import CliRunner

from cryowae.baselines.model import read_baseline
from cryowae.cli import app
from cryowae.train.state import Rows, read_rows

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def digits(monkeypatch, tmp_path):
    """Instead of MNIST: 160 training and held-out images, 30 test images. Commands run in an empty folder."""
    sets = {"train": blobs(160), "t10k": blobs(30)}
    monkeypatch.setattr("cryowae.data.images.read_mnist", lambda folder=None, part="train": sets[part])
    monkeypatch.chdir(tmp_path)
    return sets


def run(*words: str):
    return CliRunner().invoke(app, ["baseline", *words])


def test_the_lenet_is_not_trained_on_held_out_digits(digits, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "cryowae.baselines.features.train_lenet", lambda train, test, *_, **__: seen.extend((train, test)) or ("", 1.0)
    )
    assert run("lenet", "--output", "lenet.safetensors").exit_code == 0
    assert torch.equal(seen[0].images, digits["train"].images[:128])  # four fifths
    assert torch.equal(seen[1].images, digits["t10k"].images)


def test_a_run_is_resumed_with_its_own_settings(digits, lenet):
    common = ["mnist", "--model", "ae", "--lenet", str(lenet), "--device", "cpu", "--output", "run"]
    first = ["--epochs", "1", "--set", "batch=32", "--set", "rate=2e-3", "--seed", "3", "--images", "100"]
    assert run(*common, *first).exit_code == 0
    kept = Path("run/config.yaml").read_text()
    again = run(*common, "--resume")
    assert again.exit_code == 0, again.stderr
    assert Path("run/config.yaml").read_text() == kept
    other = run(*common, "--resume", "--set", "rate=1e-3")
    assert other.exit_code == 2 and "rate was 0.002 and is 0.001" in other.stderr


def test_restored_digits_are_resumed_with_their_own_settings(digits):
    common = ["restore", "--match", "none", "--device", "cpu", "--output", "out"]
    assert run(*common, "--steps", "1", "--snr", "2", "--seed", "4").exit_code == 0
    kept = Path("out/config_none.yaml").read_text()
    again = run(*common, "--resume")
    assert again.exit_code == 0, again.stderr
    assert Path("out/config_none.yaml").read_text() == kept


def test_evaluate_updates_the_last_row_and_keeps_the_others(digits, lenet, inception):
    common = ["--lenet", str(lenet), "--device", "cpu"]
    words = ["mnist", "--model", "ae", "--epochs", "2", "--set", "batch=32", "--set", "evaluate_every=1"]
    trained = run(*words, "--output", "run", *common)
    assert trained.exit_code == 0
    assert "warning: the LeNet classifies" in trained.stderr and "expected at least 97%" in trained.stderr
    before = read_rows(Path("run/evaluation.csv"))
    cells = [[row[name] for name in ("step", "epoch", "epochs", "training_images")] for row in before]
    assert cells == [["4", "1", "2", "128"], ["8", "2", "2", "128"]]  # batches of 32, of four fifths
    assert torch.equal(read_baseline(Path("run"), "cpu").examples, digits["train"].images[128:144])
    again = ["evaluate", "run", *common, "--fid-weights", str(inception)]
    for more, images in ((["--fid-images", "5"], "5"), ([], "all")):
        assert run(*again, *more).exit_code == 0
        first, last = read_rows(Path("run/evaluation.csv"))
        assert last["inception_images"] == images and last["mse"] == before[1]["mse"]
        assert first | {"inception_images": ""} == before[0] | {name: "" for name in first if "inception" in name}
    Rows(Path("mine.csv")).write(1, {"figure": "mine"})
    refused = run(*again, "--output", "mine.csv")
    assert refused.exit_code == 2 and "mine.csv exists already" in refused.stderr
    assert run(*again, "--output", "mine.csv", "--overwrite").exit_code == 0
    assert read_rows(Path("mine.csv")) == [last]
    refused = run("sample", "run", "--output", "x.jpg", "--device", "cpu")
    assert refused.exit_code == 2 and "expected a name that ends in .png" in refused.stderr
    assert not Path("x.jpg").exists()


def test_references_use_the_code_lengths_of_the_models(digits, lenet, inception):
    assert run("references", "--lenet", str(lenet), "--output", "pca", "--device", "cpu").exit_code == 0
    assert [row["code"] for row in read_rows(Path("pca/evaluation.csv"))] == ["8", "16", "32", ""]
    few = ["--fid-weights", str(inception), "--fid-images", "5", "--code", "8", "--output", "few"]
    assert run("references", "--lenet", str(lenet), "--device", "cpu", *few).exit_code == 0
    assert [row["inception_images"] for row in read_rows(Path("few/evaluation.csv"))] == ["5", "5"]
    assert run("references", "--code", "1025").exit_code == 2


@pytest.mark.slow
def test_celeba_commands_from_pictures_to_a_table(tmp_path, monkeypatch, inception):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "argv", ["make_celeba_like.py", str(tmp_path), "--count", "60"])
    import make_celeba_like

    make_celeba_like.main()
    monkeypatch.chdir(tmp_path)
    common = ["--data", str(tmp_path), "--device", "cpu", "--fid-weights", str(inception)]
    words = ["celeba", "--model", "vae", "--epochs", "1", "--set", "batch=16", "--output", "run", *common]
    for command in (
        words,
        [*words, "--resume"],
        ["evaluate", "run", *common],
        ["sample", "run", "--seed", "1", "--device", "cpu"],
        ["table", "run", "--output", "table"],
    ):
        result = run(*command)
        assert result.exit_code == 0, result.output
    (row,) = read_rows(tmp_path / "table.csv")
    assert float(row["inception_fd_sample"]) > 0 and (row["data"], row["epoch"]) == ("celeba", "1")
    assert matplotlib.image.imread(tmp_path / "run" / "samples.png").std() > 0.05


def test_errors_are_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("CRYOWAE_MNIST", raising=False)
    there = tmp_path / "there"
    there.mkdir()
    for name in ("scores", "evaluation", "bandwidth"):
        (there / f"{name}.csv").touch()
    for words, message in (
        (["mnist", "--model", "vae", "--lenet", str(tmp_path / "none")], "train one by `cryowae baseline lenet`"),
        (["celeba", "--model", "vae", "--data", str(tmp_path)], "no .jpg in"),
        (["mnist", "--model", "vae", "--labels", "10"], "labels are for the model aae"),
        (["sample", str(tmp_path / "none")], "cannot be read"),
        (["table", str(tmp_path)], "no figures in"),
        (["lenet", "--output", str(tmp_path / "l.safetensors")], "give --data FOLDER"),
        (["lenet", "--output", str(tmp_path / "l.safetensors")], "`python tools/fetch_mnist.py` downloads it"),
        (["restore", "--output", str(tmp_path / "r")], "`python tools/fetch_mnist.py` downloads it"),
        (["restore", "--output", str(tmp_path / "r"), "--data", str(there)], "`python tools/fetch_mnist.py`"),
        (["restore", "--match", "some"], "expected none, mmd, adversarial"),
        (["restore", "--output", str(there)], "exists already"),
        (["references", "--output", str(there)], "exists already"),
        (["bandwidth", "--output", str(there)], "exists already"),
        (["sweep", "--model", "ae"], "expected models with a match"),
    ):
        result = run(*words)
        assert result.exit_code == 2, result.output
        assert message in result.stderr and result.stderr.count("\n") == 1
