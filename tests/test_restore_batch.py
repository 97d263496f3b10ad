"""Batches: names that collide, results that exist, pictures that are lost, and outputs that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from test_cli import make_weights, run, save
from test_restore import Blur, read, tomogram_like

from cryowae.config.options import RestoreOptions
from cryowae.errors import OutputError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.restore import restore_tomogram


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


def restore(weights: Path, *words: object):
    return run("restore", *words, "--model", weights, "--fast")


def one_line(result, *parts: str) -> bool:
    return result.stderr.count("\n") == 1 and all(part in result.stderr for part in parts)


def listing(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--skip-existing",), ("--output", "@out")])
def test_two_tomograms_of_one_name_are_refused_before_the_work(tmp_path, weights, more):
    first = save(tmp_path, "TS_1")
    second = first.rename(tmp_path / "TS_1.rec")
    save(tmp_path, "TS_1")
    before = listing(tmp_path)
    words = [word.replace("@", f"{tmp_path}/") for word in more]
    result = restore(weights, first, second, *words)
    assert result.exit_code == 2 and one_line(result, "TS_1.mrc and of", "TS_1.rec", "TS_1_restored.mrc")
    assert listing(tmp_path) == before


def test_collisions_of_all_kinds_are_refused(tmp_path, weights):
    (tmp_path / "link").symlink_to(tmp_path)
    path, other = save(tmp_path, "a"), save(tmp_path, "a_restored_inferred")
    (tmp_path / "a.tlt").rename(tmp_path / "x.tlt")
    tilts = ("--tilt-range", -60, 60)
    assert restore(weights, path, path, *tilts).exit_code == 2
    assert restore(weights, path, tmp_path / "link" / "a.mrc", *tilts).exit_code == 2
    result = restore(weights, path, other, "--write-inferred", "--overwrite", *tilts)
    assert result.exit_code == 2 and one_line(result, "is an input of the batch", "a_restored_inferred.mrc")


def test_a_name_of_a_file_is_no_folder_for_several(tmp_path, weights):
    result = restore(weights, save(tmp_path, "a"), save(tmp_path, "b"), "--output", tmp_path / "new" / "a.mrc")
    assert result.exit_code == 2 and one_line(result, "expected a folder") and not (tmp_path / "new").exists()


def test_the_folder_of_an_output_is_made_when_it_is_needed(tmp_path, weights):
    path, target = save(tmp_path), tmp_path / "new" / "deep" / "a.mrc"
    assert restore(weights, path, "--output", target, "--tilt-range", 60, -60).exit_code == 2
    assert not (tmp_path / "new").exists()
    assert restore(weights, path, "--output", target).exit_code == 0
    assert listing(target.parent) == ["a.mrc", "a.png"]


@pytest.mark.parametrize("output", [(), ("--output", "@out")])
def test_a_folder_is_gone_on_with(tmp_path, weights, output):
    words = [word.replace("@", f"{tmp_path}/") for word in output]
    folder = tmp_path / "out" if output else tmp_path
    for name in ("a", "b"):
        save(tmp_path, name)
    assert restore(weights, *tmp_path.glob("*.mrc"), *words).exit_code == 0
    (folder / "b_restored.mrc").unlink()  # its picture is still there
    kept = (folder / "a_restored.mrc").stat().st_mtime_ns
    result = restore(weights, *sorted(tmp_path.glob("*.mrc")), *words, "--skip-existing")
    assert result.exit_code == 0, result.stderr
    assert "a_restored.mrc exists already" in result.stdout
    assert (folder / "b_restored.mrc").is_file() and (folder / "a_restored.mrc").stat().st_mtime_ns == kept
    again = restore(weights, *tmp_path.glob("*.mrc"), *words, "--skip-existing")
    assert again.exit_code == 0 and again.stdout.count("skipped") == len(list(tmp_path.glob("*.mrc")))
    assert not list(tmp_path.rglob("*restored_restored*"))


def test_an_incomplete_result_is_not_skipped(tmp_path, weights):
    path = save(tmp_path)
    assert restore(weights, path).exit_code == 0
    result = restore(weights, path, "--skip-existing", "--write-inferred")
    assert result.exit_code == 2 and one_line(result, "exists already")
    assert restore(weights, path, "--skip-existing", "--overwrite").exit_code == 2


def test_results_are_restored_by_force_only(tmp_path, weights):
    assert restore(weights, save(tmp_path)).exit_code == 0
    result = tmp_path / "tomo_restored.mrc"
    refused = restore(weights, result)
    assert refused.exit_code == 2 and one_line(refused, "restored already, by tiny", "--force")
    forced = restore(weights, result, "--force", "--contrast", "dark")
    assert forced.exit_code == 0 and "note: " in forced.stderr and "restored already" in forced.stderr


def test_the_label_of_a_result_is_kept_among_ten_others(tmp_path, weights):
    path = save(tmp_path)
    with mrcfile.open(path, "r+") as file:
        while file.header.nlabl < 10:
            file.add_label("another")
    assert restore(weights, path).exit_code == 0
    assert read_mrc(tmp_path / "tomo_restored.mrc").header.restored_by == "tiny"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OutputError("the disk is full")])
def test_a_picture_that_cannot_be_written_is_a_note(tmp_path, weights, monkeypatch, error):
    import cryowae.restore.tomograms

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(cryowae.restore.tomograms, "draw_restoration", fail)
    result = restore(weights, save(tmp_path))
    assert result.exit_code == 0 and one_line(result, "tomo_restored.mrc is complete", "picture is missing")
    assert "tomo_restored.png" not in result.stdout and (tmp_path / "tomo_restored.mrc").is_file()


def test_what_was_written_before_an_error_is_said(tmp_path, weights, monkeypatch):
    import cryowae.restore.tomograms

    def fail(*_, **__):
        raise OutputError("the disk is full")

    monkeypatch.setattr(cryowae.restore.tomograms, "write_inferred", fail)
    result = restore(weights, save(tmp_path), "--write-inferred")
    assert result.exit_code == 2 and one_line(result, "the disk is full; complete: ", "tomo_restored.mrc")


def test_the_space_is_looked_at_before_the_tomogram_is_read(tmp_path, monkeypatch):
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6, 10**4))
    path = save(tmp_path)
    with mrcfile.open(path, "r+") as file:
        file.data[:] = 0  # would be refused, if it was read
    with pytest.raises(OutputError, match="too full"):
        restore_tomogram(path, model=Blur())
    assert listing(tmp_path) == ["tomo.mrc", "tomo.tlt"]


@pytest.mark.parametrize(
    ("mean", "sigma", "spoiled"),
    [
        *((0, 1, False), (128, 25, False), (-3000, 300, False), (1e-3, 1e-3, False)),
        *((32768, 60, True), (-40000, 200, True), (0, 1e-7, True), (1e-5, 1e-6, True)),
        *((0, 1e5, True), (65000, 3000, True), (1000, 5, True)),
    ],
)
def test_float16_is_refused_where_it_would_spoil_the_values(tmp_path, mean, sigma, spoiled):
    volume = tomogram_like(mean=mean, sigma=sigma)
    write_mrc(tmp_path / "tomo.mrc", volume, voxel_size=10.0)
    (tmp_path / "tomo.tlt").write_text("-60\n0\n60\n")
    options, model = RestoreOptions(float16=True, report=False, fast=True), Blur()
    if spoiled:
        with pytest.raises(OutputError, match="leave out --float16"):
            restore_tomogram(tmp_path / "tomo.mrc", model=model, options=options)
        assert listing(tmp_path) == ["tomo.mrc", "tomo.tlt"] and model.seen == []
        return
    half = read(restore_tomogram(tmp_path / "tomo.mrc", model=model, options=options).path)
    options = RestoreOptions(report=False, overwrite=True, fast=True)
    whole = read(restore_tomogram(tmp_path / "tomo.mrc", model=model, options=options).path)
    assert np.abs(half.astype(np.float64) - whole).std() < 0.02 * whole.std()
