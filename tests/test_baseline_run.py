"""Image sets, runs of the baselines from images to pictures, and their commands."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import types
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.experiment import run_baseline
from cryowae.baselines.features import LeNet, LeNetFeatures, train_lenet
from cryowae.baselines.inception import InceptionFeatures
from cryowae.baselines.model import Baseline, read_baseline
from cryowae.baselines.pictures import mosaic, panels
from cryowae.baselines.principal import measure_references
from cryowae.baselines.rows import Rows, read_rows
from cryowae.baselines.run import train_baseline
from cryowae.baselines.sweep import draw_weights, sweep_weights
from cryowae.baselines.table import collect, write_table
from cryowae.cli import app
from cryowae.config import baseline_config
from cryowae.data.celeba import CROP, FOLDER, read_celeba
from cryowae.data.images import ImageSet, signed, unsigned
from cryowae.data.mnist import MD5, read_idx, read_mnist, write_idx
from cryowae.errors import CheckpointError, ConfigError, ImagesError, OutputError
from cryowae.io.checkpoint import read_checkpoint
from cryowae.progress import Progress

TOOLS = Path(__file__).parent.parent / "tools"


def blobs(count: int) -> ImageSet:
    """Discs whose place tells their class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 10
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    angle = labels * (2 * torch.pi / 10) + 0.1 * torch.randn(count, generator=generator)
    cy, cx = 16 + 9 * angle.sin(), 16 + 9 * angle.cos()
    distance = (y - cy[:, None, None]).square() + (x - cx[:, None, None]).square()
    images = (255 * torch.exp(-distance / 18)).to(torch.uint8)
    return ImageSet("mnist-train", images[:, None], labels)


class Interrupt(Progress):
    """Presses Ctrl-C after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def lenet(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lenet") / "lenet.safetensors"
    train_lenet(blobs(400), blobs(40), path, epochs=1, device="cpu")
    return path


def config(model: str, *overrides: str):
    return baseline_config("mnist", model, "fixed", ["epochs=2", "batch=16", "evaluate_every=1", *overrides])


def test_8_bits_and_back():
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(unsigned(signed(images)), images)
    assert unsigned(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_idx_and_back():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (read_idx(write_idx(array)) == array).all()
    for content in (b"", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", write_idx(array)[:-1]):
        with pytest.raises(ValueError):
            read_idx(content)


def test_mnist_is_read_plain_and_gzipped_and_checked(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    digits, labels = generator.integers(0, 256, (5, 28, 28), dtype=np.uint8), np.arange(5, dtype=np.uint8)
    for name, array, packed in (("images-idx3", digits, True), ("labels-idx1", labels, False)):
        content = write_idx(array)
        monkeypatch.setitem(MD5, f"t10k-{name}-ubyte", hashlib.md5(content).hexdigest())
        path = tmp_path / f"t10k-{name}-ubyte{'.gz' * packed}"
        path.write_bytes(gzip.compress(content) if packed else content)
    read = read_mnist(tmp_path, "t10k", size=28)
    assert (read.images[:, 0].numpy() == digits).all() and read.labels.tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setenv("CRYOWAE_MNIST", str(tmp_path))
    assert read_mnist(None, "t10k").images.shape == (5, 1, 32, 32)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(write_idx(labels[::-1].copy()))
    with pytest.raises(ImagesError, match=r"has the md5 .*, expected .*: download it again") as told:
        read_mnist(tmp_path, "t10k")
    assert "\n" not in str(told.value)
    with pytest.raises(ImagesError, match="no train-images-idx3-ubyte or"):
        read_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b no")
    with pytest.raises(ImagesError, match="cannot be read"):
        read_mnist(tmp_path, "t10k")


def test_official_mnist_is_what_it_should_be():
    if not os.environ.get("CRYOWAE_MNIST"):
        pytest.skip("CRYOWAE_MNIST is not set: it names the folder of MNIST's idx files")
    digits = read_mnist(None, "t10k")
    assert digits.images.shape == (10_000, 1, 32, 32)
    assert digits.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_nothing_says_where_the_images_are(monkeypatch, tmp_path):
    monkeypatch.delenv("CRYOWAE_MNIST", raising=False)
    with pytest.raises(ImagesError, match="give --data FOLDER, or set CRYOWAE_MNIST"):
        read_mnist()
    with pytest.raises(ImagesError, match="is not a folder"):
        read_mnist(tmp_path / "nowhere")


def test_celeba_is_cropped_about_its_middle_and_made_small(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[35 : 35 + CROP, 15 : 15 + CROP] = (200, 100, 50)  # what is kept; black is cut away
    Image.fromarray(picture).save(folder / "000002.jpg", quality=100, subsampling=0)
    Image.fromarray(picture // 2).save(folder / "000001.jpg", quality=100, subsampling=0)
    read = read_celeba(tmp_path)
    assert read.images.shape == (2, 3, 64, 64) and read.images.dtype == torch.uint8
    means = read.images.float().mean(dim=(2, 3))
    assert torch.allclose(means[1], torch.tensor([200.0, 100.0, 50.0]), atol=6)
    assert torch.allclose(means[0], means[1] / 2, atol=4)
    assert len(read_celeba(folder, count=1)) == 1
    (folder / "000003.jpg").write_bytes(b"no picture")
    with pytest.raises(ImagesError, match="cannot be read as an image"):
        read_celeba(tmp_path)
    with pytest.raises(ImagesError, match=r"no \.jpg in"):
        read_celeba(TOOLS)


def test_pictures_in_the_layout_of_celeba_are_made_and_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "argv", ["make_celeba_like.py", str(tmp_path), "--count", "4"])
    import make_celeba_like

    make_celeba_like.main()
    faces = read_celeba(tmp_path).images.float()
    assert faces.shape == (4, 3, 64, 64)
    assert all(float((faces[0] - other).abs().mean()) > 5 for other in faces[1:])
    assert len((tmp_path / "list_eval_partition.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("model", "labels"), [("vae", 0), ("aae", 50), pytest.param("wgan-gp", 0, marks=pytest.mark.slow)]
)
def test_a_run_leaves_its_files_and_figures(model, labels, tmp_path, lenet):
    chosen = config(model, f"labels={labels}", *(["batch=4", "images=20", "epochs=1"] if model == "wgan-gp" else []))
    digits = blobs(160)
    figures = run_baseline(
        chosen, digits, tmp_path, test=blobs(30), extractors=[LeNetFeatures.read(lenet, "cpu")], device="cpu"
    )
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"samples.png", "curves.png"}
    if model != "wgan-gp":  # measured after both epochs
        pictures.add("evaluation.png")
    assert names == {"weights.safetensors", "last.safetensors", "log.csv", "evaluation.csv"} | pictures
    assert all(matplotlib.image.imread(tmp_path / name).std() > 0.05 for name in pictures)
    assert figures["lenet"].startswith("lenet-") and float(figures["lenet_fd_sample"]) > 0
    assert ("mse" in figures) == ("power_ratio" in figures) == (model != "wgan-gp")
    assert ("error" in figures) == ("conditional" in figures) == bool(labels)
    shown = panels(read_baseline(tmp_path, "cpu"))
    assert ("a column a class, a row a style drawn anew" in shown) == bool(labels)


def test_resuming_gives_the_weights_of_a_run_without_the_break(tmp_path):
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
    for other, message in (("rate=1", "another configuration"), ("epochs=3", "resume with --epochs 1, or start anew")):
        with pytest.raises(CheckpointError, match=message):
            train_baseline(config("ae", "epochs=1", other), digits, tmp_path, resume=True, device="cpu")
    with pytest.raises(KeyboardInterrupt):  # before the new run has anything, the old one is neither drawn nor resumed
        train_baseline(config("ae"), digits, tmp_path, overwrite=True, device="cpu", progress=Interrupt(1))
    assert not list(tmp_path.glob("*.safetensors"))


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


def test_a_run_that_diverges_says_so(tmp_path):
    with pytest.raises(ConfigError, match="the objective is not finite at step 1"):
        train_baseline(config("ae", "rate=1e30"), blobs(32), tmp_path, device="cpu")


def test_measuring_again_keeps_what_was_not_measured_again(tmp_path):
    Rows(tmp_path / "e.csv").write(9, {"mse": 2.0, "inception_fd_sample": 30.0})
    Rows(tmp_path / "e.csv", keep=9).write(9, {"mse": 1.0})
    assert read_rows(tmp_path / "e.csv") == [{"step": "9", "mse": "1", "inception_fd_sample": "30"}]


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


def test_evaluation_changes_nothing_and_train_mode_is_another_figure(lenet):
    digits = blobs(100)
    train, held = digits.halves()
    judge = Evaluation(train, held, extractors=[LeNetFeatures.read(lenet, "cpu")])
    model = Baseline(config("vae")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    figures = judge(model)
    assert model.training and all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    again = judge(model)
    assert figures == again
    # what is measured in evaluation mode does not know of the statistics of the held-out images
    model.config = model.config.model_copy(update={"reconstruct": "train"})
    other = judge(model)
    assert figures["changed"] == "batch=16"
    assert other["changed"] == "batch=16 reconstruct=train"
    differ = {name for name in figures if figures[name] != other[name]} - {"changed"}
    assert differ == {"mse", "lenet_fd_reconstruct", "lenet_kid_reconstruct"}


def test_references_and_table(tmp_path, lenet):
    digits = blobs(200)
    train, held = digits.halves()
    judge = Evaluation(train, held, extractors=[LeNetFeatures.read(lenet, "cpu")])
    measure_references(judge, [2, 8], tmp_path / "evaluation.csv")
    rows = read_rows(tmp_path / "evaluation.csv")
    assert [row["code"] for row in rows] == ["2", "8", ""]
    assert float(rows[1]["mse"]) < float(rows[0]["mse"])
    for seed, value in ((0, 2.0), (1, 4.0)):
        run = tmp_path / f"run{seed}"
        run.mkdir()
        row = {"epoch": 1, "data": "mnist", "model": "vae", "preset": "fixed", "seed": seed, "lenet_fd_sample": value}
        row |= {"power": 8.0, "power_of_means": 7.0, "power_ratio": 1.0}
        Rows(run / "evaluation.csv").write(9, {**row, "lenet": rows[0]["lenet"]})
    text = write_table(collect([tmp_path / "run0", tmp_path / "run1", tmp_path]), tmp_path / "table")
    assert "| 3.00 ± 1.41 |" in text and text.count("\n") == 2 + 1 + 3
    assert len({line.count("|") for line in text.splitlines()}) == 1  # no bar of a formula among those of the table
    assert len(read_rows(tmp_path / "table.csv")) == 5
    other = tmp_path / "other"
    other.mkdir()
    Rows(other / "evaluation.csv").write(1, {"model": "vae", "lenet": "lenet-000000000000"})
    run = tmp_path / "other_kernel"
    run.mkdir()
    Rows(run / "evaluation.csv").write(9, {**row, "changed": "kernel=gaussian"})
    text = write_table(collect([tmp_path / "run0", tmp_path / "run1", run]), tmp_path / "table")
    assert "| 3.00 ± 1.41 |" in text and "| kernel=gaussian | 1 | 7.00 | 8.00 | 1.000 | 4.00 |" in text
    with pytest.raises(ConfigError, match="do not compare"):
        collect([tmp_path / "run0", other])
    with pytest.raises(ConfigError, match="no figures in"):
        collect([tmp_path / "nothing"])


def test_a_lenet_learns_and_is_known_by_its_hash(lenet, tmp_path):
    features = LeNetFeatures.read(lenet, "cpu")
    digest = hashlib.sha256(lenet.read_bytes()).hexdigest()
    assert features.name == f"lenet-{digest[:12]}"
    assert features(blobs(3).images).shape == (3, 84)
    assert sum(p.numel() for p in LeNet().parameters()) == 61_706
    with pytest.raises(CheckpointError, match="cryowae baseline lenet"):
        LeNetFeatures.read(tmp_path / "none.safetensors")
    with pytest.raises(ImagesError, match="at least a batch of 128"):
        train_lenet(blobs(100), blobs(40), tmp_path / "untrained.safetensors", device="cpu")


class Corners(torch.nn.Module):
    """Stands for Inception: what it is fed, at two corners of every channel."""

    def forward(self, images):
        assert images.shape[1:] == (3, 299, 299)
        return torch.cat([images[:, :, 0, 0], images[:, :, -1, -1]], 1)


@pytest.fixture
def inception(tmp_path):
    path = tmp_path / "inception.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Corners()).save(str(path))
    return path


def test_inception_is_fed_as_it_was_trained(inception, tmp_path):
    """Three channels of 299 pixels, `(value - 128) / 128`; grey images are repeated."""
    images = torch.zeros(60, 1, 32, 32, dtype=torch.uint8)
    images[59, :, 16:] = 255
    features = InceptionFeatures(inception, "cpu")
    found = features(images)
    assert found.shape == (60, 6) and (found[:59] == -1).all()
    assert torch.allclose(found[59], torch.tensor([-1.0] * 3 + [127 / 128] * 3))
    assert features.name == f"inception-{hashlib.sha256(inception.read_bytes()).hexdigest()[:12]}"
    for path in (tmp_path / "none.pt", Path(__file__)):
        with pytest.raises(CheckpointError, match="holds no TorchScript network"):
            InceptionFeatures(path, "cpu")


def test_inception_may_be_torchmetrics_own(monkeypatch):
    """It is handed 8 bits and three channels, and resizes by itself; who has not the packages is told what to do."""

    class Own(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert (name, features) == ("inception-v3-compat", ["2048"])

        def forward(self, images):
            assert images.dtype == torch.uint8 and images.shape[1:] == (3, 32, 32)
            return images.float().mean((2, 3))

    module = types.ModuleType("torchmetrics.image.fid")
    module.NoTrainInceptionV3 = Own
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", module)
    features = InceptionFeatures("download", "cpu")
    assert features(torch.full((60, 1, 32, 32), 7, dtype=torch.uint8)).tolist() == [[7.0] * 3] * 60
    assert features.name == "inception-2015-12-05"
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(CheckpointError, match="pip install torchmetrics torch-fidelity torchvision, or give a file"):
        InceptionFeatures("download", "cpu")


def test_features_that_are_asked_for_again_are_kept(inception, tmp_path):
    train, held = blobs(40).halves()
    seen = []

    class Counted(InceptionFeatures):
        def __call__(self, images):
            seen.append(len(images))
            return super().__call__(images)

    made = torch.randint(0, 256, (32, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        judge = Evaluation(train, held, final=[Counted(inception, "cpu")], kept=tmp_path / "kept")
        found = judge.distances({"sample": made})
    assert seen == [32, 8, 32] and len(list((tmp_path / "kept").iterdir())) == 1
    again = Evaluation(train, held, final=[InceptionFeatures(inception, "cpu")])
    assert found["inception_fd_sample"] > 0 and found == again.distances({"sample": made})
    few = Evaluation(train, held, final=[Counted(inception, "cpu")], kept=tmp_path / "kept", few=5)
    assert few.distances({"sample": made}) == again.distances({"sample": made[:5]}) | {"inception_images": "5"}
    assert seen[3:] == [5]


@pytest.mark.slow
def test_the_commands_of_celeba_from_pictures_to_a_table(tmp_path, monkeypatch, inception):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "argv", ["make_celeba_like.py", str(tmp_path), "--count", "60"])
    import make_celeba_like

    make_celeba_like.main()
    run = tmp_path / "run"
    common = ["--data", str(tmp_path), "--device", "cpu", "--fid-weights", str(inception)]
    words = ["celeba", "--model", "vae", "--epochs", "1", "--set", "batch=16", "--output", str(run), *common]
    for command in (
        words,
        [*words, "--resume"],
        ["evaluate", str(run), *common],
        ["sample", str(run), "--seed", "1", "--device", "cpu"],
        ["table", str(run), "--output", str(tmp_path / "table")],
    ):
        result = CliRunner().invoke(app, ["baseline", *command])
        assert result.exit_code == 0, result.output
    (row,) = read_rows(tmp_path / "table.csv")
    assert float(row["inception_fd_sample"]) > 0 and (row["data"], row["epoch"]) == ("celeba", "1")
    assert matplotlib.image.imread(run / "samples.png").std() > 0.05


def test_a_sweep_goes_on_where_it_was_and_is_drawn(lenet, tmp_path):
    digits, judge = blobs(80), [LeNetFeatures.read(lenet, "cpu")]
    configs = [config(model, "epochs=1", f"weight={w}") for model in ("wae-mmd", "wae-gan") for w in (1, 100)]
    folders = sweep_weights(configs[:2], digits, tmp_path, extractors=judge, device="cpu")
    assert [folder.name for folder in folders] == ["wae-mmd-1", "wae-mmd-100"]
    before = (folders[1] / "weights.safetensors").stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        sweep_weights(configs, digits, tmp_path, extractors=judge, device="cpu", progress=Interrupt(2))
    folders = sweep_weights(configs, digits, tmp_path, extractors=judge, device="cpu")
    assert len(collect(folders)) == 4 and (folders[1] / "weights.safetensors").stat().st_mtime_ns == before
    assert matplotlib.image.imread(draw_weights(folders, tmp_path / "sweep.png")).std() > 0.05
    with pytest.raises(OutputError, match="holds a run of other settings"):
        sweep_weights([config("wae-mmd", "weight=1")], digits, tmp_path)


def test_a_mosaic_keeps_its_images():
    images = torch.randint(256, (2, 3, 1, 4, 4), dtype=torch.uint8)
    sheet = mosaic(images)
    assert sheet.shape == (9, 14)
    assert (sheet[5:9, 5:9] == images[1, 1, 0].numpy()).all() and (sheet[4] == 255).all()


def test_commands_say_in_one_line_what_is_wrong(tmp_path, monkeypatch):
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
        (["restore", "--match", "some"], "expected none, mmd, adversarial"),
        (["restore", "--output", str(there)], "exists already"),
        (["references", "--output", str(there)], "exists already"),
        (["bandwidth", "--output", str(there)], "exists already"),
        (["sweep", "--model", "ae"], "expected models with a match"),
    ):
        result = CliRunner().invoke(app, ["baseline", *words])
        assert result.exit_code == 2, result.output
        assert message in result.stderr and result.stderr.count("\n") == 1
