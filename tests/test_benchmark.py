"""The benchmark: the files of a run, continuing an interrupted run, and the tables."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from test_cli import make_weights, run

from cryowae.benchmark.cases import make_case, specifications, write_inputs
from cryowae.benchmark.methods import apply_method
from cryowae.benchmark.score_files import Result, markdown_tables, write_tables
from cryowae.benchmark.suite_run import run_suite
from cryowae.config import MethodConfig, SuiteConfig, load_suite
from cryowae.config.suite import FLOOR
from cryowae.errors import ConfigError, OutputError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.mrc import write_mrc
from cryowae.metrics import ncc
from cryowae.progress import Progress

SCENE = {
    "name": "tiny",
    "shape": [32, 64, 64],
    "snrs": [0.5],
    "molecules": {"procedural": 2, "occupancy": 0.05},
    "imaging": {"tilts": [-60, 60, 6]},
}


def suite(**changes: object) -> SuiteConfig:
    values = {"name": "tiny", "methods": ["input", "gaussian", "wiener"], "scenes": [SCENE], "seeds": [1], "crop": 4}
    return SuiteConfig.model_validate(values | changes)


class Stop(Progress):
    """Interrupts after some results."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def case():
    return make_case(specifications(suite())[0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that was interrupted after two results and then continued."""
    folder = tmp_path_factory.mktemp("benchmark")
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite(), folder, progress=Stop(2))
    assert run_suite(suite(), folder).fresh == 2
    return folder


def table_of(folder: Path, name: str = "table.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


def test_a_run_writes_tables_and_pictures(finished):
    names = {p.name for p in finished.iterdir()}
    assert names == {
        "table.md",
        "table.csv",
        "curves.csv",
        "fsc_tiny_snr0.5.png",
        "sheet_tiny_snr0.5.png",
        "results",
        "volumes",
    }
    rows = table_of(finished)
    assert [row["method"] for row in rows] == [FLOOR, "input", "gaussian", "wiener"]
    assert all(0 < float(row["ncc"]) < 1 for row in rows)
    curves = table_of(finished, "curves.csv")
    assert {row["method"] for row in curves} == {row["method"] for row in rows}
    assert all(-1 <= float(row["fsc_obs"]) <= 1 for row in curves if row["fsc_obs"] not in ("", "nan"))


def test_existing_results_are_kept_and_changed_ones_are_computed_again(finished):
    assert run_suite(suite(), finished).fresh == 0
    assert run_suite(suite(methods=["input", "gaussian", "wiener", "tv"]), finished).fresh == 1
    assert run_suite(suite(crop=6), finished).fresh == 4
    assert run_suite(suite(), finished).fresh == 4


def test_another_signal_to_noise_ratio_adds_only_its_own_results(tmp_path):
    run_suite(suite(methods=["input"]), tmp_path)
    assert run_suite(suite(methods=["input"], scenes=[SCENE | {"snrs": [0.5, 0.2]}]), tmp_path).fresh == 2


def test_another_version_computes_its_results_again(tmp_path, monkeypatch):
    run_suite(suite(methods=["input"]), tmp_path)
    monkeypatch.setattr("cryowae.benchmark.cases.__version__", "99.0")
    assert run_suite(suite(methods=["input"]), tmp_path).fresh == 2


def test_volumes_of_the_first_seed_exist_after_every_run(tmp_path):
    run_suite(suite(methods=["input"], seeds=[1, 2]), tmp_path)
    assert run_suite(suite(methods=["input"], seeds=[2, 1]), tmp_path).fresh == 2
    (path,) = tmp_path.glob("volumes/*seed2/input.mrc")
    path.unlink()
    assert run_suite(suite(methods=["input"], seeds=[2, 1]), tmp_path).fresh == 1


def test_a_damaged_result_is_computed_again(tmp_path):
    run_suite(suite(methods=["input"]), tmp_path)
    (path,) = tmp_path.glob("results/*/input.json")
    path.write_text(path.read_text()[:-30])
    assert run_suite(suite(methods=["input"]), tmp_path).fresh == 1


def test_scores_agree_with_the_volumes_on_disk(finished):
    folder = next((finished / "volumes").iterdir())
    with mrcfile.open(folder / "ground truth.mrc") as file:
        truth = file.data.astype(np.float64)[4:-4, 4:-4, 4:-4]
    for row in table_of(finished):
        with mrcfile.open(folder / f"{row['method']}.mrc") as file:
            volume = file.data.astype(np.float64)[4:-4, 4:-4, 4:-4]
        assert float(row["ncc"]) == pytest.approx(np.corrcoef(truth.ravel(), volume.ravel())[0, 1], abs=2e-3)


def test_the_same_suite_gives_the_same_figures(finished, tmp_path):
    run_suite(suite(), tmp_path)
    first, second = table_of(finished), table_of(tmp_path)
    drop = {"seconds"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in first if row["method"] != "tv"] == [
        {k: v for k, v in row.items() if k not in drop} for row in second
    ]


@pytest.mark.parametrize("name", ["gaussian", "wiener", "tv", "nlm"])
def test_filters_score_higher_than_the_input(case, name):
    restored, twin = apply_method(MethodConfig(name=name), case)
    assert ncc(case.truth, restored) > ncc(case.truth, case.tomogram)
    assert restored.dtype == np.float32 and twin is not None and twin.shape == case.truth.shape


def test_wiener_is_the_best_filter_of_shells(case):
    """Any other gain per shell correlates less with the truth."""
    best = ncc(case.truth, apply_method(MethodConfig(name="wiener"), case)[0])
    mask = case.wedge.mask(case.truth.shape).numpy() > 0.5
    k = [np.fft.fftfreq(n) for n in case.truth.shape[:2]] + [np.fft.rfftfreq(case.truth.shape[2])]
    distance = np.sqrt(sum(q**2 for q in np.meshgrid(*k, indexing="ij")))
    spectrum = np.fft.rfftn(case.tomogram) * mask
    for falloff in (0.03, 0.06, 0.1, 0.2):
        other = np.fft.irfftn(spectrum * np.exp(-((distance / falloff) ** 2)), case.truth.shape, (0, 1, 2))
        assert ncc(case.truth, other) < best + 1e-3


def test_the_twin_is_the_noise_of_the_tomogram(case):
    torch.testing.assert_close(
        torch.from_numpy(case.tomogram - case.twin), case.seen.signal, atol=1e-4 * float(case.seen.signal.std()), rtol=0
    )


def test_noise_power_follows_from_the_signal_to_noise_ratio(case):
    noise = torch.from_numpy(case.twin).std()
    other = make_case(specifications(suite(scenes=[SCENE | {"snrs": [0.125]}]))[0])
    assert float(torch.from_numpy(other.twin).std() / noise) == pytest.approx(2.0, rel=1e-3)
    assert np.array_equal(other.truth, case.truth)


def test_fast_is_an_error_for_methods_without_weights():
    assert MethodConfig(name="mine", checkpoint="mine.safetensors", fast=True).fast
    for values in ({"name": "wiener"}, {"external": {"name": "other", "path": "folder"}}):
        with pytest.raises(ValueError, match="expected it only for weights"):
            MethodConfig.model_validate({**values, "fast": True})


def test_weights_are_identified_by_their_content(tmp_path):
    weights = make_weights(tmp_path)
    chosen = suite(methods=["input", {"name": "mine", "checkpoint": str(weights)}])
    result = run_suite(chosen, tmp_path / "out", device="cpu")
    assert {row["method"] for row in table_of(tmp_path / "out")} == {FLOOR, "input", "mine"}
    assert "| mine |" in result.text
    weights.touch()
    assert run_suite(chosen, tmp_path / "out", device="cpu").fresh == 0
    moved = suite(
        methods=["input", {"name": "mine", "checkpoint": str(weights.rename(tmp_path / "moved.safetensors"))}]
    )
    assert run_suite(moved, tmp_path / "out", device="cpu").fresh == 0
    tensors, metadata = read_checkpoint(tmp_path / "moved.safetensors")
    write_checkpoint(weights, {name: 2 * values for name, values in tensors.items()}, metadata)
    assert run_suite(chosen, tmp_path / "out", device="cpu").fresh == 1


def test_volumes_of_another_tool_are_scored_like_our_own(tmp_path):
    inputs, answers = tmp_path / "inputs", tmp_path / "answers"
    written = write_inputs(suite(), inputs)
    stem = written[0].stem
    assert {p.name for p in inputs.iterdir()} == {
        f"{stem}{end}" for end in (".mrc", "_half1.mrc", "_half2.mrc", "_noise.mrc", ".tlt")
    }
    answers.mkdir()
    with mrcfile.open(inputs / f"{stem}.mrc") as file:  # a tool that returns its input
        write_mrc(answers / f"{stem}.mrc", 3 * file.data + 5, voxel_size=10.0)
    chosen = suite(methods=["input", {"external": {"name": "Other", "path": str(answers)}}])
    run_suite(chosen, tmp_path / "out")
    _, mine, other = table_of(tmp_path / "out")
    assert other["method"] == "Other" and other["blobs"] == ""
    for name in ("ncc", "ncc_mw", "fsc_obs", "psnr"):
        assert float(other[name]) == pytest.approx(float(mine[name]), abs=1e-3)
    assert run_suite(chosen, tmp_path / "out").fresh == 0
    with mrcfile.open(inputs / f"{stem}_noise.mrc") as file:
        write_mrc(answers / f"{stem}_noise.mrc", 3e5 * file.data, voxel_size=10.0)
    with mrcfile.open(inputs / f"{stem}.mrc") as file:  # a scale beyond the range of 16 bits
        write_mrc(answers / f"{stem}.mrc", 3e5 * file.data, voxel_size=10.0, overwrite=True)
    run_suite(chosen, tmp_path / "out")
    _, mine, other = table_of(tmp_path / "out")
    for name in ("ncc", "blobs", "blob_voxels", "noise_ratio"):
        assert float(other[name]) == pytest.approx(float(mine[name]), rel=1e-3)
    (answers / f"{stem}_noise.mrc").unlink()
    assert run_suite(chosen, tmp_path / "out").fresh == 1
    (answers / f"{stem}.mrc").unlink()
    with pytest.raises(ConfigError, match="inputs-only"):
        run_suite(chosen, tmp_path / "again")


def test_inputs_of_another_suite_are_an_error_and_not_overwritten(tmp_path):
    (path,) = write_inputs(suite(), tmp_path)
    before = path.read_bytes()
    (stamp,) = {path.stat().st_mtime_ns}
    write_inputs(suite(), tmp_path)
    assert path.stat().st_mtime_ns == stamp
    with pytest.raises(OutputError, match="another folder"):
        write_inputs(suite(scenes=[SCENE | {"imaging": {"tilts": [-40, 40, 8]}}]), tmp_path)
    assert path.read_bytes() == before


def test_halves_of_the_inputs_average_to_the_tomogram(tmp_path):
    (path,) = write_inputs(suite(), tmp_path)
    volumes = [mrcfile.read(path.with_name(f"{path.stem}{end}.mrc")) for end in ("", "_half1", "_half2")]
    np.testing.assert_allclose((volumes[1] + volumes[2]) / 2, volumes[0], atol=1e-4 * volumes[0].std())


def result_of(method: str, seed: int, **scores: float) -> Result:
    return Result("scene", 0.5, seed, method, 1.0, scores, {})


def test_the_best_method_is_bold_but_never_the_floor():
    text = markdown_tables(
        [
            result_of(FLOOR, 1, ncc=0.99, elongation=1.0),
            result_of("low", 1, ncc=0.5, elongation=3.0, noise_ratio=0.1),
            result_of("high", 1, ncc=0.7, elongation=0.8, noise_ratio=0.4),
            result_of("low", 2, ncc=0.6, elongation=3.0, noise_ratio=0.1),
            result_of("high", 2, ncc=0.9, elongation=0.8, noise_ratio=0.4),
        ]
    )
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert re.search(r"\*\*.800\*\* ± .141", rows["high"]) and "**.80**" in rows["high"] and "**.100**" in rows["low"]
    assert "**" not in rows[FLOOR] and rows["low"].count("**") == 2
    assert "(2 seeds)" in text


def test_a_correlation_that_noise_can_have_is_not_the_best():
    text = markdown_tables([result_of(m, 1, ncc=0.5 + v, fsc_mw=v) for m, v in (("a", 0.02), ("b", 0.01))])
    assert text.count("**") == 4 and "**.520**" in text and ".020" in text  # the heading, and the NCC


def test_tables_have_a_heading_and_empty_cells_where_there_are_no_figures(tmp_path):
    files = [tmp_path / name for name in ("table.md", "table.csv", "curves.csv")]
    write_tables(files, "text", [result_of("a", 1, ncc=0.5), result_of("b", 1, ncc=0.123456, psnr=20.0)])
    assert files[0].read_text() == "text"
    lines = files[1].read_text().splitlines()
    assert lines == [
        "scene,snr,seed,method,seconds,ncc,psnr",
        "scene,0.5,1,a,1.00,0.5,",
        "scene,0.5,1,b,1.00,0.12346,20",
    ]
    assert files[2].read_text() == "scene,snr,seed,method\n"


def test_negative_and_large_figures_keep_their_digits():
    text = markdown_tables(
        [result_of("a", 1, ncc=-0.25, psnr=21.04, elongation=1.5, blobs=0.0, fsc_mw=-0.0004, ssim=0.9996)]
    )
    assert "| -.250 | .000 | 21.0 | 1.000 | 1.50 | 0.0 |" in text  # one method alone has no best figure


def test_a_mean_over_fewer_seeds_is_marked_and_never_the_best():
    """Methods must be compared over the same seeds: a missing seed may be the hardest one."""
    text = markdown_tables(
        [
            result_of("some", 1, elongation=1.0),
            result_of("some", 2, ncc=0.1),
            result_of("all", 1, elongation=2.0, ncc=0.2),
            result_of("all", 2, elongation=3.0, ncc=0.2),
        ]
    )
    assert "1.00 (1 seed)" in text and "**2.50** ± .71" in text and "**.200**" in text


@pytest.mark.parametrize("name", ["quick", "standard", "stress"])
def test_shipped_suites_are_valid(name):
    chosen = load_suite(name)
    titles = [method.title for method in chosen.methods]
    assert {"input", "cryowae"} <= set(titles) and all(m.weights in (None, "default") for m in chosen.methods)
    assert name == "standard" or not any(scene.molecules.library for scene in chosen.scenes)
    assert ("nlm" in titles) == (name == "standard")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nonsense"], "quick, samples, standard, stress"),
        (["run", "quick", "--set", "seeds=[]"], "seeds"),
        (["run", "quick", "--checkpoint", "x"], "NAME=FILE"),
        (["run", "quick", "--checkpoint", "input=x.safetensors"], "input twice"),
        (["run", "quick", "--external", "tool=/nowhere", "--set", "methods=[input]"], "/nowhere"),
        (["run", "quick", "--set", "methods=[nothing-like-it]"], "nothing-like-it"),
        (["run", "quick", "--set", "seeds=[1, 1]"], "twice"),
        (["run", "quick", "--set", "seeds=[-1]"], "seeds.0: input should be greater than or equal to 0"),
        (["run", "quick", "--set", "methods=[]"], "no methods"),
        (["run", "quick", "--set", "methods=[empty wedge]"], "empty wedge"),
        (["run", "quick", "--set", "methods=[{name: ground truth, checkpoint: default}]"], "ground truth"),
        (["run", "quick", "--set", "methods=[{name: a/b, checkpoint: default}]"], "a/b"),
        (["run", "quick", "--set", "scenes=[{shape: [16, 32, 32], snrs: [-1]}]"], "snrs.0"),
        (["run", "quick", "--set", "scenes=[{shape: [16, 32, 32], snrs: [0.5, 0.5]}]"], "twice"),
        (["run", "quick", "--set", "scenes=[{name: ../up, shape: [16, 32, 32]}]"], "../up"),
        (["run", "quick", "--set", "scenes=[{shape: [16, 32, 32], imaging: {tilts: [60, -60, 3]}}]"], "tilts"),
        (["run", "quick", "--set", "scenes=[{shape: [16, 32, 32], molecules: {library: [/no.mrc]}}]"], "/no.mrc"),
        (["run", "quick", "--set", "scenes=[{shape: [16, 32, 32], beads: 1, molecules: {procedural: 0}}]"], "is empty"),
        (["run", "quick", "--set", "crop=5"], "at least 17"),
        (["run", "quick", "--set", "crop=5", "--inputs-only"], "at least 17"),
        (["score", "truth.mrc", "a=b.mrc", "--output", "o"], "--tilt-range"),
        (["score", "truth.mrc", "ground truth=b.mrc", "--output", "o", "--tilt-range", "-60", "60"], "ground truth"),
        (["score", "truth.mrc", "b.mrc", "--output", "o", "--tilt-range", "-60", "60"], "NAME=FILE"),
        (
            ["score", "truth.mrc", "a=b.mrc", "a=c.mrc", "--output", "o", "--tilt-range", "-60", "60"],
            "names that differ",
        ),
        (["score", "truth.mrc", "a=b.mrc", "--output", "o", "--tilt-range", "-60", "60"], "truth.mrc does not exist"),
        (["speed", "--size", "big"], "256 or 128,512,512"),
    ],
)
def test_user_errors_are_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "scenes=[{shape: [16, 32, 32], molecules: {procedural: 1}}]", "--set", "crop=2"]
    result = run("benchmark", *words[:2], *(small if words[:2] == ["run", "quick"] else []), *words[2:])
    assert result.exit_code == 2, result.output
    assert said in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def volumes(tmp_path, case) -> Path:
    write_mrc(tmp_path / "truth.mrc", -case.truth, voxel_size=10.0)
    write_mrc(tmp_path / "noisy.mrc", -case.tomogram, voxel_size=10.0)
    write_mrc(tmp_path / "scaled.mrc", 40 - 7 * case.tomogram, voxel_size=10.0)
    (tmp_path / "t.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return tmp_path


def test_score_writes_tables_and_pictures(volumes, case):
    words = [
        "benchmark",
        "score",
        volumes / "truth.mrc",
        f"noisy={volumes / 'noisy.mrc'}",
        f"scaled={volumes / 'scaled.mrc'}",
    ]
    words += ["--crop", "4", "--output", volumes / "out"]
    result = run(*words, "--tilt-range", "-60", "60")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (volumes / "out").iterdir()} == {
        "scores.csv",
        "scores.md",
        "curves.csv",
        "fsc.png",
        "slices.png",
    }
    assert "noise" not in (volumes / "out" / "scores.md").read_text().replace("noisy", "")
    rows = table_of(volumes / "out", "scores.csv")
    assert list(rows[0])[:2] == ["method", "ncc"]
    assert [row["method"] for row in rows] == [FLOOR, "noisy", "scaled"]
    inner = (slice(4, -4),) * 3
    expected = np.corrcoef(case.truth[inner].ravel(), case.tomogram[inner].ravel())[0, 1]
    assert float(rows[1]["ncc"]) == pytest.approx(expected, abs=1e-4)
    assert float(rows[2]["ncc"]) == pytest.approx(expected, abs=1e-4)
    refused = run(*words, "--tilts", volumes / "t.tlt")
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    assert run(*words, "--tilts", volumes / "t.tlt", "--overwrite").exit_code == 0
    assert table_of(volumes / "out", "scores.csv") == rows


def test_score_refuses_another_shape(volumes):
    write_mrc(volumes / "small.mrc", np.ones((8, 8, 8), np.float32), voxel_size=10.0)
    words = ("benchmark", "score", volumes / "truth.mrc", f"small={volumes / 'small.mrc'}", "--output", volumes / "out")
    result = run(*words, "--tilt-range", "-60", "60")
    assert result.exit_code == 2 and "(8, 8, 8)" in result.stderr
    assert not (volumes / "out").exists()


def test_score_errors_name_the_file_or_the_crop(volumes, case):
    broken = -case.truth
    broken[5, 5, 5] = np.nan
    with mrcfile.new(volumes / "broken.mrc", data=broken) as file:
        file.voxel_size = 10.0
    words = ["benchmark", "score", volumes / "truth.mrc", f"b={volumes / 'broken.mrc'}", "--output", volumes / "out"]
    result = run(*words, "--tilt-range", "-60", "60", "--crop", "4")
    assert result.exit_code == 2 and "broken.mrc" in result.stderr and "NaN" in result.stderr
    result = run(*words, "--tilt-range", "-60", "60", "--crop", "13")
    assert result.exit_code == 2 and "--crop" in result.stderr
