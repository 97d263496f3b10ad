"""Errors in the input: one clear line, exit code 2, no file left."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from test_cli import make_weights
from typer.testing import CliRunner

from cryowae.cli import app

Words = list[object]
SHAPE = (16, 24, 32)


def save(folder: Path, volume: np.ndarray | None = None, name: str = "tomo.mrc", voxel_size: object = 10.0) -> Path:
    if volume is None:
        volume = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    with mrcfile.new(folder / name) as file:
        file.set_data(volume)
        file.voxel_size = voxel_size
    (folder / "tomo.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return folder / name


def with_values(**places: float) -> Callable[[Path], Words]:
    def make(folder: Path) -> Words:
        volume = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
        volume.ravel()[list(range(5, 5 + len(places)))] = list(places.values())
        return [save(folder, volume)]

    return make


def bytes_of(content: bytes) -> Callable[[Path], Words]:
    def make(folder: Path) -> Words:
        path = save(folder)
        path.write_bytes(content)
        return [path]

    return make


def truncated(folder: Path) -> Words:
    path = save(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return [path]


def flat(folder: Path) -> Words:
    return [save(folder, np.ones((32, 32), dtype=np.float32))]


def complex_numbers(folder: Path) -> Words:
    return [save(folder, np.ones(SHAPE, dtype=np.complex64))]


def constant(folder: Path) -> Words:
    return [save(folder, np.full(SHAPE, 2, dtype=np.float32))]


def no_voxel_size(folder: Path) -> Words:
    return [save(folder, voxel_size=0)]


def anisotropic(folder: Path) -> Words:
    return [save(folder, voxel_size=(10, 10, 14))]


def far_voxel_size(folder: Path) -> Words:
    return [save(folder, voxel_size=1000), "--contrast", "dark"]


def tilts(text: str) -> Callable[[Path], Words]:
    def make(folder: Path) -> Words:
        path = save(folder)
        (folder / "tomo.tlt").write_text(text)
        return [path]

    return make


def no_tilts(folder: Path) -> Words:
    path = save(folder)
    (folder / "tomo.tlt").unlink()
    return [path]


def options(*words: object) -> Callable[[Path], Words]:
    def make(folder: Path) -> Words:
        return [save(folder), *(str(word).replace("@", f"{folder}/") for word in words)]

    return make


def halves_of_two_shapes(folder: Path) -> Words:
    small = save(folder, np.ones((8, 8, 8), "f4"), "b.mrc")
    return [save(folder), "--half1", save(folder, name="a.mrc"), "--half2", small]


def mask_of_another_shape(folder: Path) -> Words:
    return [save(folder), "--mask", save(folder, np.ones((8, 8, 8), "f4"), "mask.mrc")]


def existing_output(folder: Path) -> Words:
    (folder / "tomo_restored.mrc").write_text("mine")
    return [save(folder)]


def weights(content: bytes) -> Callable[[Path], Words]:
    def make(folder: Path) -> Words:
        (folder / "w.safetensors").write_bytes(content)
        return [save(folder), "--model", folder / "w.safetensors"]

    return make


def foreign_weights(folder: Path) -> Words:
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3, dtype=np.float32)}, folder / "w.safetensors")
    return [save(folder), "--model", folder / "w.safetensors"]


CASES: dict[str, tuple[Callable[[Path], Words], str]] = {
    "missing": (lambda folder: [folder / "none.mrc"], "does not exist"),
    "folder": (lambda folder: [folder], "folder"),
    "not an MRC": (bytes_of(b"hello, I am a text\n" * 200), "not an MRC"),
    "zero bytes": (bytes_of(b""), "zero bytes"),
    "truncated": (truncated, "truncated"),
    "2-D": (flat, "2-D"),
    "complex": (complex_numbers, "complex"),
    "NaN": (with_values(a=np.nan), "1 voxel of NaN or infinity, the first at (x, y, z) = (5, 0, 0)"),
    "infinite": (with_values(a=np.inf, b=-np.inf), "2 voxels of NaN or infinity"),
    "constant": (constant, "constant"),
    "voxel size 0": (no_voxel_size, "--voxel-size"),
    "anisotropic": (anisotropic, "anisotropic"),
    "voxel size unknown to the model": (far_voxel_size, "resampling by more than 2"),
    "negative voxel size": (options("--voxel-size", "-3"), "positive"),
    "no tilts": (no_tilts, "--tilt-range"),
    "tilt file of one line": (tilts("12\n"), "tomo.tlt"),
    "tilt file of words": (tilts("these are\nno angles\n"), "tomo.tlt"),
    "angles out of range": (tilts("-60\n0\n400\n"), "400"),
    "angles in the wrong order": (tilts("-60\n30\n-30\n60\n-20\n10\n"), "order"),
    "tilt range in the wrong order": (options("--tilt-range", "60", "-60"), "60"),
    "missing tilt file": (options("--tilts", "@none.tlt"), "none.tlt"),
    "halves of different shapes": (halves_of_two_shapes, "8 x 8 x 8"),
    "one half": (options("--half1", "@tomo.mrc"), "both"),
    "write halves without halves": (options("--write-halves"), "--half1"),
    "mask of another shape": (mask_of_another_shape, "8 x 8 x 8"),
    "missing mask": (options("--mask", "@none.mrc"), "none.mrc"),
    "existing output": (existing_output, "--overwrite"),
    "output that is no MRC": (options("--output", "@out.png"), ".mrc"),
    "output in a file": (options("--output", "@tomo.mrc/out.mrc"), "tomo.mrc"),
    "output over the input": (options("--output", "@tomo.mrc"), "exists"),
    "output over the input, overwriting": (options("--output", "@tomo.mrc", "--overwrite"), "is an input"),
    "missing weights": (options("--model", "nonsense"), "nonsense"),
    "empty weights": (weights(b""), "w.safetensors"),
    "damaged weights": (weights(struct.pack("<Q", 10**12) + b"{}"), "w.safetensors"),
    "pickled weights": (weights(b"\x80\x04\x95" + b"torch" * 50), "w.safetensors"),
    "foreign weights": (foreign_weights, "w.safetensors"),
    "unknown device": (options("--device", "tpu"), "tpu"),
    "overlap as long as the window": (options("--window", "16", "--overlap", "16", "--contrast", "dark"), "--overlap"),
    "several with one mask": (options("@tomo.mrc", "--mask", "@tomo.mrc"), "expected one"),
}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_errors_have_one_line_exit_code_2_and_leave_no_file(case, tmp_path, tiny_model):
    make, expected = CASES[case]
    words = [str(word) for word in make(tmp_path)]
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    model = [] if "--model" in words else ["--model", str(tiny_model)]
    result = CliRunner().invoke(app, ["restore", *words, *model])
    complaints = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.exit_code == 2, (result.stderr, result.exception)
    assert complaints and all(line.startswith("cryowae: ") for line in complaints), result.stderr
    assert len(complaints) == 1 and expected in complaints[0]
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_full_disk_is_an_error_of_one_line(tmp_path, tiny_model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    result = CliRunner().invoke(app, ["restore", str(save(tmp_path)), "--model", str(tiny_model)])
    assert result.exit_code == 2 and "needed" in result.stderr and result.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write to any folder")
def test_an_unwritable_folder_is_an_error_of_one_line(tmp_path, tiny_model):
    source = save(tmp_path)
    tmp_path.chmod(0o500)
    try:
        result = CliRunner().invoke(app, ["restore", str(source), "--model", str(tiny_model)])
    finally:
        tmp_path.chmod(0o700)
    assert result.exit_code == 2 and "not writable" in result.stderr


def test_a_bug_keeps_its_traceback(tmp_path, tiny_model, monkeypatch):
    import cryowae.tomogram.item

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(cryowae.tomogram.item, "open_tomogram", broken)
    result = CliRunner().invoke(app, ["restore", str(save(tmp_path)), "--model", str(tiny_model)])
    assert isinstance(result.exception, ZeroDivisionError)
