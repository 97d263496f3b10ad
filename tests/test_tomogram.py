"""Opening a tomogram: its wedge, the order of its axes, and its values."""

from __future__ import annotations

import re

import mrcfile
import numpy as np
import pytest

from cryowae.errors import TiltError, TomogramError
from cryowae.tomogram import open_tomogram
from cryowae.tomogram.statistics import require_finite, robust_statistics

SHAPE = (24, 40, 36)
TILTS = np.arange(-42.0, 61.0, 3.0)


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def wedge_noise(low, high, shape=(40, 48, 64)):
    """White noise measured only at the tilts from `low` to `high`."""
    kz = np.fft.fftfreq(shape[0])[:, None, None]
    kx = np.fft.rfftfreq(shape[2])[None, None]
    angle = np.rad2deg(np.arctan2(kz, np.maximum(kx, 1e-9)))
    spectrum = np.fft.rfftn(noise(shape)) * ((angle >= low) & (angle <= high))
    return np.fft.irfftn(spectrum, s=shape, axes=(0, 1, 2)).astype(np.float32)


@pytest.fixture
def tomogram(tmp_path):
    def make(name="TS_1.mrc", data=None, voxel_size=10.0, angles=TILTS):
        with mrcfile.new(tmp_path / name, noise() if data is None else data) as mrc:
            mrc.voxel_size = voxel_size
        if angles is not None:
            np.savetxt(tmp_path / name.replace(".mrc", ".tlt"), angles, fmt="%.2f")
        return tmp_path / name

    return make


def test_angles_beside_the_tomogram_define_its_wedge(tomogram):
    path = tomogram()
    opened = open_tomogram(path)
    assert opened.shape == SHAPE
    assert opened.voxel_size == 10.0
    assert opened.wedge is not None
    assert (opened.wedge.tilt_min, opened.wedge.tilt_max) == (-42.0, 60.0)
    assert opened.tilts == tuple(TILTS)
    assert "TS_1.tlt" in opened.tilt_source
    assert "found beside" in opened.tilt_source
    assert opened.notes == ()
    assert isinstance(opened.data, np.memmap)


def test_flipped_tilts_are_negated(tomogram):
    opened = open_tomogram(tomogram(), flip_tilt=True)
    assert opened.wedge is not None
    assert (opened.wedge.tilt_min, opened.wedge.tilt_max) == (-60.0, 42.0)
    assert opened.tilts == tuple(-TILTS[::-1])
    assert opened.tilt_source.endswith("negated")


def test_given_angles_are_preferred_to_those_beside_the_tomogram(tomogram, tmp_path):
    path = tomogram()
    np.savetxt(tmp_path / "mine.tlt", [-50, 0, 50])
    opened = open_tomogram(path, tilts=tmp_path / "mine.tlt")
    assert opened.tilts == (-50, 0, 50)
    assert "as given" in opened.tilt_source
    ranged = open_tomogram(path, tilt_range=(-33, 44))
    assert ranged.wedge is not None
    assert (ranged.wedge.tilt_min, ranged.wedge.tilt_max) == (-33, 44)
    assert ranged.tilts is None
    with pytest.raises(TiltError, match="both"):
        open_tomogram(path, tilts=tmp_path / "mine.tlt", tilt_range=(-33, 44))
    with pytest.raises(TiltError, match="wrong order"):
        open_tomogram(path, tilt_range=(44, -33))


def test_unknown_angles_are_never_assumed(tomogram):
    path = tomogram(data=wedge_noise(-48, 57), angles=None)
    with pytest.raises(TiltError, match=r"--tilt-range LO HI") as caught:
        open_tomogram(path)
    assert "\n" not in str(caught.value)
    suggestion = re.search(r"suggests about (-?\d+) (-?\d+)", str(caught.value))
    assert suggestion is not None
    assert [int(edge) for edge in suggestion.groups()] == pytest.approx([-48, 57], abs=2)
    opened = open_tomogram(path, need_wedge=False)
    assert opened.wedge is None
    assert opened.tilts is None


def test_no_tilt_range_is_suggested_without_a_missing_wedge(tomogram):
    with pytest.raises(TiltError, match="no missing wedge"):
        open_tomogram(tomogram(data=noise((40, 48, 64)), angles=None))


def test_thickness_on_the_second_axis(tomogram):
    stored = noise((40, 24, 36))
    path = tomogram(data=stored)
    assert "--axes xzy" in open_tomogram(path).notes[0]
    opened = open_tomogram(path, axes="xzy")
    assert opened.shape == (24, 40, 36)
    assert opened.notes == ()
    assert opened.header.shape == (40, 24, 36)
    np.testing.assert_array_equal(opened.data[5, 7], stored[7, 24 - 1 - 5])
    with pytest.raises(TomogramError, match="axes"):
        open_tomogram(path, axes="yxz")


def test_a_first_axis_that_is_not_the_shortest_is_reported(tomogram):
    assert "--axes" in open_tomogram(tomogram(data=noise((41, 40, 36)))).notes[0]
    assert open_tomogram(tomogram("cube.mrc", data=noise((36, 36, 36)))).notes == ()


def test_read_gives_contiguous_float32_of_any_layout_and_type(tomogram):
    stored = (100 * noise((40, 24, 36))).astype(np.int16)
    opened = open_tomogram(tomogram(data=stored), axes="xzy")
    block = opened.read(slice(3, 9), slice(0, 40, 2), slice(5, 20))
    assert block.dtype == np.float32
    assert block.flags.c_contiguous
    assert block.flags.writeable
    np.testing.assert_array_equal(block, opened.data[3:9, ::2, 5:20])


@pytest.mark.filterwarnings("ignore::RuntimeWarning:mrcfile", "ignore::RuntimeWarning:numpy")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tomogram, value):
    data = noise()
    data[3, 4, 5] = value
    opened = open_tomogram(tomogram(data=data))
    for look in (lambda: robust_statistics(opened.data, where="TS_1.mrc"), lambda: require_finite(data, "TS_1.mrc")):
        with pytest.raises(TomogramError, match=r"TS_1.mrc has (NaN|infinite) values \(1 of"):
            look()
    with pytest.raises(TomogramError, match="expected finite"):
        opened.read(slice(0, 8))


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.float32])
@pytest.mark.parametrize("value", [0, 1, 0.1])
def test_constant_volumes_are_refused(dtype, value):
    with pytest.raises(TomogramError, match="constant"):
        robust_statistics(np.full(SHAPE, value, dtype))


def test_nearly_constant_volume_is_not_constant():
    volume = np.full(SHAPE, 3.0, np.float32)
    inside = noise((8, 8, 8)) + 50
    volume[5:13, 8:16, 20:28] = inside
    found = robust_statistics(volume, voxels=100)
    assert (found.mean, found.sigma) == pytest.approx((50, 1), abs=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16])
@pytest.mark.parametrize("beads", [0.0, 0.003, 0.03])
def test_statistics_do_not_depend_on_gold_beads(dtype, beads):
    rng = np.random.default_rng(4)
    volume = 500 + 20 * noise((48, 96, 96))
    volume[rng.random(volume.shape) < beads] = 500 - 26 * 20
    found = robust_statistics(volume.astype(dtype))
    assert found.mean == pytest.approx(500, abs=0.5)
    assert found.sigma == pytest.approx(20, rel=0.02)


def test_statistics_keep_the_molecules_of_a_sparse_clean_scene():
    """Few bright molecules in weak noise: networks are trained with the standard deviation that includes molecules."""
    rng = np.random.default_rng(5)
    molecules = 4 * noise((48, 96, 96), seed=6).astype(np.float64)
    molecules = np.where(rng.random(molecules.shape) < 0.02, np.abs(molecules) + 4, 0)
    volume = (noise((48, 96, 96)) + molecules).astype(np.float32)
    plain = float(volume.std(dtype=np.float64))
    assert plain > 1.4
    found = robust_statistics(volume)
    assert found.sigma == pytest.approx(plain, rel=0.01)
    assert found.mean == pytest.approx(float(volume.mean(dtype=np.float64)), abs=0.02 * plain)
    volume[:2, :8, :8] = -26 * plain
    assert robust_statistics(volume).sigma == pytest.approx(plain, rel=0.01)


def test_statistics_leave_out_padding():
    volume = noise((48, 96, 96)) + 5
    volume[:, :40] = 0
    found = robust_statistics(volume)
    assert (found.mean, found.sigma) == pytest.approx((5, 1), abs=0.02)


def test_statistics_of_the_negative_are_the_negative():
    volume = noise() ** 3 + 1
    plus, minus = robust_statistics(volume), robust_statistics(-volume)
    assert (minus.mean, minus.sigma) == (-plus.mean, plus.sigma)


def test_statistics_of_a_sample_are_those_of_the_whole():
    volume = noise((100, 200, 100))
    exact = robust_statistics(volume, voxels=10**9)
    sampled = robust_statistics(volume, voxels=50_000)
    assert sampled != exact
    assert (sampled.mean, sampled.sigma) == pytest.approx((exact.mean, exact.sigma), abs=0.02)
