"""Reconstructions of a known density, whose tilt series is a formula, and of a real tilt series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, OutputError, TiltError, TomogramError
from cryowae.imaging import tomography
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.neighbours import find_halves, find_tilts
from cryowae.reconstruct import reconstruct_series

ANGLES = np.arange(-42.0, 60.1, 3.0)
SHAPE = (32, 60, 64)  # z, y, x
AXIS = -7.0
SIGMA = 1.6  # voxels


def blobs(seed=0, count=40):
    """Centres `(x, y, z)` from the middle of the box, in voxels, and weights."""
    generator = np.random.default_rng(seed)
    z, y, x = SHAPE
    low = np.array([x, y, z]) / 2 - 5
    return generator.uniform(-low, low, (count, 3)), generator.uniform(0.5, 1.5, count)


def density(centres, weights):
    grids = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    total = np.zeros(SHAPE)
    for (x, y, z), weight in zip(centres, weights, strict=True):
        zs, ys, xs = (np.exp(-((g - c) ** 2) / (2 * SIGMA**2)) for g, c in zip(grids, (z, y, x), strict=True))
        total += weight * zs[:, None, None] * ys[:, None] * xs
    return total


def images(centres, weights, angles, shifts, axis=AXIS, fine=1):
    """Raw images: a Gaussian projects to a Gaussian at `u = x cos t + z sin t`; the axis is `axis` degrees from y."""
    _, ny, nx = SHAPE
    a, sigma = np.deg2rad(axis), SIGMA * fine
    rows, columns = (np.arange(n * fine) - (n * fine - 1) / 2 for n in (ny, nx))
    series = []
    for t, shift in zip(np.deg2rad(angles), shifts, strict=True):
        total = np.zeros((len(rows), len(columns)))
        for (x, y, z), weight in zip(centres, weights, strict=True):
            u = x * np.cos(t) + z * np.sin(t)
            px = (u * np.cos(a) - y * np.sin(a)) * fine + shift[0]
            py = (u * np.sin(a) + y * np.cos(a)) * fine + shift[1]
            spot = np.exp(-((rows[:, None] - py) ** 2 + (columns - px) ** 2) / (2 * sigma**2))
            total += weight * np.sqrt(2 * np.pi) * SIGMA * spot
        series.append(total)
    return np.array(series, dtype=np.float32)


def xf(shifts, axis=AXIS):
    """`aligned = A (raw - shift)` as IMOD writes it, A and then -A shift; A rotates by minus the angle of the axis."""
    c, s = np.cos(np.deg2rad(-axis)), np.sin(np.deg2rad(-axis))
    lines = [(c, -s, s, c, -(c * x - s * y), -(s * x + c * y)) for x, y in shifts]
    return "".join(" ".join(f"{value:.7f}" for value in line) + "\n" for line in lines)


def write_series(folder, angles=ANGLES, fine=1, seed=3):
    """Write `TS.st`, `TS.tlt` and `TS.xf`; return the density."""
    centres, weights = blobs()
    shifts = np.random.default_rng(seed).uniform(-4, 4, (len(angles), 2)) * fine
    write_mrc(folder / "TS.st", 100 - images(centres, weights, angles, shifts, fine=fine), voxel_size=12.0 / fine)
    (folder / "TS.tlt").write_text("".join(f"{angle:.2f}\n" for angle in angles))
    (folder / "TS.xf").write_text(xf(shifts))
    return -density(centres, weights)


@pytest.fixture
def series(tmp_path):
    return tmp_path, write_series(tmp_path)


def measured(volume, low=-42, high=60):
    """The components of a volume that the tilts measured, up to 0.2 cycles per voxel, without the mean of planes."""
    kz, ky, kx = np.meshgrid(*(np.fft.fftfreq(n) for n in volume.shape), indexing="ij")
    angle = np.rad2deg(np.arctan2(kz, kx))
    angle = np.where(kx < 0, np.rad2deg(np.arctan2(-kz, -kx)), angle)
    r = np.sqrt(kz**2 + ky**2 + kx**2)
    keep = (angle >= low) & (angle <= high) & (r < 0.2) & (np.hypot(kz, kx) > 1 / min(SHAPE))
    return np.fft.ifftn(np.fft.fftn(volume) * keep).real


def ncc(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def volume(path):
    return np.array(read_mrc(path).data, dtype=np.float64)


RAMP = ReconstructionConfig(filter="ramp")


def run(folder, name="rec.mrc", **options):
    options = {"alignment": folder / "TS.xf", "thickness": SHAPE[0], "config": RAMP, "device": "cpu"} | options
    return reconstruct_series(folder / "TS.st", folder / "TS.tlt", folder / name, **options)


@pytest.mark.parametrize("name", ["ramp", "exact"])
def test_a_known_density_is_reconstructed_with_its_position_and_handedness(series, name):
    folder, truth = series
    result = run(folder, config=ReconstructionConfig(filter=name))
    found = volume(result.path)
    assert (result.shape, result.voxel_size) == (SHAPE, 12.0)
    a, b = measured(truth), measured(found)
    assert ncc(a, b) > 0.97
    assert (a * b).sum() / (a * a).sum() == pytest.approx(1, abs=0.05)  # contrast keeps its sign and its scale
    mirrored = volume(run(folder, "mirrored.mrc", flip_tilt=True).path)
    assert ncc(measured(truth, -60, 42), measured(mirrored, -60, 42)) < 0.6


def test_without_the_alignment_the_reconstruction_is_poor(series):
    folder, truth = series
    assert ncc(measured(truth), measured(volume(run(folder, alignment=None).path))) < 0.5


def test_binning_keeps_place_and_scale(tmp_path):
    truth = write_series(tmp_path, fine=2)
    result = run(tmp_path, bin=2)
    assert (result.shape, result.voxel_size) == (SHAPE, 12.0)
    assert read_mrc(result.path).voxel_size == pytest.approx(12)
    a, b = measured(truth), measured(volume(result.path))
    assert ncc(a, b) > 0.97
    assert (a * b).sum() / (a * a).sum() == pytest.approx(1, abs=0.05)


def test_angles_are_assigned_to_images_in_the_order_of_the_file(tmp_path):
    order = np.argsort(np.abs(ANGLES - 6), kind="stable")  # dose-symmetric about 6 degrees
    truth = write_series(tmp_path, ANGLES[order])
    result = run(tmp_path)
    assert result.angles == tuple(ANGLES)
    assert ncc(measured(truth), measured(volume(result.path))) > 0.97


def test_blocks_and_slabs_do_not_change_the_result(series, monkeypatch):
    folder, _ = series
    whole = volume(run(folder).path)
    monkeypatch.setattr(tomography, "_ENTRIES", 4 * len(ANGLES) * SHAPE[0] * 13)
    monkeypatch.setattr(tomography, "_ROWS", 17)
    assert volume(run(folder, "parts.mrc").path) == pytest.approx(whole, abs=1e-5)


def test_halves_are_of_every_other_tilt_and_are_found_with_their_angles(series):
    folder, truth = series
    result = run(folder, halves=True)
    assert [path.name for path in result.halves] == ["rec_EVN.mrc", "rec_ODD.mrc"]
    pair = find_halves(result.path)
    assert pair is not None and (pair.half1, pair.half2) == result.halves
    for path in (result.path, *result.halves):
        tilts = find_tilts(path)
        assert tilts is not None and tilts.source.samefile(result.tilts)
        assert tilts.angles == pytest.approx(ANGLES)
    full, even, odd = (volume(path) for path in (result.path, *result.halves))
    assert ncc((even + odd) / 2, full) > 0.995
    stack = np.array(read_mrc(folder / "TS.st").data)
    stack[1::2] = stack[1::2, ::-1]
    write_mrc(folder / "TS.st", stack, voxel_size=12.0, overwrite=True)
    again = run(folder, "again.mrc", halves=True)
    assert volume(again.halves[0]) == pytest.approx(even, abs=1e-5)
    assert ncc(volume(again.halves[1]), odd) < 0.5


def test_tilts_that_were_deselected_in_warp_are_not_used(series):
    """One image is bad and deselected in Warp; the sign of the angles and the axis are those of Warp."""
    folder, truth = series
    stack = np.array(read_mrc(folder / "TS.st").data)
    stack[5] = np.random.default_rng(0).normal(0, 300, stack[5].shape)
    write_mrc(folder / "TS.st", stack, voxel_size=12.0, overwrite=True)
    shifts = np.random.default_rng(3).uniform(-4, 4, (len(ANGLES), 2)) * 12
    columns = {
        "Angles": -ANGLES,
        "UseTilt": [i != 5 for i in range(len(ANGLES))],
        "AxisAngle": [AXIS] * len(ANGLES),
        "AxisOffsetX": shifts[:, 0],
        "AxisOffsetY": shifts[:, 1],
    }
    text = "".join(f"<{name}>{' '.join(map(str, values))}</{name}>" for name, values in columns.items())
    (folder / "TS.xml").write_text(f"<TiltSeries>{text}</TiltSeries>")
    result = reconstruct_series(
        folder / "TS.st", None, alignment=folder / "TS.xml", thickness=SHAPE[0], config=RAMP, device="cpu"
    )
    assert result.path == folder / "TS_rec.mrc"
    assert len(result.angles) == len(ANGLES) - 1
    assert any("leaves out 1" in note for note in result.notes)
    assert ncc(measured(truth), measured(volume(result.path))) > 0.95


def test_exact_weights_tolerate_a_gap_in_the_tilts(tmp_path):
    """Ten tilts are missing. A ramp gives the tilts beside the gap too much weight, which causes streaks."""
    truth = write_series(tmp_path, ANGLES[(ANGLES < 10) | (ANGLES > 40)])
    plain, exact = (
        ncc(truth, volume(run(tmp_path, f"{name}.mrc", config=ReconstructionConfig(filter=name)).path))
        for name in ("ramp", "exact")
    )
    assert exact > plain + 0.015


def test_the_tilt_file_of_the_user_is_not_overwritten(series):
    folder, _ = series
    before = (folder / "TS.tlt").read_bytes()
    assert run(folder, "TS.mrc", overwrite=True).tilts == folder / "TS.tlt"
    assert (folder / "TS.tlt").read_bytes() == before
    with pytest.raises(OutputError, match="would be replaced by other angles"):
        run(folder, "TS.mrc", overwrite=True, flip_tilt=True)


def test_the_series_is_never_overwritten_by_its_reconstruction(series):
    folder, _ = series
    before = (folder / "TS.st").read_bytes()
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        run(folder, "TS.st", overwrite=True)
    with pytest.raises(OutputError, match="no name for an MRC file"):
        run(folder, "TS.xf", overwrite=True)
    assert (folder / "TS.st").read_bytes() == before


def test_no_file_is_overwritten_and_no_partial_file_is_left(series):
    folder, _ = series
    run(folder)
    (folder / "new_EVN.mrc").touch()
    names = sorted(folder.iterdir())
    with pytest.raises(OutputError, match=r"rec\.mrc exists already"):
        run(folder)
    with pytest.raises(OutputError, match=r"new_EVN\.mrc exists already"):
        run(folder, "new.mrc", halves=True)
    with pytest.raises(OutputError, match=r"rec\.tlt exists already"):
        run(folder, "rec.st")
    stack = np.array(read_mrc(folder / "TS.st").data)
    stack[3, 2, 2] = np.inf
    (folder / "TS.st").write_bytes((folder / "TS.st").read_bytes()[:1024] + stack.tobytes())
    with pytest.raises(TomogramError, match="image 3 that are not finite"):
        run(folder, overwrite=True)
    assert sorted(folder.iterdir()) == names


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alignment": "short.xf"}, TiltError, "is of 2 images, but the tilt series has 35"),
        ({"tilts": "short.tlt"}, TiltError, "has 35 images and .*short.tlt 3 angles; expected one angle an image"),
        ({"tilts": None}, TiltError, "TS.xf has none; give a tilt file with --tilts"),
        ({"bin": 5}, TomogramError, "64 x 60 pixels, which --bin 5 makes smaller than 16"),
        ({"config": ReconstructionConfig(ctf="phase-flip")}, ConfigError, "expected none"),
    ],
)
def test_error_messages_name_the_cause(series, change, error, message):
    folder, _ = series
    (folder / "short.xf").write_text("1 0 0 1 0 0\n" * 2)
    (folder / "short.tlt").write_text("-3\n0\n3\n")
    named = {key: folder / value if isinstance(value, str) else value for key, value in change.items()}
    tilts = named.pop("tilts", folder / "TS.tlt")
    with pytest.raises(error, match=message) as caught:
        reconstruct_series(folder / "TS.st", tilts, folder / "x.mrc", **{"alignment": folder / "TS.xf"} | named)
    assert "\n" not in str(caught.value)
    assert not (folder / "x.mrc").exists()


def cli(*words: str | Path, command=("reconstruct",)):
    return CliRunner().invoke(app, [*command, *map(str, words)])


@pytest.mark.parametrize("command", [("reconstruct",), ("simulate", "reconstruct")])
def test_the_command_and_its_former_name(series, command):
    folder, truth = series
    words = ("--tilts", folder / "TS.tlt", "--align", folder / "TS.xf", "--thickness", "32")
    result = cli(folder / "TS.st", *words, command=command)
    assert result.exit_code == 0, result.output
    advice = "cryowae simulate reconstruct is now cryowae reconstruct\n"
    assert result.stderr == (advice if len(command) == 2 else "")
    assert "64 x 60 x 32 voxels (x, y, z) of 12 Å" in result.output
    assert "35 from -42 to +60 degrees" in result.output
    assert ncc(measured(truth), measured(volume(folder / "TS_rec.mrc"))) > 0.9


def test_help_has_the_command_and_hides_its_former_name():
    everything, simulate = (CliRunner().invoke(app, [*words, "--help"]).output for words in ([], ["simulate"]))
    assert "reconstruct" in everything
    assert "reconstruct" not in simulate
    assert "--thickness" in CliRunner().invoke(app, ["simulate", "reconstruct", "--help"]).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sirt", "5", "--filter", "ramp"], "got --sirt 5 with --filter ramp"),
        (["--falloff", "0"], "got --falloff 0; expected a positive frequency"),
        ([], "give a tilt file with --tilts"),
    ],
)
def test_mistakes_on_the_command_line_exit_with_2(series, words, message):
    folder, _ = series
    result = cli(folder / "TS.st", "--align", folder / "TS.xf", *words)
    assert result.exit_code == 2
    assert message in result.output


def shell_correlation(a, b, low, high):
    """Fourier shell correlation between two frequencies in cycles per voxel."""
    kz, ky, kx = np.meshgrid(
        np.fft.fftfreq(a.shape[0]), np.fft.fftfreq(a.shape[1]), np.fft.rfftfreq(a.shape[2]), indexing="ij"
    )
    r = np.sqrt(kz**2 + ky**2 + kx**2)
    f, g = (np.fft.rfftn(v)[(r >= low) & (r < high)] for v in (a, b))
    return float((f * g.conj()).real.sum() / np.sqrt((np.abs(f) ** 2).sum() * (np.abs(g) ** 2).sum()))


@pytest.mark.slow
def test_a_real_series_agrees_with_the_tomogram_that_another_program_made(data_folder, tmp_path):
    """Warp's alignment gives that tomogram, in a shifted box; an earlier, coarser alignment gives a less sharp one."""
    given = np.array(read_mrc(data_folder / "tomograms/empiar10499_TS01_20A_full.mrc").data, dtype=np.float32)
    tilt = data_folder / "tilt"
    # the axis lies at voxel (36, 149, 160.5) of the given box, whose middle is (39.5, 149.5, 159.5)
    box = (slice(7, 87), slice(8, 308), slice(2, 322))

    def agreement(name, tilts=None, **options):
        result = reconstruct_series(
            tilt / "empiar10499_TS01_stack_10A_f16.mrc",
            tilts,
            tmp_path / "rec.mrc",
            alignment=tilt / name,
            thickness=87,
            bin=2,
            overwrite=True,
            **options,
        )
        found = np.array(read_mrc(result.path).data[box])
        return ncc(given, found), shell_correlation(given, found, 0.02, 0.2), shell_correlation(given, found, 0.2, 0.3)

    own, coarse, fine = agreement("empiar10499_TS01_warp.xml")
    assert own > 0.7
    assert coarse > 0.97
    assert fine > 0.85
    assert agreement("empiar10499_TS01_warp.xml", flip_tilt=True)[0] < 0.1
    earlier = agreement("empiar10499_TS01_coarse.xf", tilt / "empiar10499_TS01.tlt", flip_tilt=True)
    assert 0.4 < earlier[0] < own
    assert earlier[1] < coarse
