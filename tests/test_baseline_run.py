"""Runs of the baselines: output files, resuming and learning; sweeps and pictures."""

from __future__ import annotations

import warnings

import matplotlib.image
import pytest
import torch
from baseline_parts import blobs, config
from interrupting import Interrupt

from cryowae.baselines import run_baseline, sweep_weights, train_baseline
from cryowae.baselines.comparison import collect
from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.features import LeNetFeatures
from cryowae.baselines.model import Baseline, read_baseline
from cryowae.baselines.plots import baseline_mosaics, draw_weights, mosaic
from cryowae.data.images import signed
from cryowae.errors import CheckpointError, ConfigError, ImagesError, OutputError
from cryowae.io.checkpoint import read_checkpoint
from cryowae.train.state import read_rows


@pytest.mark.parametrize(
    ("model", "labels"), [("vae", 0), ("aae", 50), pytest.param("wgan-gp", 0, marks=pytest.mark.slow)]
)
def test_a_run_writes_its_files_and_figures(model, labels, tmp_path, lenet):
    chosen = config(model, f"labels={labels}", *(["batch=4", "images=20", "epochs=1"] if model == "wgan-gp" else []))
    judge = Evaluation(*blobs(160).halves(chosen.images), blobs(30), [LeNetFeatures.read(lenet, "cpu")])
    figures = run_baseline(chosen, judge, tmp_path, device="cpu")
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"samples.png", "curves.png"}
    if model != "wgan-gp":  # measured after both epochs
        pictures.add("evaluation.png")
    assert names == {"weights.safetensors", "last.safetensors", "config.yaml", "log.csv", "evaluation.csv"} | pictures
    assert all(matplotlib.image.imread(tmp_path / name).std() > 0.05 for name in pictures)
    assert figures["lenet"].startswith("lenet-") and float(figures["lenet_fd_sample"]) > 0
    assert ("mse" in figures) == ("power_ratio" in figures) == (model != "wgan-gp")
    assert ("error" in figures) == ("conditional" in figures) == bool(labels)
    shown = baseline_mosaics(read_baseline(tmp_path, "cpu"))
    assert ("columns: classes; rows: random styles" in shown) == bool(labels)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "labels"), [("vae", 0), ("wae-mmd", 0), ("aae", 50), ("wgan-gp", 0)])
def test_cuda_trains_resumes_and_measures_as_the_cpu_does(model, labels, precision, tmp_path, lenet, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    chosen = config(model, f"labels={labels}", f"precision={precision}", "images=80")
    sets = *blobs(160).halves(chosen.images), blobs(30)
    judges = {place: Evaluation(*sets, [LeNetFeatures.read(lenet, place)]) for place in ("cpu", "cuda")}
    trained = judges["cuda"].on("cuda")
    with pytest.raises(KeyboardInterrupt):
        run_baseline(chosen, trained, tmp_path, device="cuda", progress=Interrupt(5))
    run_baseline(chosen, trained, tmp_path, resume=True, device="cuda")
    figures = {place: judge.on(place)(read_baseline(tmp_path, place).model) for place, judge in judges.items()}
    assert figures["cuda"].keys() == figures["cpu"].keys() and len(figures["cpu"]) > 8
    for name, value in figures["cpu"].items():
        expected = value if isinstance(value, str) else pytest.approx(value, rel=0.02, abs=0.02)
        assert figures["cuda"][name] == expected, name


def test_resuming_gives_the_weights_of_an_uninterrupted_run(tmp_path):
    chosen, digits = config("aae", "labels=50"), blobs(56)
    train_baseline(chosen, digits, tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train_baseline(chosen, digits, tmp_path / "broken", device="cpu", progress=Interrupt(5))
    train_baseline(chosen, digits, tmp_path / "broken", device="cpu", resume=True)
    for name in ("weights", "last"):
        (straight, about), (broken, _) = (
            read_checkpoint(tmp_path / run / f"{name}.safetensors") for run in ("straight", "broken")
        )
        assert about["step"] == 6 and straight.keys() == broken.keys()
        assert all((straight[key] == broken[key]).all() for key in straight)
    logs = [[row["step"] for row in read_rows(tmp_path / run / "log.csv")] for run in ("straight", "broken")]
    assert logs[0] == logs[1] == ["3", "6"]


def test_runs_are_not_lost_and_not_mixed(tmp_path):
    digits = blobs(32)
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train_baseline(config("ae"), digits, tmp_path, resume=True)
    with pytest.raises(ImagesError, match="expected at least a batch of 64"):
        train_baseline(config("ae", "batch=64"), digits, tmp_path / "few")
    train_baseline(config("ae", "epochs=1"), digits, tmp_path, device="cpu")
    with pytest.raises(OutputError, match="holds a run already"):
        train_baseline(config("ae"), digits, tmp_path)
    for other, message in (
        ("rate=1", "rate was 0.001 and is 1.0"),
        ("epochs=3", r"\(epochs was 1 and is 3\)"),
    ):
        with pytest.raises(CheckpointError, match=f"another configuration .*{message}"):
            train_baseline(config("ae", "epochs=1", other), digits, tmp_path, resume=True, device="cpu")
    with pytest.raises(KeyboardInterrupt):  # the old run is then neither drawn nor resumed
        train_baseline(config("ae"), digits, tmp_path, overwrite=True, device="cpu", progress=Interrupt(1))
    assert not (tmp_path / "weights.safetensors").exists()
    assert read_checkpoint(tmp_path / "last.safetensors")[1]["step"] == 1


def test_half_precision_is_for_training_alone(tmp_path):
    digits = blobs(32)
    models = [Baseline(config("vae", f"precision={name}")) for name in ("float32", "bfloat16")]
    models[1].load_state_dict(models[0].state_dict())
    codes = [model.eval().encode(signed(digits.images)) for model in models]
    assert torch.equal(*codes) and torch.equal(*(model.decode(codes[0]) for model in models))
    trained = [model.train().encode(signed(digits.images)) for model in models]
    assert trained[1].dtype == torch.float32 and not torch.equal(*trained)
    assert (trained[0] - trained[1]).std() < 0.02 * trained[0].std()
    train_baseline(config("vae", "precision=bfloat16"), digits, tmp_path, device="cpu")
    assert all(p.dtype == torch.float32 for p in read_baseline(tmp_path, "cpu").model.parameters())


def test_a_run_that_diverges_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="the objective is not finite at step 1"):
        train_baseline(config("ae").model_copy(update={"rate": 1e30}), blobs(32), tmp_path, device="cpu")


@pytest.mark.slow
def test_an_autoencoder_learns(tmp_path):
    train_baseline(config("wae-mmd", "epochs=12"), blobs(160), tmp_path, device="cpu")
    costs = [float(row["reconstruction"]) for row in read_rows(tmp_path / "log.csv")]
    assert costs[-1] < 0.5 * costs[0]


@pytest.mark.slow
def test_an_aae_learns_classes_from_few_labels(tmp_path):
    train, held = blobs(600).halves()
    found = []
    judge = Evaluation(train, held, test=held)
    for supervision in (0, 200):
        chosen = config("aae", "labels=50", "epochs=4", "batch=32", f"supervision={supervision}")
        run = tmp_path / str(supervision)
        train_baseline(chosen, train, run, device="cpu")
        found.append(judge(read_baseline(run, "cpu").model)["error"])
    assert found[0] > 0.5 and found[1] < 0.1


def test_an_interrupted_sweep_is_resumed_and_drawn(lenet, tmp_path):
    judge = Evaluation(*blobs(80).halves(), extractors=[LeNetFeatures.read(lenet, "cpu")])
    configs = [config(model, "epochs=1", f"weight={w}") for model in ("wae-mmd", "wae-gan") for w in (1, 100)]
    folders = sweep_weights(configs[:2], judge, tmp_path, device="cpu")
    assert [folder.name for folder in folders] == ["wae-mmd-1", "wae-mmd-100"]
    before = (folders[1] / "weights.safetensors").stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        sweep_weights(configs, judge, tmp_path, device="cpu", progress=Interrupt(2))
    folders = sweep_weights(configs, judge, tmp_path, device="cpu")
    assert len(collect(folders)) == 4 and (folders[1] / "weights.safetensors").stat().st_mtime_ns == before
    assert matplotlib.image.imread(draw_weights(folders, tmp_path / "sweep.png")).std() > 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_weights(folders[:2], tmp_path / "sweep.png")  # without a discriminator, no accuracy is drawn
    with pytest.raises(OutputError, match="holds a run with other settings"):
        sweep_weights([config("wae-mmd", "weight=1")], judge, tmp_path)


def test_a_mosaic_contains_all_images():
    images = torch.randint(256, (2, 3, 1, 4, 4), dtype=torch.uint8)
    sheet = mosaic(images)
    assert sheet.shape == (9, 14)
    assert (sheet[5:9, 5:9] == images[1, 1, 0].numpy()).all() and (sheet[4] == 255).all()
