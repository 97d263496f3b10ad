"""`cryowae simulate tilts`: the series of a known volume, its noise, its shifts and its files."""

import gzip

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.config.scene import ImagingConfig
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.simulate.tilt_series import read_defocus, simulate_tilts

TILTS = [-60, -40, -20, 0, 20, 40, 60]
CLEAN = ImagingConfig(snr=0)


@pytest.fixture
def volume(tmp_path):
    """A few soft balls in a wide empty box."""
    shape = (20, 40, 48)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    density = np.zeros(shape, np.float32)
    for centre in ((10, 14, 20), (8, 26, 28), (12, 18, 30)):
        away = sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True))
        density += np.exp(-away / 8).astype(np.float32)
    density[density < 1e-3] = 0
    write_mrc(tmp_path / "v.mrc", density, voxel_size=8.0)
    (tmp_path / "t.tlt").write_text("\n".join(map(str, TILTS[::-1])))
    return tmp_path / "v.mrc"


def simulate(volume, name="s.st", **given):
    given = {"imaging": CLEAN, **given}
    return simulate_tilts(volume, volume.parent / "t.tlt", volume.parent / name, **given)


def images(result):
    return np.array(read_mrc(result.path).data, np.float64)


def test_a_perfect_microscope_only_projects(volume):
    result = simulate(volume)
    series, density = images(result), np.array(read_mrc(volume).data, np.float64)
    assert result.shape == series.shape == (7, 40, 48)
    assert np.abs(series[3] - density.sum(0)).max() < 0.02 * series.max()
    assert np.abs(series.sum((1, 2)) - density.sum()).max() < 1e-3 * density.sum()
    assert read_mrc(result.path).voxel_size == 8.0
    with mrcfile.open(result.path) as file:
        assert file.is_image_stack()
    assert mrcfile.validate(result.path)
    assert [float(t) for t in result.tilts.read_text().split()] == TILTS  # ascending, whatever their order in the file
    assert result.alignment is None
    assert result.defocus is None
    assert result.snr == np.inf
    assert sorted(p.name for p in volume.parent.iterdir()) == ["s.st", "s.tlt", "t.tlt", "v.mrc"]


def test_the_sections_are_the_tilts_in_ascending_order(volume):
    """A ball at height z above the axis moves by z sin(t) along x."""
    density = np.zeros((20, 40, 48), np.float32)
    density[15:18, 19:22, 23:26] = 1
    write_mrc(volume, density, voxel_size=8.0, overwrite=True)
    series = images(simulate(volume))
    x = np.arange(48) - 23.5
    t = np.deg2rad(TILTS)
    found = (series.sum(1) * x).sum(1) / series.sum((1, 2))
    assert found == pytest.approx(6.5 * np.sin(t) + 0.5 * np.cos(t), abs=0.05)


def test_projecting_in_parts_does_not_change_the_result(volume, monkeypatch):
    whole = images(simulate(volume))
    monkeypatch.setattr("cryowae.simulate.tomogram_slabs._PROJECTED_VOXELS", 20 * 48 * 7)
    monkeypatch.setattr("cryowae.simulate.tomogram_slabs._MATRIX_VOXELS", 20 * 48 * 2)
    assert np.array_equal(images(simulate(volume, "again.st")), whole)


def test_the_median_is_used_as_the_solvent_level(volume):
    density = np.array(read_mrc(volume).data)
    expected = images(simulate(volume))
    write_mrc(volume.parent / "w.mrc", 500 + density, voxel_size=8.0)
    result = simulate(volume.parent / "w.mrc", "w.st")
    assert np.abs(images(result) - expected).max() < 2e-3
    assert any("median 500" in note for note in result.notes)


@pytest.mark.parametrize("snr", [0.05, 2.0])
def test_gaussian_noise_has_the_requested_ratio(volume, snr):
    imaging = ImagingConfig(snr=snr, defocus=3.0)
    clean = images(simulate(volume, imaging=imaging, noise="none"))
    noise = images(simulate(volume, "n.st", imaging=imaging)) - clean
    assert clean.var() / noise.var() == pytest.approx(snr, rel=0.05)
    power = np.abs(np.fft.fft2(noise)) ** 2  # white
    k = np.hypot(np.fft.fftfreq(40)[:, None], np.fft.fftfreq(48)[None])
    assert power[:, (k > 0) & (k < 0.2)].mean() == pytest.approx(power[:, k > 0.3].mean(), rel=0.1)


def test_noise_grows_with_the_path_through_the_ice(volume):
    clean = images(simulate(volume))
    noise = images(simulate(volume, "n.st", imaging=ImagingConfig(snr=0.1, growth=1.0))) - clean
    variance = noise.var((1, 2))
    assert variance[0] / variance[3] == pytest.approx(2.0, rel=0.15)
    assert clean.var() / noise.var() == pytest.approx(0.1, rel=0.05)


def test_counts_of_electrons_follow_poisson(volume):
    imaging = ImagingConfig(dose=0.5, snr=0.2, defocus=3.0)
    clean = images(simulate(volume, imaging=imaging, noise="none"))
    result = simulate(volume, "n.st", imaging=imaging, noise="poisson")
    counts = images(result)
    assert np.array_equal(counts, np.rint(counts))
    solvent = np.abs(clean) < 0.02 * clean.max()
    assert counts[solvent].mean() == pytest.approx(0.5 * 8.0**2, rel=0.02)
    assert counts[solvent].var() == pytest.approx(counts[solvent].mean(), rel=0.05)
    gain = np.polyfit(clean.ravel(), counts.ravel(), 1)[0]
    assert gain > 0  # contrast keeps its sign
    assert (gain * clean).var() / (counts - 32 - gain * clean).var() == pytest.approx(0.2, rel=0.1)
    assert "32 electrons a pixel" in " ".join(result.notes)


def test_a_negative_number_of_electrons_is_reported(volume):
    result = simulate(volume, imaging=ImagingConfig(dose=0.1, snr=5.0, defocus=3.0), noise="poisson")
    assert images(result).min() == 0
    assert any("less than 0 electrons" in note for note in result.notes)


def test_the_alignment_reverses_the_misalignment(volume):
    straight = images(simulate(volume, imaging=ImagingConfig(snr=0, mtf="sinc")))
    result = simulate(volume, "m.st", imaging=ImagingConfig(snr=0, mtf="sinc"), misalignment=2.0)
    moved, lines = images(result), np.loadtxt(result.alignment)
    assert result.alignment.name == "m.xf"
    assert lines.shape == (7, 6)
    assert np.array_equal(lines[:, :4], np.tile([1.0, 0, 0, 1], (7, 1)))
    assert 1.0 < lines[:, 4:].std() < 3.5
    assert np.abs(moved - straight).max() > 0.3 * straight.max()
    ky, kx = np.fft.fftfreq(40)[:, None], np.fft.fftfreq(48)[None]
    for image, expected, (dx, dy) in zip(moved, straight, lines[:, 4:], strict=True):
        # IMOD: a point at p of the raw image is at p + (DX, DY) of the aligned one
        back = np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * (ky * dy + kx * dx))).real
        assert np.abs(back - expected)[8:-8, 8:-8].max() < 0.02 * straight.max()


def test_the_noise_does_not_move_with_the_specimen(volume):
    imaging = ImagingConfig(snr=0.1)
    noises = [
        images(simulate(volume, f"{m}b.st", imaging=imaging, misalignment=m))
        - images(simulate(volume, f"{m}a.st", imaging=imaging, misalignment=m, noise="none"))
        for m in (0.0, 2.0)
    ]
    assert np.corrcoef(noises[0].ravel(), noises[1].ravel())[0, 1] > 0.999


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_the_same_seed_gives_the_same_bytes(volume, noise):
    given = {"imaging": ImagingConfig(dose=2.0, defocus=2.0), "noise": noise, "misalignment": 1.0}
    first, again, other = (simulate(volume, f"{n}.st", seed=s, **given) for n, s in (("a", 3), ("b", 3), ("c", 4)))
    assert first.path.read_bytes() == again.path.read_bytes() != other.path.read_bytes()
    assert first.alignment.read_text() == again.alignment.read_text() != other.alignment.read_text()


def test_the_command_line(volume, monkeypatch):
    monkeypatch.chdir(volume.parent)
    (volume.parent / "defocus.txt").write_text("# by tilt\n" + "\n".join(f"{3 + t / 100}" for t in TILTS))
    with gzip.open("g.mrc.gz", "wb") as file:
        file.write(volume.read_bytes())
    arguments = "g.mrc.gz --tilts t.tlt --defocus defocus.txt --dose 3 --mtf sinc --misalignment 1"
    done = CliRunner().invoke(app, ["simulate", "tilts", *arguments.split()])
    assert done.exit_code == 0, done.output
    for name in ("g_simulated.st", "g_simulated.tlt", "g_simulated.xf", "g_simulated_defocus.txt"):
        assert (volume.parent / name).is_file()
        assert name in done.output
    assert np.loadtxt("g_simulated_defocus.txt") == pytest.approx([3 + t / 100 for t in TILTS])
    given = {"imaging": ImagingConfig(dose=3.0, mtf="sinc"), "misalignment": 1.0}
    same = simulate(volume, defocus=[3 + t / 100 for t in TILTS], **given)
    assert np.array_equal(images(same), np.array(read_mrc("g_simulated.st").data))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("absent.mrc --tilts t.tlt", "absent.mrc does not exist"),
        ("v.mrc --tilts absent.tlt", "absent.tlt cannot be read"),
        ("v.mrc --tilts t.tlt --mtf absent.csv", "absent.csv cannot be read"),
        ("v.mrc --tilts t.tlt --defocus absent.txt", "absent.txt cannot be read"),
        ("v.mrc --tilts t.tlt --defocus t.tlt --scheme ascending --dose 1 --voltage 120", "120 kV"),
        ("v.mrc --tilts t.tlt --amplitude-contrast 2", "amplitude_contrast"),
        ("v.mrc --tilts t.tlt --defocus 30000", "defocus of 30000 µm; expected up to 100 µm"),
        ("v.mrc --tilts t.tlt --defocus nan", "defocus: input should be a finite number, got nan"),
        ("v.mrc --tilts t.tlt --defocus 3 --cs inf", "got --cs inf, expected a number"),
        ("v.mrc --tilts t.tlt --defocus 3 --voltage 300000", "voltage of 300000 kV"),
        ("v.mrc --tilts t.tlt --noise poisson", "Poisson noise needs electrons"),
        ("v.mrc --tilts t.tlt --misalignment -1", "misalignment of -1"),
        ("v.mrc --tilts t.tlt --output t.st", "is an input and would be overwritten"),
        ("v.mrc --tilts t.tlt --output there.st", "there.st exists already"),
        ("v.mrc --tilts t.tlt --output s.txt", "no name for an MRC file"),
        ("there.st --tilts t.tlt", "is a stack of 7 images"),
    ],
)
def test_errors_are_one_line_and_leave_no_files(volume, monkeypatch, arguments, message):
    monkeypatch.chdir(volume.parent)
    write_mrc("there.st", np.ones((7, 8, 8), np.float32), voxel_size=8.0)
    before = sorted(p.name for p in volume.parent.iterdir())
    done = CliRunner().invoke(app, ["simulate", "tilts", *arguments.split()])
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert sorted(p.name for p in volume.parent.iterdir()) == before


def test_existing_files_are_overwritten_only_on_request(volume):
    simulate(volume, misalignment=1.0)
    with pytest.raises(OutputError, match="exists already"):
        simulate(volume)
    for name in ("s.st", "s.tlt"):
        (volume.parent / name).unlink()
        with pytest.raises(OutputError, match=r"s\.(xf|tlt|st) exists already"):
            simulate(volume, misalignment=1.0)
    assert simulate(volume, misalignment=1.0, overwrite=True).path.is_file()


@pytest.mark.parametrize(
    ("text", "message"), [("3.0\n2.5\n", "2 values of defocus for 7 tilts"), ("3.0\nfar\n", "'far' in line 2")]
)
def test_a_bad_list_of_defocus_is_refused(volume, text, message):
    path = volume.parent / "d.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        simulate(volume, defocus=read_defocus(path))
    assert not (volume.parent / "s.st").exists()


def test_constant_volumes_are_refused(volume):
    write_mrc(volume, np.full((20, 40, 48), 3.0, np.float32), voxel_size=8.0, overwrite=True)
    with pytest.raises(TomogramError, match="constant projections"):
        simulate(volume)
