"""Files whose header is wrong or silent about the extended header, the sign of bytes, or the size of voxels."""

from __future__ import annotations

import bz2
import gzip
import os
import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryowae.errors import TomogramError
from cryowae.fourier.resampling import resampling_ratio
from cryowae.io.layout import signed_by_range
from cryowae.io.mrc import read_mrc, write_mrc

SHAPE = (12, 30, 37)
SCALES = {np.int8: (0, 25), np.int16: (-300, 900), np.float32: (1.0, 3.0), np.uint16: (32768, 900), np.float16: (0, 1)}


def scene(dtype: type, shape=SHAPE, seed: int = 0) -> np.ndarray:
    """Coarse noise, as a tomogram has it."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 0.8)
    mean, spread = SCALES[dtype]
    return (mean + spread * smooth / smooth.std()).astype(dtype)


def parts(folder: Path, data: np.ndarray, **fields: object) -> tuple[bytes, bytes]:
    """Header and voxels of an MRC file with changed header fields."""
    path = folder / "whole.mrc"
    with mrcfile.new(path, data, overwrite=True) as file:
        file.voxel_size = 10
        file.set_volume()
        for name, value in fields.items():
            file.header[name] = value
    content = path.read_bytes()
    return content[:1024], content[1024:]


def blocks(size: int) -> dict[str, bytes]:
    random = np.random.default_rng(1)
    return {
        "zeros": bytes(size),
        "text": (b"X, Y, Z   * a symmetry operator " * size)[:size],
        "random": random.bytes(size),
        "numbers": (random.integers(0, 30, size // 4).astype("<i4").tobytes() + bytes(size))[:size],
        "angles": (np.linspace(-60, 60, size // 8 + 1).astype("<f4").tobytes() + bytes(size))[:size],
    }


@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize("kind", blocks(8))
@pytest.mark.parametrize("size", [1024, 3072, 131072])
def test_an_extended_header_that_is_not_named_is_found(tmp_path, dtype, kind, size):
    data = scene(dtype)
    head, voxels = parts(tmp_path, data)
    path = tmp_path / "a.mrc"
    extended = blocks(size)[kind]
    path.write_bytes(head + extended + voxels)
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, data)
    assert volume.header.extended == extended
    assert "size was followed" in volume.notes[0]


@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize("kind", blocks(8))
def test_bytes_after_the_last_voxel_are_not_taken_for_an_extended_header(tmp_path, dtype, kind):
    data = scene(dtype)
    head, voxels = parts(tmp_path, data)
    path = tmp_path / "a.mrc"
    path.write_bytes(head + voxels + blocks(1500)[kind])
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, data)
    assert "1500 bytes after" in volume.notes[0]


def test_rows_decide_where_both_ends_look_alike(tmp_path):
    data = scene(np.float32, (40, 64, 64))
    data[[0, 1, -2, -1]] = 0  # an empty margin, and an extended header or a tail of zeros
    head, voxels = parts(tmp_path, data)
    path = tmp_path / "a.mrc"
    for content, extended in ((bytes(1000) + voxels, 1000), (voxels + bytes(1000), 0)):
        path.write_bytes(head + content)
        volume = read_mrc(path)
        np.testing.assert_array_equal(volume.data, data)
        assert len(volume.header.extended) == extended and len(volume.notes) == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize(("named", "there"), [(4096, 0), (131072, 0), (4096, 1024), (1024, 4096)])
def test_the_size_decides_on_the_length_of_the_extended_header(tmp_path, dtype, named, there, pack):
    data = scene(dtype)
    head, voxels = parts(tmp_path, data, nsymbt=named)
    path = tmp_path / "a.mrc"
    path.write_bytes(pack(head + bytes(there) + voxels))
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, data)
    assert len(volume.header.extended) == there and "the size was followed" in volume.notes[0]
    write_mrc(tmp_path / "b.mrc", volume.data, voxel_size=10, like=volume.header)
    assert mrcfile.validate(tmp_path / "b.mrc")


@pytest.mark.parametrize("lost", [1, 400, 4096, 5000])
def test_a_truncated_file_with_an_extended_header_is_refused(tmp_path, lost):
    data = scene(np.float32)
    head, voxels = parts(tmp_path, data, nsymbt=4096)
    path = tmp_path / "a.mrc"
    path.write_bytes((head + bytes(range(256)) * 16 + voxels)[:-lost])
    with pytest.raises(TomogramError, match="truncated"):
        read_mrc(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("stated", [True, False])
def test_unsigned_bytes_without_the_stamp_of_imod_do_not_wrap(tmp_path, stated, pack):
    data = np.clip(scene(np.int16, (20, 32, 32)) / 30 + 128, 0, 254).astype(np.uint8)
    statistics = {"dmin": 0, "dmax": 254} if stated else {"dmin": 0, "dmax": 0}
    head, voxels = parts(tmp_path, data.view(np.int8), **statistics)
    path = tmp_path / "a.mrc"
    path.write_bytes(pack(head + voxels))
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, data)
    assert "unsigned" in volume.notes[0]


@pytest.mark.parametrize("statistics", [{}, {"dmin": 0, "dmax": -1}])
@pytest.mark.parametrize("low", [-128, -40, 0])
def test_signed_bytes_stay_signed(tmp_path, statistics, low):
    data = np.clip(scene(np.int8, (20, 32, 32)), low, 127).astype(np.int8)
    head, voxels = parts(tmp_path, data, **statistics)
    (tmp_path / "a.mrc").write_bytes(head + voxels)
    volume = read_mrc(tmp_path / "a.mrc")
    np.testing.assert_array_equal(volume.data, data)
    assert volume.notes == ()


def test_the_range_of_bytes_is_judged_as_imod_does():
    ranges = {(-5, 120): True, (0, 254): False, (3, 130): False, (-100, 140): True, (-3, 250): False}
    ranges |= {(0, 0): None, (0, 127): None, (0, -1): None, (float("nan"), 3.0): None}
    assert {each: signed_by_range(*each) for each in ranges} == ranges


@pytest.mark.parametrize(
    ("size", "part"),
    [(-10, "a voxel of -10 x -10 x -10 Å"), ((10, 10, -10), "10 x 10 x -10"), (0, "voxel size 0")],
)
def test_impossible_voxels_are_named_as_they_are(tmp_path, size, part):
    with mrcfile.new(tmp_path / "a.mrc", scene(np.float32)) as file:
        file.voxel_size = size
    with pytest.raises(TomogramError, match=re.escape(part)) as caught:
        read_mrc(tmp_path / "a.mrc")
    assert "--voxel-size" in str(caught.value)


@pytest.mark.parametrize("size", [(13.28, 13.28, 13.40), (10.0, 9.95, 10.0)])
def test_voxels_that_are_not_quite_cubes_are_said(tmp_path, size):
    with mrcfile.new(tmp_path / "a.mrc", scene(np.float32)) as file:
        file.voxel_size = size
    volume = read_mrc(tmp_path / "a.mrc")
    assert volume.voxel_size == pytest.approx(np.mean(size), rel=1e-5)
    assert " x ".join(f"{v:.4g}" for v in size) in volume.notes[0]
    assert not read_mrc(tmp_path / "a.mrc", voxel_size=13.28).notes


def test_a_compressed_file_is_unpacked_up_to_its_stated_size_only(tmp_path):
    data = scene(np.float32)
    head, voxels = parts(tmp_path, data)
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(head + voxels + bytes(2**28), 1))
    volume = read_mrc(path)
    np.testing.assert_array_equal(volume.data, data)
    base = volume.data
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert base.nbytes < 2**27


def test_a_size_beyond_the_memory_is_refused_before_unpacking(tmp_path):
    head, voxels = parts(tmp_path, scene(np.float32), nx=2**19, ny=2**19, nz=2**19)
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(head + voxels))
    with pytest.raises(TomogramError, match="memory"):
        read_mrc(tmp_path / "a.mrc.gz")


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.mrc")
    for path in (tmp_path / "a.mrc", "/dev/zero"):
        with pytest.raises(TomogramError, match="device or a pipe"):
            read_mrc(path)


def test_a_default_of_one_angstrom_is_answered_with_the_option_that_corrects_it():
    with pytest.raises(TomogramError, match="--voxel-size"):
        resampling_ratio(1.0, (8.0, 20.0))
