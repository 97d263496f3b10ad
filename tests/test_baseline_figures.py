"""Figures of a baseline, and tables of them."""

from __future__ import annotations

import pytest
import torch
from baseline_parts import blobs, config
from torch.nn.functional import avg_pool2d, interpolate

from cryowae.baselines.comparison import collect, measure_references, write_table
from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.features import LeNetFeatures
from cryowae.baselines.model import Baseline
from cryowae.data.images import ImageSet
from cryowae.errors import ConfigError
from cryowae.objectives.mmd import block_kernel, mmd
from cryowae.train.state import Rows, read_rows


class Brightness:
    """Features: the mean brightness of the quarters of an image, from 0 to 1."""

    name = "brightness-0"

    def __call__(self, images):
        return avg_pool2d(images.float() / 255, 16).flatten(1)


class Kept(Brightness):
    """The same, with a cache."""

    def forget(self, images):
        pass


def tiles(count: int, low: int, high: int) -> ImageSet:
    """Images of 2 x 4 tiles, each with a constant grey between two values."""
    greys = torch.randint(low, high, (count, 1, 2, 4), generator=torch.Generator().manual_seed(low))
    return ImageSet("tiles", greys.repeat_interleave(16, 2).repeat_interleave(8, 3).to(torch.uint8))


def test_the_mixture_comes_from_training_images_and_other_figures_from_held_out_images():
    """Dark training images, bright held-out images, and a model whose code is the grey of each tile."""
    dark, bright = tiles(100, 0, 64), tiles(80, 192, 256)
    model = Baseline(config("ae"))
    model.encode = lambda images, _=None: avg_pool2d(images, (16, 8)).flatten(1)
    model.decode = lambda codes: interpolate(codes.view(-1, 1, 2, 4), (32, 32))
    found = Evaluation(dark, bright, extractors=[Brightness()])(model)
    assert found["mse"] == pytest.approx(0, abs=1e-9)
    assert found["brightness_fd_reconstruct"] == pytest.approx(0, abs=1e-6)
    assert found["brightness_fd_mixture"] == pytest.approx(4 * (192 / 255) ** 2, rel=0.05)  # dark, in four quarters
    greys = bright.images[:, 0, ::16, ::8].double() / 127.5 - 1
    power = sum(float(grey) ** 2 for grey in greys.flatten()) / 80  # of a code, not of one of its eight values
    assert found["power"] == pytest.approx(power, rel=1e-4)
    assert found["power_ratio"] == pytest.approx(power / 8, rel=1e-4)


def test_null_quantiles_are_those_of_matched_codes(monkeypatch):
    """The distance between two sets of prior samples is above `null95` in one case of twenty."""
    generator = torch.Generator().manual_seed(0)
    model = Baseline(config("ae"))
    model.encode = lambda images, _=None: torch.randn(len(images), 8, generator=generator)
    distances = iter([0.0, *(float(i) for i in torch.randperm(20, generator=generator))])
    monkeypatch.setattr("cryowae.baselines.evaluate.sliced_wasserstein", lambda *_: next(distances))
    found = Evaluation(tiles(100, 0, 256), tiles(100, 0, 256))(model)
    codes, own = torch.randn(300, 200, 1, 8, generator=generator), torch.arange(200) < 100
    draws = [float(mmd(block_kernel(both), own)) for both in codes]
    assert found["mmd_null95"] == pytest.approx(float(torch.tensor(draws).quantile(0.95)), rel=0.3)
    assert found["sliced"] == 0 and 18 <= found["sliced_null95"] < 19


def test_the_order_of_images_does_not_matter(monkeypatch):
    """Neighbours in MNIST are by one writer. Here the codes are sorted samples of the prior."""
    monkeypatch.setattr("cryowae.baselines.evaluate._CODES", 100)
    monkeypatch.setattr("cryowae.baselines.evaluate._ENOUGH", 100)
    written = torch.randint(0, 256, (600, 8), generator=torch.Generator().manual_seed(5))
    written[:, 0] = written[:, 0].sort().values
    images = written[:, 0].view(-1, 1, 1, 1).repeat(1, 1, 32, 32)  # from dark to bright, with the code in a corner
    images[:, 0, 0, :8] = written
    ordered, normal = ImageSet("ordered", images.to(torch.uint8)), torch.distributions.Normal(0, 1)
    model = Baseline(config("ae"))
    model.encode = lambda images, _=None: normal.icdf((images[:, 0, 0, :8] + 1 + 1 / 255) / (2 + 2 / 255))
    model.decode = lambda codes: (2 * normal.cdf(codes[:, :1, None, None]) - 1).expand(-1, 1, 32, 32)
    found = Evaluation(ordered, ordered, extractors=[Brightness()])(model)
    assert found["mmd"] < 2 * found["mmd_null95"]  # of the first 100: fourteen times
    assert found["brightness_fd_mixture"] < 0.01  # fitted to the first 100: .9
    few = Evaluation(ordered, ordered, final=[Kept()], few=50)
    assert few.distances({"reconstruct": ordered.images})["brightness_fd_reconstruct"] < 0.01


def test_a_row_keeps_figures_that_are_not_measured_again(tmp_path):
    Rows(tmp_path / "e.csv").write(9, {"mse": 2.0, "inception_fd_sample": 30.0})
    Rows(tmp_path / "e.csv", keep=9).write(9, {"mse": 1.0})
    assert read_rows(tmp_path / "e.csv") == [{"step": "9", "mse": "1", "inception_fd_sample": "30"}]


def test_evaluation_does_not_change_the_model_and_training_mode_gives_other_figures(lenet):
    digits = blobs(100)
    train, held = digits.halves()
    judge = Evaluation(train, held, extractors=[LeNetFeatures.read(lenet, "cpu")])
    model = Baseline(config("vae")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    figures = judge(model)
    assert model.training and all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    again = judge(model)
    assert figures == again
    # figures in evaluation mode do not depend on the statistics of the held-out images
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
    # no formula has a vertical bar, which would divide a cell
    assert len({line.count("|") for line in text.splitlines()}) == 1
    assert len(read_rows(tmp_path / "table.csv")) == 5
    other = tmp_path / "other"
    other.mkdir()
    Rows(other / "evaluation.csv").write(1, {"model": "vae", "lenet": "lenet-000000000000"})
    run = tmp_path / "other_kernel"
    run.mkdir()
    Rows(run / "evaluation.csv").write(9, {**row, "changed": "kernel=gaussian"})
    text = write_table(collect([tmp_path / "run0", tmp_path / "run1", run]), tmp_path / "table")
    assert "| 3.00 ± 1.41 |" in text and "| kernel=gaussian | 1 | 7.00 | 8.00 | 1.000 | 4.00 |" in text
    with pytest.raises(ConfigError, match="cannot be compared"):
        collect([tmp_path / "run0", other])


def run_folder(folder, name: str, **cells: object):
    """A run's folder with one row of figures."""
    (folder / name).mkdir()
    row = {"epoch": 10, "model": "vae", "seed": 0, "mse": 1.0, "inception": "inception-1"}
    Rows(folder / name / "evaluation.csv").write(9, {**row, **cells})
    return folder / name


def test_a_table_averages_over_seeds_of_the_same_settings(tmp_path):
    """A run of 100 epochs that was stopped at 10 has other rates than a run of 10. Old rows may lack `epochs`."""
    of_10, stopped = run_folder(tmp_path, "a", epochs=10), run_folder(tmp_path, "b", epochs=100, seed=1, mse=3.0)
    text = write_table(collect([of_10, stopped, run_folder(tmp_path, "old", seed=2)]), tmp_path / "v1.2")
    assert [path.name for path in sorted(tmp_path.glob("v1*"))] == ["v1.2.csv", "v1.2.md"]
    assert [line.split("|")[4:7] for line in text.splitlines()[2:]] == [
        [f" {epochs} ", " 1 ", f" {mse} "] for epochs, mse in (("10", "1.0000"), ("100", "3.0000"), ("", "1.0000"))
    ]
    again = run_folder(tmp_path, "again", epochs=10)
    for runs in ([of_10, again], [of_10, of_10 / "evaluation.csv"]):
        with pytest.raises(ConfigError, match="of the same settings and seed; give one of them"):
            collect(runs)
    assert "| 2 | 2.0000 ± 1.4142 |" in write_table(
        collect([of_10, run_folder(tmp_path, "c", epochs=10, seed=1, mse=3.0)]), tmp_path / "v1.md"
    )
    assert (tmp_path / "v1.csv").exists()


def test_figures_of_fewer_images_are_not_mixed_with_figures_of_all(tmp_path):
    runs = [
        run_folder(tmp_path, name, seed=seed, **cells)
        for seed, (name, cells) in enumerate(
            {"old": {}, "all": {"inception_images": "all"}, "few": {"inception_images": "4000"}}.items()
        )
    ]
    assert len(collect(runs[:2])) == 2
    with pytest.raises(ConfigError, match=r"inception-1 of 4000 images and under inception-1 of all images"):
        collect(runs)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00weights", b"step,epoch,match\n50,0.1,2\n", b"", None])
def test_files_that_are_no_table_of_figures(content, tmp_path):
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"no figures in .*log\.csv; expected the folder of a run"):
        collect([path])
