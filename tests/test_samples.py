"""Samples of a tomogram: files, moments, interrupts, and options that do not fit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from interrupting import Interrupt
from random_codes import random_weights

from cryowae.benchmark.suite_run import run_suite
from cryowae.config import SuiteConfig
from cryowae.config.options import RestoreOptions
from cryowae.errors import CheckpointError, ConfigError, OutputError
from cryowae.io.mrc import write_mrc
from cryowae.restore import restore_tomogram
from cryowae.restore.moments import Moments
from cryowae.tomogram import open_tomogram

SHAPE = (16, 24, 32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights") / "random.safetensors")


@pytest.fixture
def tomogram(tmp_path) -> Path:
    volume = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    write_mrc(tmp_path / "tomo.mrc", 5 - volume, voxel_size=10.0)
    (tmp_path / "tomo.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return tmp_path / "tomo.mrc"


def restore(tomogram: Path, weights: Path, output: str = "out.mrc", progress=None, **options):
    chosen = RestoreOptions(report=False, device="cpu", **options)
    more = {} if progress is None else {"progress": progress}
    return restore_tomogram(
        tomogram, tomogram.with_name(output), model=weights, contrast="dark", options=chosen, **more
    )


def read(path: Path) -> np.ndarray:
    return np.array(mrcfile.read(path), np.float64)


def test_mean_and_deviation_are_those_of_the_samples(tomogram, weights):
    result = restore(tomogram, weights, samples=3, write_samples=True)
    names = ["out_std.mrc", "out_sample1.mrc", "out_sample2.mrc", "out_sample3.mrc"]
    assert [path.name for path in result.samples] == names
    assert sorted(os.listdir(tomogram.parent)) == sorted(["tomo.mrc", "tomo.tlt", "out.mrc", *names])
    single = np.stack([read(path) for path in result.samples[1:]])
    assert np.allclose(read(result.path), single.mean(0), atol=1e-5)
    assert np.allclose(read(result.samples[0]), single.std(0, ddof=1), atol=1e-5)
    assert single.std(0).mean() > 0.01
    for path in (result.path, *result.samples):
        with mrcfile.open(path) as file:
            assert file.voxel_size.x == 10
    assert result.network_voxels_per_voxel == 3


def test_a_picture_shows_mean_sample_and_deviation(tomogram, weights):
    options = RestoreOptions(device="cpu", samples=2)
    result = restore_tomogram(tomogram, model=weights, contrast="dark", options=options)
    assert [path.name for path in result.pictures] == ["tomo_restored.png", "tomo_restored_samples.png"]
    assert result.pictures[1].stat().st_size > 10_000


def test_a_picture_that_cannot_be_drawn_loses_no_sample(tomogram, weights, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is too full")

    monkeypatch.setattr("cryowae.restore.sample_files.draw_samples", full)
    options = RestoreOptions(device="cpu", samples=2, write_samples=True)
    result = restore_tomogram(tomogram, model=weights, contrast="dark", options=options)
    assert all(path.is_file() for path in (result.path, *result.samples)) and len(result.samples) == 3
    assert [path.name for path in result.pictures] == ["tomo_restored.png"]
    assert any("picture of its samples is missing" in note for note in result.notes)


def test_a_sample_as_the_main_result_is_the_first_one(tomogram, weights):
    one = restore(tomogram, weights, estimate="sample", seed=4)
    assert [path.name for path in tomogram.parent.iterdir() if "_s" in path.name] == [] and one.samples == ()
    several = restore(tomogram, weights, "b.mrc", estimate="sample", seed=4, samples=2, write_samples=True)
    assert np.array_equal(read(one.path), read(several.path))
    assert np.array_equal(read(one.path), read(several.samples[1]))


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_run_goes_on_with_the_next_sample(tomogram, weights, after, monkeypatch):
    whole = restore(tomogram, weights, samples=3, write_samples=True)
    with pytest.raises(KeyboardInterrupt):
        restore(tomogram, weights, "b.mrc", Interrupt(after), samples=3, write_samples=True)
    assert not [path for path in tomogram.parent.iterdir() if path.name.startswith("b")]
    counted = Interrupt(0)
    result = restore(tomogram, weights, "b.mrc", counted, samples=3, write_samples=True)
    assert len(counted.ahead) == 3 - (after - 1)
    for first, second in zip([whole.path, *whole.samples], [result.path, *result.samples], strict=True):
        assert np.array_equal(read(first), read(second))
    assert not [path for path in tomogram.parent.iterdir() if path.name.startswith(".")]


def test_samples_of_other_options_are_not_continued(tomogram, weights):
    with pytest.raises(KeyboardInterrupt):
        restore(tomogram, weights, progress=Interrupt(3), samples=3)
    counted = Interrupt(0)
    restore(tomogram, weights, progress=counted, samples=3, seed=1)
    assert len(counted.ahead) == 3


@pytest.mark.parametrize("path", ["tomo.mrc", "in memory"])
@pytest.mark.parametrize(("change", "left"), [(0, 1), (1, 3)])
def test_volumes_in_memory_are_continued_if_their_values_are_the_same(tomogram, weights, path, change, left):
    """Also a volume that is no longer that of its file."""
    opened = open_tomogram(tomogram)
    values = np.array(opened.data)
    source = replace(opened, data=values, path=tomogram.with_name(path))
    counted, options = Interrupt(0), RestoreOptions(report=False, device="cpu", samples=3)
    for progress in (Interrupt(3), counted):
        how = {"model": weights, "contrast": "dark", "options": options, "progress": progress}
        if progress is counted:
            values[3, 4, 5] += change
            restore_tomogram(source, tomogram.with_name("out.mrc"), **how)
        else:
            with pytest.raises(KeyboardInterrupt):
                restore_tomogram(source, tomogram.with_name("out.mrc"), **how)
    assert len(counted.ahead) == left


def test_a_full_disk_in_the_middle_loses_nothing(tomogram, weights, monkeypatch):
    import cryowae.restore.moments as moments

    restore(tomogram, weights, samples=2)
    before = read(tomogram.with_name("out.mrc"))

    def full(*_: object) -> None:
        raise OutputError("the disk is too full")

    monkeypatch.setattr(moments, "write_text", full)
    with pytest.raises(OutputError):
        restore(tomogram, weights, samples=3, overwrite=True)
    assert np.array_equal(read(tomogram.with_name("out.mrc")), before)


def test_moments_survive_an_interrupt_inside_an_update(tmp_path):
    volumes = np.random.default_rng(1).normal(3, 2, (4, 6, 5, 4)).astype(np.float32)
    stored = Moments((6, 5, 4), tmp_path / "m", {"a": 1})
    for volume in volumes[:2]:
        stored.add(volume)

    class Broken:
        shape = (6, 5, 4)

        def __getitem__(self, key: object) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored.add(Broken())
    again = Moments((6, 5, 4), tmp_path / "m", {"a": 1})
    assert again.count == 2
    for volume in volumes[2:]:
        again.add(volume)
    assert np.allclose(again.mean(slice(None)), volumes.mean(0), atol=1e-5)
    assert np.allclose(again.deviation(slice(None)), volumes.std(0, ddof=1), atol=1e-5)
    assert Moments((6, 5, 4), tmp_path / "m", {"a": 2}).count == 0
    again.remove()
    assert not (tmp_path / "m").exists()


def test_a_suite_scores_samples(tmp_path, weights):
    scene = {
        "name": "tiny",
        "shape": [32, 48, 48],
        "snrs": [0.5],
        "molecules": {"procedural": 2, "occupancy": 0.05},
        "imaging": {"tilts": [-60, 60, 6]},
    }
    method = {"name": "random", "checkpoint": str(weights), "samples": 3}
    values = {"name": "tiny", "methods": [method], "scenes": [scene], "seeds": [1], "crop": 4}
    result = run_suite(SuiteConfig.model_validate(values), tmp_path / "out", device="cpu")
    row = next(line for line in result.text.splitlines() if line.startswith("| random") or "| random |" in line)
    heading = next(line for line in result.text.splitlines() if "NCC" in line)
    for name in ("NCC of a sample", "coverage 90 % wedge", "CRPS", "gain of mean"):
        assert name in heading
    assert row.count("|") == heading.count("|")
    for wrong in ({"name": "gaussian", "samples": 4}, {**method, "samples": 1}):
        with pytest.raises(ValueError, match="expected 2 or more"):
            SuiteConfig.model_validate({**values, "methods": [wrong]})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 1, "write_std": True}, "--samples 2 or more"),
        ({"write_samples": True}, "give --samples"),
        ({"samples": -1}, "expected 0 to"),
        ({"samples": 2, "seed": 2**32}, "--seed 4294967296, expected 0 to 4294967295"),
        ({"estimate": "median"}, "--estimate median"),
    ],
)
def test_options_that_do_not_fit_are_one_line(options, words):
    with pytest.raises(ConfigError, match=words):
        RestoreOptions(**options)


def test_weights_without_random_codes_are_refused_before_anything_is_written(tomogram):
    with pytest.raises(CheckpointError, match="no random codes"):
        restore(tomogram, Path("cryowae-3"), samples=2)
    assert sorted(os.listdir(tomogram.parent)) == ["tomo.mrc", "tomo.tlt"]


def test_an_existing_deviation_is_not_overwritten(tomogram, weights):
    tomogram.with_name("out_std.mrc").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        restore(tomogram, weights, samples=2)
