"""Angles and axes that are compared with the spectrum, on noise whose wedge is cut with numpy alone."""

from __future__ import annotations

import json
from functools import cache

import mrcfile
import numpy as np
import pytest
from test_cli import make_weights
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.config.options import TomogramOptions
from cryowae.errors import TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc
from cryowae.restore import restore_tomogram
from cryowae.tomogram import Item, open_tomogram
from cryowae.tomogram.claims import judge_claim
from cryowae.tomogram.measured_range import measure_range

REACH = 1.25  # degrees: the power of a real series extends by about half a step beyond its last tilts


@cache
def noise(low: float = -42, high: float = 60, shape=(64, 72, 80), seed: int = 0) -> np.ndarray:
    """`(z, y, x)` noise that is measured from `low` to `high`; cut out of a larger volume, so that it has faces."""
    whole = tuple(n + 32 for n in shape)
    spectrum = np.fft.rfftn(np.random.default_rng(seed).normal(size=whole).astype(np.float32))
    kz, kx = np.fft.fftfreq(whole[0])[:, None, None], np.fft.rfftfreq(whole[2])
    tilt = np.rad2deg(np.arctan2(kz, np.maximum(kx, 1e-9)))
    measured = (tilt >= low - REACH) & (tilt <= high + REACH)
    volume = np.fft.irfftn(spectrum * measured, whole, (0, 1, 2))[16:-16, 16:-16, 16:-16]
    return np.ascontiguousarray(volume, np.float32)


def verdict(volume, low, high, **options):
    return judge_claim(measure_range(volume), Wedge.binary(low, high), TomogramOptions(**options), "TS.tlt")


@pytest.mark.parametrize(("low", "high"), [(-60, 60), (-42, 60), (-24, 57), (-70, 50), (-72, 24)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_edges_are_measured_within_their_errors(low, high, seed):
    found = measure_range(noise(low, high, (64, 64, 64), seed))
    assert found.order == "zyx"
    for edge, truth in ((found.low, low), (found.high, high)):
        assert abs(edge.tilt - truth) < 2.5 * edge.error
        assert edge.error < 1.5
    assert verdict(noise(low, high, (64, 64, 64), seed), low, high).kind == "agrees"


@pytest.mark.parametrize("claim", [(-60, 42), (-54, 48), (-60, 60), (-30, 48), (-42, 72)])
def test_a_claim_that_is_twelve_degrees_wrong_is_a_contradiction(claim):
    assert verdict(noise(), *claim).kind == "contradicts"


@pytest.mark.parametrize(
    ("truth", "claim", "options", "mend"),
    [
        ((-42, 60), (-60, 42), {}, "they look negated; give --flip-tilt"),
        ((-42, 60), (-60, 42), {"flip_tilt": True}, "they look negated; leave out --flip-tilt"),
        ((-24, 59), (-42, 60), {}, "give --tilt-range -24 59"),
        ((-42, 60), (-30, 30), {}, "the list is not complete; give --tilt-range -42 60"),
        ((-54, 54), (-42, 66), {}, "shifted, as those of a tilted or levelled sample are; give --tilt-offset -12 or"),
        ((-54, 54), (-42, 66), {"tilt_offset": 3.0}, "give --tilt-offset -9 or --tilt-range -54 54"),
    ],
)
def test_a_contradiction_names_the_option_that_corrects_it(truth, claim, options, mend):
    found = verdict(noise(*truth), *claim, **options)
    assert found.kind == "contradicts"
    assert mend in found.text
    assert f"the angles are {claim[0]} to {claim[1]} degrees (TS.tlt)" in found.text


@pytest.mark.parametrize(
    ("order", "opened", "mend"),
    [
        ((1, 0, 2), "zyx", "give --axes xzy"),
        ((0, 2, 1), "zyx", "give --axes zxy"),
        ((1, 0, 2), "xzy", "leave out --axes"),
        ((2, 0, 1), "zyx", "rotate the volume"),
        ((2, 1, 0), "zyx", "rotate the volume"),
    ],
)
def test_wrong_axes_are_a_contradiction(order, opened, mend):
    found = verdict(noise().transpose(order), -42, 60, axes=opened)
    assert found.kind == "contradicts"
    assert found.text.endswith(mend) or mend in found.text


@pytest.mark.parametrize("axes", ["zyx", "xzy", "zxy"])
def test_a_file_of_any_order_agrees_if_it_is_opened_in_that_order(tmp_path, axes):
    stored = {"zyx": noise(), "xzy": noise()[::-1].transpose(1, 0, 2), "zxy": noise()[:, ::-1].transpose(0, 2, 1)}
    path = tmp_path / "TS.mrc"
    with mrcfile.new(path, np.ascontiguousarray(stored[axes])) as mrc:
        mrc.voxel_size = 10
    opened = open_tomogram(path, axes=axes, tilt_range=(-42, 60))
    assert np.array_equal(opened.data, noise())
    assert Item(path, axes=axes, tilt_range=(-42.0, 60.0)).verdict.kind == "agrees"


def test_a_small_deviation_is_neither_agreement_nor_contradiction():
    found = verdict(noise(), -46.2, 60)
    assert found.kind == "doubtful" and found.text.endswith("check them")


@pytest.mark.parametrize("shape", [(64, 64, 64), (16, 24, 24), (8, 64, 64), (24, 64, 64)])
def test_nothing_is_told_without_a_wedge(shape):
    white = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert verdict(white, -60, 60).kind == "unknown"
    assert verdict(np.cumsum(white, 2), -60, 60).kind == "unknown"
    assert verdict(np.zeros(shape, np.float32), -60, 60).kind == "unknown"


def test_a_wedge_that_is_filled_in_part_is_never_a_contradiction():
    white = np.random.default_rng(1).normal(size=noise().shape).astype(np.float32)
    for share in (0.6, 1, 2):
        assert verdict(noise() + share * white * noise().std(), -60, 42).kind in ("unknown", "doubtful")


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f2"])
def test_data_types_do_not_matter(dtype):
    scaled = noise() / noise().std() * 12 + (1000 if dtype == "u2" else 0)
    assert verdict(scaled.astype(dtype), -42, 60).kind == "agrees"
    assert "--flip-tilt" in verdict(scaled.astype(dtype), -60, 42).text


def test_power_that_falls_towards_high_tilts_is_no_edge():
    """Dose weighting suppresses the high frequencies of the last, which are the highest, tilts."""
    volume = noise(-60, 60)
    k = [np.fft.fftfreq(n) for n in volume.shape]
    kz, kx = k[0][:, None, None], k[2][None, None]
    tilt, radius = np.rad2deg(np.arctan2(kz, np.maximum(abs(kx), 1e-9))), np.sqrt(kz**2 + kx**2 + k[1][:, None] ** 2)
    weighted = np.fft.ifftn(np.fft.fftn(volume) * np.exp(-abs(tilt) / 60 * 3 * radius)).real.astype(np.float32)
    assert verdict(weighted, -60, 60).kind == "agrees"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def folder(tmp_path):
    shape = (64, 64, 96)
    whole, first, second = noise(shape=shape), noise(shape=shape, seed=1), noise(shape=shape, seed=2)
    for name, data in (("TS", whole), ("TS_EVN", whole + first), ("TS_ODD", whole + second)):
        with mrcfile.new(tmp_path / f"{name}.mrc", data) as mrc:
            mrc.voxel_size = 10
    np.savetxt(tmp_path / "TS.tlt", np.arange(-60, 43, 3.0))  # negated
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result, [line for line in result.stderr.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "TS.mrc"),
        ("fit", "TS.mrc", "--output", "new.safetensors"),
        ("validate", "--half1", "TS_EVN.mrc", "--half2", "TS_ODD.mrc", "--tilts", "TS.tlt"),
    ],
)
def test_every_command_stops_with_one_line_and_leaves_no_file(folder, words, tiny_model, monkeypatch):
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    result, complaints = run(*words, "--model", tiny_model)
    assert result.exit_code == 2
    assert len(complaints) == 1
    for part in ("the spectrum shows tilts from -4", "60", "they look negated; give --flip-tilt, or --force to go on"):
        assert part in complaints[0]
    assert set(folder.iterdir()) == before


def test_info_says_the_same_and_exits_with_0(folder):
    result, _ = run("info", folder / "TS.mrc")
    assert result.exit_code == 0
    assert "they look negated; give --flip-tilt" in result.stdout
    corrected, _ = run("info", folder / "TS.mrc", "--flip-tilt")
    assert "it agrees with the angles" in corrected.stdout


def test_force_goes_on_with_a_warning(folder, tiny_model):
    result, complaints = run("restore", folder / "TS.mrc", "--model", tiny_model, "--force", "--contrast", "dark")
    assert result.exit_code == 0
    assert any("they look negated" in line and "--force" in line for line in (*complaints, result.stdout))
    done, _ = run(
        *("validate", "--half1", folder / "TS_EVN.mrc", "--half2", folder / "TS_ODD.mrc", "--tilts", folder / "TS.tlt"),
        *("--model", tiny_model, "--force", "--fast", "--contrast", "dark"),
    )
    assert done.exit_code == 0, done.stderr
    values = json.loads((folder / "TS_EVN_validation.json").read_text())
    assert any("they look negated" in note for note in values["notes"])


@pytest.mark.parametrize("options", [("--flip-tilt",), ("--tilt-range", -42, 60), ("--tilt-offset", 18)])
def test_the_options_that_are_named_work(folder, tiny_model, options):
    result, complaints = run(
        "restore", folder / "TS.mrc", "--model", tiny_model, "--no-report", "--contrast", "dark", *options
    )
    assert result.exit_code == 0
    assert not any("spectrum" in line for line in complaints)


def test_an_open_tomogram_is_checked_too(folder, tiny_model):
    opened = open_tomogram(folder / "TS.mrc")
    with pytest.raises(TiltError, match="give --flip-tilt"):
        restore_tomogram(opened, model=tiny_model)
    forced = restore_tomogram(opened, contrast="dark", model=tiny_model, force=True)
    assert any("negated" in note for note in forced.notes)


def test_a_restoration_along_a_rotated_tilt_axis_keeps_the_order_of_the_file(tmp_path, tiny_model):
    path = tmp_path / "TS.mrc"
    with mrcfile.new(path, np.ascontiguousarray(noise()[:, ::-1].transpose(0, 2, 1))) as mrc:
        mrc.voxel_size = 10
    with pytest.raises(TiltError, match="give --axes zxy"):
        restore_tomogram(Item(path, tilt_range=(-42.0, 60.0)), model=tiny_model)
    result = restore_tomogram(Item(path, tilt_range=(-42.0, 60.0), axes="zxy", contrast="dark"), model=tiny_model)
    assert read_mrc(result.path).data.shape == (64, 80, 72)
