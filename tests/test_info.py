"""Estimates from a tomogram: contrast, tilt range, the sign of its tilts, and their description as text."""

from __future__ import annotations

from functools import cache

import mrcfile
import numpy as np
import pytest
import torch

from cryowae.config import ImagingConfig, ReconstructionConfig, SceneConfig
from cryowae.config.options import TomogramOptions
from cryowae.errors import TomogramError
from cryowae.imaging.observation import ForwardModel, Observation
from cryowae.info import inspect_tomogram
from cryowae.tomogram.contrast import SURE, estimate_contrast
from cryowae.tomogram.measured_range import measure_range
from cryowae.tomogram.statistics import robust_statistics

REAL = {
    "empiar10499_TS01_20A_full.mrc": ("dark", -60, 60),
    "empiar10499_TS01_20A_even.mrc": ("dark", -60, 60),
    "empiar10499_TS01_20A_odd.mrc": ("dark", -57, 57),
    "cylindra_13pf_MT.mrc": ("bright", -66, 58),
}


@cache
def observation(seed: int = 0, low: float = -60.0, high: float = 60.0) -> Observation:
    """A tilt series of balls of 6 to 14 voxels that fill about a tenth of the volume."""
    rng = np.random.default_rng(seed)
    shape = (48, 96, 112)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    density = np.zeros(shape, np.float32)
    for _ in range(75):
        centre = rng.uniform(0, shape).reshape(3, 1, 1, 1)
        density += ((grid - centre) ** 2).sum(0) < rng.uniform(3, 7) ** 2
    density = torch.from_numpy(np.minimum(density, 1))
    imaging, ramp = ImagingConfig(tilts=(low, high, 3.0)), ReconstructionConfig(filter="ramp")
    config = SceneConfig(shape=density.shape, imaging=imaging, reconstruction=ramp)
    return ForwardModel(config).observe(density, torch.Generator().manual_seed(seed))


def tomogram(snr: float, seed: int = 0, low: float = -60.0, high: float = 60.0) -> np.ndarray:
    return observation(seed, low, high).tomogram(snr).numpy()


@pytest.fixture
def real(data_folder, request):
    path = data_folder / "tomograms" / request.param
    if not path.exists():
        pytest.skip(f"{path.name} is not in the data folder")
    return path


@pytest.mark.parametrize("snr", [0.5, 0.05])
@pytest.mark.parametrize("seed", [0, 1])
def test_contrast_of_simulated_tomograms(snr, seed):
    volume = tomogram(snr, seed)
    found, opposite = estimate_contrast(volume, 10), estimate_contrast(-volume, 10)
    assert (found.contrast, opposite.contrast) == ("bright", "dark")
    assert found.z > SURE and opposite.z == pytest.approx(-found.z, rel=1e-4)


def test_contrast_does_not_depend_on_scale_and_offset():
    volume = tomogram(0.05)
    expected = estimate_contrast(volume, 10).z
    assert estimate_contrast(1e-5 * volume, 10).z == pytest.approx(expected, rel=0.02)
    assert estimate_contrast(100 * volume + 3e4, 10).z == pytest.approx(expected, rel=0.02)


def test_contrast_of_finely_sampled_tomograms():
    coarse = tomogram(0.05)[:, :64, :64]
    volume = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2) + coarse.std() * np.random.default_rng(0).normal(
        size=(96, 128, 128)
    ).astype(np.float32)
    assert estimate_contrast(volume, 5).z > SURE
    assert estimate_contrast(-volume, 5).z < -SURE


def test_pure_noise_has_no_contrast():
    found = estimate_contrast(observation().noise[0].numpy(), 10)
    assert not found.sure and abs(found.z) < 3
    with pytest.raises(
        TomogramError, match=r"of noise do not show .* below 3\); give --contrast dark or --contrast br"
    ):
        found.require("noise")


def test_gold_beads_do_not_change_the_estimated_contrast():
    volume = tomogram(0.05)
    centred = (volume - volume.mean()) / volume.std()
    rng = np.random.default_rng(3)
    for z, y, x in rng.integers(4, 44, (12, 3)) * (1, 2, 2):
        centred[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 26  # beads scatter like protein, but more strongly
    assert estimate_contrast(centred, 10).require("it") == "bright"
    assert estimate_contrast(-centred, 10).require("it") == "dark"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("contaminant", [2, -2])
def test_a_single_contaminant_does_not_decide_the_contrast(sign, contaminant):
    """A cylinder through the volume of 2 standard deviations: 100 angstrom in radius, larger than any molecule."""
    volume = sign * tomogram(0.5)
    y, x = np.ogrid[:96, :112]
    volume += contaminant * volume.std() * ((y - 40) ** 2 + (x - 60) ** 2 < 100)
    assert estimate_contrast(volume, 10).require("it") == ("bright" if sign > 0 else "dark")


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16, np.int8])
@pytest.mark.parametrize("fill", [0, 60, -128])
def test_padding_decides_neither_contrast_nor_scale(dtype, fill):
    volume = tomogram(0.5)
    volume = 5 + 10 * (volume - volume.mean()) / volume.std()
    y, x = np.ogrid[:96, :112]
    corners = np.abs(y - 47.5) / 48 + np.abs(x - 55.5) / 56 > 1.4
    for padding in (np.broadcast_to(corners, volume.shape), np.broadcast_to(x < 2, volume.shape)):
        padded = np.where(padding, fill, volume.clip(-127, 127)).astype(dtype)
        found = robust_statistics(padded)
        assert (found.mean, found.sigma) == pytest.approx((5, 10), abs=0.6)
        assert estimate_contrast(padded, 10).require("it") == "bright"


@pytest.mark.parametrize("real", REAL, indirect=True)
def test_contrast_of_real_tomograms(real):
    with mrcfile.mmap(real) as mrc:
        found = estimate_contrast(mrc.data, float(mrc.voxel_size.x))
    assert found.require(real.name) == REAL[real.name][0]
    assert abs(found.z) > 6


@pytest.mark.parametrize("real", REAL, indirect=True)
def test_tilt_range_of_real_tomograms(real):
    with mrcfile.mmap(real) as mrc:
        assert measure_range(mrc.data).range == pytest.approx(REAL[real.name][1:], abs=3)


@pytest.mark.parametrize(("low", "high"), [(-60, 60), (-42, 60), (-54, 66), (-30, 30)])
@pytest.mark.parametrize("snr", [0.5, 0.05])
def test_tilt_range_of_simulated_tomograms(low, high, snr):
    volume = tomogram(snr, 0, float(low), float(high))
    assert measure_range(volume).range == pytest.approx((low, high), abs=2.5)
    mirrored = volume[:, :, ::-1]  # x to -x negates the tilts
    assert measure_range(mirrored).range == pytest.approx((-high, -low), abs=2.5)


def test_white_noise_has_no_tilt_range():
    assert measure_range(np.random.default_rng(0).normal(size=(48, 64, 64)).astype(np.float32)).range is None


def test_very_thin_volume_has_no_tilt_range():
    assert measure_range(tomogram(0.5)[20:28]).range is None


def test_padding_does_not_hide_the_tilt_range():
    volume = tomogram(0.5).copy()
    volume[:, :, 64:] = 0
    assert measure_range(volume).range == pytest.approx((-60, 60), abs=4)


def test_only_a_sample_of_a_large_volume_is_read():
    class Counted:
        """Substitute for a mapped volume of 2048 x 1024 x 1024 voxels that counts the voxels that are read."""

        shape, dtype, ndim = (1024, 2048, 1024), np.dtype(np.float32), 3
        read = 0

        def __getitem__(self, key):
            part = np.broadcast_to(np.float32(0), self.shape)[key]
            self.read += part.size
            return np.random.default_rng(self.read).normal(size=part.shape).astype(np.float32)

    volume = Counted()
    measure_range(volume)  # type: ignore[arg-type]
    assert 0 < volume.read < 1.5e7
    volume.read = 0
    estimate_contrast(volume, 10)  # type: ignore[arg-type]
    assert 0 < volume.read < 1.5e7


def test_values_that_are_not_finite_in_the_sample_are_refused():
    volume = tomogram(0.5).copy()
    volume[20:28] = np.nan
    for look in (lambda one: estimate_contrast(one, 10), measure_range):
        with pytest.raises(TomogramError, match="NaN"):
            look(volume)


@pytest.fixture
def folder(tmp_path):
    with mrcfile.new(tmp_path / "TS_1_half1.mrc", tomogram(0.5, 0, -42.0, 60.0)) as mrc:
        mrc.voxel_size = 10.0
        mrc.header.origin = (1, 2, 3)
        mrc.set_extended_header(np.zeros(64, "V1"))
        mrc.header.exttyp = b"SERI"
    (tmp_path / "TS_1_half2.mrc").write_bytes((tmp_path / "TS_1_half1.mrc").read_bytes())
    np.savetxt(tmp_path / "TS_1.tlt", np.arange(-42, 61, 3.0))
    return tmp_path


def test_inspection_as_text(folder):
    found = inspect_tomogram(folder / "TS_1_half1.mrc")
    assert found.contrast.require("it") == "bright"
    assert found.measured.range == pytest.approx((-42, 60), abs=2.5)
    assert found.verdict.kind == "agrees"
    assert found.halves is not None and found.halves.half2.name == "TS_1_half2.mrc"
    text = "\n".join(found.lines())
    for part in (
        "48 x 96 x 112 voxels",
        "10 Å",
        "mode 2 (float32)",
        "origin      1, 2, 3 Å",
        "64 bytes, SERI",
        "label       Created by mrcfile",
        "protein is bright (z = ",
        "-42 to 60 degrees, 35 angles in",
        "TS_1.tlt, found beside the tomogram",
        "78 of 180 degrees are missing",
        "it agrees with the angles",
        "TS_1_half1.mrc and TS_1_half2.mrc",
    ):
        assert part in text


def test_inspection_reports_negated_tilts(folder):
    text = "\n".join(inspect_tomogram(folder / "TS_1_half1.mrc", TomogramOptions(flip_tilt=True)).lines())
    assert "look negated" in text
    assert "--flip-tilt" in text


def test_inspection_reports_angles_that_do_not_fit(folder):
    text = "\n".join(inspect_tomogram(folder / "TS_1_half1.mrc", TomogramOptions(tilt_range=(-25, 25))).lines())
    assert "the list is not complete; give --tilt-range" in text


def test_inspection_without_angles(folder):
    (folder / "TS_1.tlt").unlink()
    found = inspect_tomogram(folder / "TS_1_half1.mrc")
    assert found.verdict.kind == "unknown"
    text = "\n".join(found.lines())
    assert "no angles found" in text
    assert "shows tilts from -4" in text


def test_inspection_of_values_that_are_not_finite_names_the_file(folder):
    with mrcfile.open(folder / "TS_1_half1.mrc", mode="r+") as mrc:
        mrc.data[20:28] = np.nan
    with pytest.raises(TomogramError, match=r"TS_1_half1\.mrc has NaN"):
        inspect_tomogram(folder / "TS_1_half1.mrc")


@pytest.mark.parametrize("real", ["empiar10499_TS01_20A_full.mrc"], indirect=True)
def test_inspection_of_a_real_tomogram(real):
    found = inspect_tomogram(real)
    assert found.contrast.require("it") == "dark"
    assert found.verdict.kind == "agrees"
    assert found.tomogram.voxel_size == 20
    assert found.statistics.sigma == pytest.approx(0.99, abs=0.03)
    assert found.halves is not None
    assert "20A_full.tlt" in "\n".join(found.lines())
