"""`cryowae validate`: its files, its messages, and its figures on a real tilt series."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from test_cli import make_weights
from typer.testing import CliRunner
from validation_parts import ANGLES, SHAPE, blobs, density, tilt_images

from cryowae.cli import app
from cryowae.config.options import RestoreOptions, SeriesOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.imaging.tomography import project_volume, reconstruct_volume
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.metrics.rings import Agreement, curve_edges
from cryowae.reconstruct import reconstruct_series
from cryowae.report.validation import ValidationFacts, validation_figure
from cryowae.tomogram.series import open_series
from cryowae.validate import score_held_out
from cryowae.validate.doses import unusual_doses
from cryowae.validate.dropping import parse_drop


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def stack():
    images = tilt_images(*blobs(), ANGLES)
    noise = np.random.default_rng(1).normal(0, images.std(), images.shape)
    return (100 - images + noise).astype(np.float32)


@pytest.fixture
def series(tmp_path, stack):
    write_mrc(tmp_path / "TS.st", stack, voxel_size=10.0)
    (tmp_path / "TS.tlt").write_text("".join(f"{angle:.2f}\n" for angle in ANGLES))
    return tmp_path / "TS.st"


def run(*words):
    return CliRunner().invoke(app, ["validate", *map(str, words)])


def common(series, weights):
    return (series, "--tilts", series.with_name("TS.tlt"), "--thickness", SHAPE[0], "--fast", "--model", weights)


def warp(series, angles):
    """Write Warp's XML of an aligned series; Warp's angles have the other sign."""
    zeros = ["0"] * len(angles)
    columns = {"Angles": [f"{-a:.2f}" for a in angles], "AxisAngle": zeros, "AxisOffsetX": zeros, "AxisOffsetY": zeros}
    text = "".join(f"<{name}>{' '.join(values)}</{name}>" for name, values in columns.items())
    path = series.with_name("TS.xml")
    path.write_text(f"<TiltSeries>{text}</TiltSeries>")
    return path


def test_a_series_gives_a_table_a_file_and_a_picture(series, weights):
    result = run(*common(series, weights), "--consistency", "hard", "--consistency", "off", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(series.parent)) == ["TS.st", "TS.tlt", "TS_validation.json", "TS_validation.png"]
    for word in ("denoising", "100-200 Å", "restored, hard", "permutation test", "tilt sign", "handedness", "-52.0°"):
        assert word in result.stdout
    values = json.loads((series.parent / "TS_validation.json").read_text())
    assert [one["name"] for one in values["volumes"]] == ["input", "Gaussian", "restored, hard", "restored"]
    assert values["model"]["name"] == "tiny" and len(values["model"]["sha256"]) == 12
    assert values["units"] == ["-52.0°", "-32.0°", "-12.0°", "+8.0°", "+28.0°", "+48.0°"]
    assert len(values["angles_kept"]) == 25 and values["settings"]["drop"] == "every:5"
    assert all(len(one["by_unit"]) == 6 and len(one["bands"]) == 3 for one in values["volumes"])
    for one in values["volumes"]:
        assert one["bands"][1]["mean"] == pytest.approx(np.mean(np.array(one["by_unit"])[:, 1]))


def test_the_angle_is_that_of_the_file_of_the_user(series, weights):
    """In Warp's XML the angles have the other sign: +40 there is -40 for this package."""
    path = warp(series, ANGLES)
    words = (series, "--align", path, "--thickness", SHAPE[0], "--fast", "--model", weights, "--consistency", "off")
    result = run(*words, "--drop", "beyond:40", "--output", series.parent / "out")
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(series.parent / "out")) == ["TS_validation.json", "TS_validation.png"]
    values = json.loads((series.parent / "out" / "TS_validation.json").read_text())
    assert values["units"] == [f"+{angle}.0°" for angle in (44, 48, 52, 56, 60)]
    assert values["angles_kept"] == sorted(values["angles_kept"]) and values["angles_kept"][-1] == 40
    opened = open_series(series, None, SeriesOptions(alignment=path))
    assert opened.angles == ANGLES and opened.listed == tuple(-a for a in ANGLES)
    assert open_series(series, series.with_name("TS.tlt"), SeriesOptions(alignment=path)).listed == ANGLES
    flipped = open_series(series, series.with_name("TS.tlt"), SeriesOptions(flip_tilt=True))
    assert flipped.angles == ANGLES and flipped.listed == tuple(-a for a in ANGLES)
    assert "only 5 images" in result.stderr


def test_halves_give_a_table_with_a_ceiling(tmp_path, weights):
    generator = np.random.default_rng(0)
    signal = generator.normal(size=(24, 96, 100))
    for name in ("a", "b"):
        half = (signal + generator.normal(size=signal.shape)).astype(np.float32)
        write_mrc(tmp_path / f"{name}.mrc", half, voxel_size=10.0)
    pair = (
        "--half1",
        tmp_path / "a.mrc",
        "--half2",
        tmp_path / "b.mrc",
        "--fast",
        "--model",
        weights,
        "--contrast",
        "dark",
    )
    result = run(*pair, "--tilt-range", "-60", "60", "--output", tmp_path / "x.png", "--consistency", "off")
    assert result.exit_code == 0, result.output
    for word in ("ceiling", "cannot test what fills the missing wedge", "both halves share", "contrast"):
        assert word in result.stdout
    values = json.loads((tmp_path / "x.json").read_text())
    assert values["kind"] == "halves" and values["tilts"] == [-60, 60] and len(values["units"]) == 4
    assert values["ceiling"][2] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert (tmp_path / "x.png").stat().st_size > 10_000


ERRORS = {
    "no data": ((), "either a tilt SERIES or --half1 and --half2"),
    "both kinds of data": (("@TS.st", "--half1", "@TS.st", "--half2", "@TS.st"), "give one of them"),
    "one half": (("--half1", "@TS.st"), "got one half"),
    "one half twice": (("--half1", "@TS.st", "--half2", "@TS.st", "--tilts", "@TS.tlt"), "both halves"),
    "halves without tilts": (("--half1", "@alone.mrc", "--half2", "@TS.st"), "--tilt-range"),
    "missing series": (("@none.st", "--tilts", "@TS.tlt"), "none.st"),
    "no tilts": (("@TS.st",), "give a tilt file with --tilts"),
    "unknown rule": (("@TS.st", "--tilts", "@TS.tlt", "--drop", "third"), "every:N"),
    "nothing dropped": (("@TS.st", "--tilts", "@TS.tlt", "--drop", "beyond:70"), "drops 0 of 31"),
    "too much dropped": (("@TS.st", "--tilts", "@TS.tlt", "--drop", "beyond:-1", "--align", "@part.aln"), "keeps 1;"),
    "unknown consistency": (("@TS.st", "--tilts", "@TS.tlt", "--consistency", "on"), "off, soft, hard"),
    "unknown weights": (("@TS.st", "--tilts", "@TS.tlt", "--model", "nonsense"), "nonsense"),
    "unknown device": (("@TS.st", "--tilts", "@TS.tlt", "--device", "tpu"), "tpu"),
    "existing output": (("@TS.st", "--tilts", "@TS.tlt", "--output", "@old.json"), "exists already"),
    "output of another kind": (("@TS.st", "--tilts", "@TS.tlt", "--output", "@out.mrc"), "NAME.json"),
    "too strong binning": (("@TS.st", "--tilts", "@TS.tlt", "--bin", "5"), "smaller than 16"),
    "too small a field": (("@TS.st", "--tilts", "@TS.tlt", "--bin", "3", "--thickness", "16"), "in all images"),
}


@pytest.mark.parametrize("case", ERRORS, ids=str)
def test_errors_have_one_line_exit_code_2_and_leave_no_file(case, series, weights, stack):
    words, expected = ERRORS[case]
    (series.parent / "old.json").touch()
    write_mrc(series.parent / "alone.mrc", stack, voxel_size=10.0)
    rows = "".join(f"{i} 0 1 0 0 1 1 1 1 {a - 30:.2f}\n" for i, a in enumerate(np.arange(0.0, 61, 2) - 30))
    (series.parent / "part.aln").write_text(rows)
    before = sorted(os.listdir(series.parent))
    given = [str(series.parent / word[1:]) if word.startswith("@") else word for word in words]
    model = [] if "--model" in given else ["--model", weights]
    result = run(*given, *model)
    lines = [line for line in result.stderr.splitlines() if line.startswith("cryowae: ")]
    assert result.exit_code == 2, (result.output, result.exception)
    assert len(lines) == 1 and expected in lines[0], result.stderr
    assert sorted(os.listdir(series.parent)) == before


# ---- the series, and the arrays that validate, reconstruct and later fit share


def test_arrays_and_files_are_reconstructed_alike(series):
    done = reconstruct_series(series, series.with_name("TS.tlt"), thickness=SHAPE[0], bin=2, device="cpu")
    opened = open_series(series, series.with_name("TS.tlt"))
    images = opened.images(2)
    assert images.shape == (31, 32, 48) == (31, *opened.binned_shape(2))
    assert images.mean((1, 2)).abs().max() < 0.01 * images.std()
    volume = reconstruct_volume(images, opened.angles, opened.depth(SHAPE[0]), ReconstructionConfig())
    assert (volume == read_mrc(done.path).data).all()
    assert opened.depth(None) == 300 and opened.depth(None, 2) == 150


def test_a_volume_is_projected_along_the_beam():
    made = blobs()
    expected = tilt_images(*made, ANGLES[::5])
    found = project_volume(density(*made), ANGLES[::5]).numpy()
    middle = np.s_[:, 4:-4, 26:-26]  # beyond, rays leave the box
    assert np.corrcoef(found[middle].ravel(), expected[middle].ravel())[0, 1] > 0.999
    assert found[middle].std() == pytest.approx(expected[middle].std(), rel=0.02)


def test_the_common_field_leaves_out_what_an_image_does_not_show(series):
    shifts = np.zeros((31, 2))
    shifts[4] = (0, 10)  # one image is 10 pixels too high
    lines = [f"1 0 0 1 {-x:.2f} {-y:.2f}" for x, y in shifts]
    series.with_name("TS.xf").write_text("\n".join(lines) + "\n")
    tilts = series.with_name("TS.tlt")
    assert open_series(series, tilts).common_field(96) == (64, 96)
    shifted = open_series(series, tilts, SeriesOptions(alignment=series.with_name("TS.xf")))
    assert shifted.common_field(96) == (44, 96) and shifted.common_field(50) == (44, 50)
    assert shifted.common_field(48, factor=2) == (22, 48)


def test_views_that_the_tilt_file_leaves_out_are_not_used(series):
    """`tilt.com` and Warp's XML name the images of the whole stack; an `.xf` beside them has all of them."""
    folder = series.parent
    series.with_name("TS.xf").write_text("1 0 0 1 0 0\n" * 30 + "1 0 0 1 3 0\n")
    (folder / "tilt.com").write_text("TILTFILE TS.tlt\nEXCLUDELIST 1-5\nOFFSET 2\n")
    opened = open_series(series, folder / "tilt.com", SeriesOptions(alignment=folder / "TS.xf"))
    assert opened.angles == tuple(angle + 2 for angle in ANGLES[5:])
    assert list(opened.alignment.sections) == list(range(5, 31)) and opened.alignment.shift[-1, 0] == -3
    path = warp(series, ANGLES)
    path.write_text(path.read_text().replace("</Tilt", f"<UseTilt>{'True ' * 30}False</UseTilt></Tilt"))
    opened = open_series(series, path)
    assert opened.angles == ANGLES[1:] or opened.angles == ANGLES[:-1]
    assert len(opened.alignment.sections) == 30 and 30 not in opened.alignment.sections
    assert opened.listed == tuple(-angle for angle in opened.angles)
    given = open_series(series, path, SeriesOptions(alignment=path))
    assert not any("differ" in note for note in given.notes)


def test_two_images_of_one_angle_are_both_used(series):
    twice = [*ANGLES[:-1], ANGLES[-2]]
    series.with_name("TS.tlt").write_text("".join(f"{angle}\n" for angle in twice))
    opened = open_series(series, series.with_name("TS.tlt"))
    assert opened.angles == tuple(sorted(twice)) and len(opened.alignment.sections) == 31
    for name in ("ramp", "hann", "exact", "sirt"):
        config = ReconstructionConfig(filter=name)
        volume = reconstruct_volume(opened.images(2), opened.angles, 20, config)
        assert bool(np.isfinite(np.asarray(volume)).all())


def test_images_of_another_dose_are_named(series, stack):
    opened = open_series(series, series.with_name("TS.tlt"))
    assert unusual_doses(opened) == ()
    stack = stack.copy()
    stack[7] *= 2
    write_mrc(series, stack, voxel_size=10.0, overwrite=True)
    notes = unusual_doses(open_series(series, series.with_name("TS.tlt")))
    assert len(notes) == 1 and "image 7 at -32.0 degrees has mean 2.00 and standard deviation 2.0" in notes[0]


def test_the_picture_has_a_curve_for_each_volume_and_the_images():
    generator = np.random.default_rng(0)
    rings, made = len(curve_edges()) - 1, []
    for name in ("input", "Gaussian", "restored"):
        parts = generator.normal(0.5, 0.1, (5, 3)), generator.normal(0.5, 0.1, (5, rings)), np.full(5, 0.5)
        made.append(Agreement(name, *parts, np.zeros((4, 3)), np.zeros(3)))
    facts = ValidationFacts("TS.st", "why?", 20.0, "tilts", tuple("abcde"), "weights")
    images = generator.normal(size=(3, 60, 80)).astype(np.float32)
    figure = validation_figure(made, facts, images=images, ceiling=np.full(rings, 0.9), shown=2)
    labels = [axes.get_label() for axes in figure.axes]
    assert labels[:2] == ["curves", "units"] and len(labels) == 5
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["input", "Gaussian", "restored", "ceiling: perfect restoration"]
    assert figure.axes[2].get_title(loc="left").endswith(", c")
    assert len({tuple(axes.images[0].get_clim()) for axes in figure.axes[2:]}) == 1
    assert len(validation_figure(made, facts).axes) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "given", "restored"),
    [
        ("beyond:42", (0.344, 0.142, 0.034), (0.142, 0.363, 0.140)),
        ("every:5", (0.689, 0.505, 0.174), (0.426, 0.516, 0.277)),
    ],
)
def test_a_real_series_agrees_with_an_independent_script(data_folder, rule, given, restored):
    """EMPIAR-10499 TS_01 at 20 Å: figures of a script with its own alignment and linear interpolation.

    One pass of the network; beads are compared too.
    """
    folder = data_folder / "tilt"
    stack, path = folder / "empiar10499_TS01_stack_10A_f16.mrc", folder / "empiar10499_TS01_warp.xml"
    for file in (stack, path):
        if not file.exists():
            pytest.skip(f"{file} does not exist")
    series = open_series(stack, None, SeriesOptions(alignment=path))
    found = score_held_out(
        series.images(2),
        series.angles,
        parse_drop(rule).select(series.listed),
        voxel_size=20.0,
        depth=80,
        settings=("off",),
        options=RestoreOptions(fast=True, device="cpu"),
        keep_beads=True,
        config=ReconstructionConfig(filter="ramp"),
    )
    means = {one.name: one.bands.mean(0) for one in found.agreements}
    # cubic interpolation loses less than linear; the first band has few components, and the script has a wider field
    for name, expected in (("input", given), ("restored", restored)):
        assert (np.abs(means[name] - expected) < (0.15, 0.075, 0.05)).all(), (name, means[name])
