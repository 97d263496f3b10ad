"""`simulate wedge` against independent NumPy transforms, sums along rays and back-projections."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from matplotlib.image import imread
from scipy.ndimage import gaussian_filter, map_coordinates
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io import memory
from cryowae.io.mrc import write_mrc
from cryowae.simulate import tomogram_slabs
from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of
from cryowae.tomogram import open_tomogram

SHAPE = (24, 20, 40)
TILTS = np.arange(-40.0, 61.0, 4.0)


def blobs(shape=SHAPE, seed=0, level=5.0, border=3) -> np.ndarray:
    """Balls far from the faces of a box of solvent."""
    rng = np.random.default_rng(seed)
    volume = np.zeros(shape)
    for _ in range(8):
        volume[tuple(rng.integers(border, n - border) for n in shape)] += rng.uniform(200, 500)
    return (gaussian_filter(volume, 1.3, truncate=6) + level).astype(np.float32)


def save(folder: Path, volume: np.ndarray, name: str = "thing.mrc", **options) -> Path:
    write_mrc(folder / name, volume, voxel_size=8.0, **options)
    return folder / name


def read(path: Path) -> np.ndarray:
    with mrcfile.open(path) as file:
        return np.array(file.data)


def filtered_by_numpy(volume: np.ndarray, low: float, high: float, times: int = 2) -> np.ndarray:
    """The volume without the components beyond the tilts, computed in a box of `times` its size."""
    z, y, x = volume.shape
    level = np.median(volume)
    padded = np.zeros((times * z, y, times * x))
    padded[:z, :, :x] = volume - level
    kz, _, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in padded.shape], indexing="ij")
    tilt = np.rad2deg(np.arctan2(kz * np.sign(kx), np.abs(kx)))
    kept = (tilt >= low) & (tilt <= high) & (kx != 0) | (kz == 0) & (kx == 0)
    return np.fft.ifftn(np.fft.fftn(padded) * kept).real[:z, :, :x] + level


def rows_of_back_projected_noise(tilts: np.ndarray, z: int, x: int, rows: int, seed: int = 0) -> np.ndarray:
    """`(rows, z, x)`: white noise of unit deviation on every detector row, filtered by a ramp and back-projected."""
    rng = np.random.default_rng(seed)
    width = 4 * max(z, x)
    k = np.fft.fftfreq(width)
    step = np.deg2rad(tilts[1] - tilts[0])
    grid = np.mgrid[:z, :x] - np.array([(z - 1) / 2, (x - 1) / 2])[:, None, None]
    volume = np.zeros((rows, z, x))
    for tilt in np.deg2rad(tilts):
        ramped = np.fft.fft(rng.normal(size=(rows, width))) * np.abs(k) / width
        u = grid[1] * np.cos(tilt) + grid[0] * np.sin(tilt)
        waves = np.exp(2j * np.pi * k[:, None] * u.ravel())  # between the pixels too, without interpolation
        volume += step * (ramped @ waves).real.reshape(volume.shape)
    return volume


def test_the_result_is_that_of_numpy_in_twice_the_box(tmp_path):
    volume = blobs()
    result = simulate_wedge(save(tmp_path, volume), wedge=Wedge.binary(-40, 60))
    found = read(result.path)
    assert np.abs(found - filtered_by_numpy(volume, -40, 60)).max() < 0.01 * np.ptp(volume)  # Nyquist planes are shared
    assert np.abs(found - filtered_by_numpy(volume, -60, 40)).max() > 0.1 * np.ptp(volume)


def test_tails_do_not_wrap_around_to_the_other_face(tmp_path):
    volume = np.zeros((32, 8, 32), np.float32)
    volume[2, 4, 16] = 1000
    volume = gaussian_filter(volume, 1.2)
    found = read(simulate_wedge(save(tmp_path, volume), wedge=Wedge.binary(-30, 30)).path)
    unbounded = filtered_by_numpy(volume, -30, 30, times=8)
    wrapped = filtered_by_numpy(volume, -30, 30, times=1)
    far = slice(20, None)
    assert np.abs(found - unbounded)[far].max() < 0.4 * np.abs(wrapped - unbounded)[far].max()
    assert np.abs(found - unbounded).max() < 0.02 * np.ptp(unbounded)


def test_the_mask_is_shifted_and_has_the_sign_of_the_tilts(tmp_path):
    for shape in ((24, 20, 40), (25, 9, 31)):
        result = simulate_wedge(
            save(tmp_path, blobs(shape), f"{shape[0]}.mrc"),
            tmp_path / f"out{shape[0]}.mrc",
            wedge=Wedge.binary(-40, 60),
        )
        mask = read(result.mask)
        assert mask.shape == shape and set(np.unique(mask)) == {0.0, 1.0}
        kz, _, kx = np.meshgrid(*[np.fft.fftshift(np.fft.fftfreq(n)) for n in shape], indexing="ij")
        tilt = np.rad2deg(np.arctan2(kz * np.sign(kx), np.abs(kx)))
        inner = (np.abs(kz) < 0.5) & (np.abs(kx) < 0.5) & (kx != 0)
        assert (mask == ((tilt >= -40) & (tilt <= 60)))[inner].all()
        assert mask[tuple(n // 2 for n in shape)] == 1
        assert result.measured_share == pytest.approx(mask.mean())
        assert result.mask.name == f"out{shape[0]}_mask.mrc"


def test_single_tilts_are_used_where_they_are_known(tmp_path):
    source = save(tmp_path, blobs((32, 8, 32)))
    (tmp_path / "few.tlt").write_text("-40\n0\n50\n")
    tomogram = open_tomogram(source, tilts=tmp_path / "few.tlt")
    wedge = wedge_of(tomogram)
    assert wedge.angles == (-40, 0, 50) and wedge.thickness == pytest.approx(1 / 32)
    assert wedge_of(tomogram, soft=True) == Wedge.soft(-40, 50, 5)
    assert wedge_of(open_tomogram(source, tilt_range=(-40, 50))) == Wedge.binary(-40, 50)
    mask = read(simulate_wedge(tomogram, wedge=wedge).mask)
    for tilt, expected in ((-40, 1), (0, 1), (50, 1), (-20, 0), (25, 0), (70, 0)):
        kz, kx = 12 * np.sin(np.deg2rad(tilt)), 12 * np.cos(np.deg2rad(tilt))
        assert mask[16 + round(kz), 3, 16 + round(kx)] == expected, tilt


def test_the_signal_to_noise_ratio_is_that_of_the_projections(tmp_path):
    """The projections are sums along rays. A ramp leaves n span^2 / 12 of the variance of the noise of n tilts."""
    volume = blobs((24, 24, 24), border=8)
    (tmp_path / "all.tlt").write_text("".join(f"{t}\n" for t in TILTS))
    source = open_tomogram(save(tmp_path, volume), tilts=tmp_path / "all.tlt")
    grid = np.mgrid[:24, :24] - 11.5
    sums = []
    for tilt in np.deg2rad(TILTS):  # sample the volume on a grid rotated with the beam: its columns are the rays
        z = grid[0] * np.cos(tilt) + grid[1] * np.sin(tilt) + 11.5
        x = -grid[0] * np.sin(tilt) + grid[1] * np.cos(tilt) + 11.5
        turned = [map_coordinates(volume[:, y] - 5, [z, x], order=3) for y in range(24)]
        sums.append([row.sum(0) for row in turned])
    sigma = np.std(sums) / np.sqrt(0.25)
    for name, wedge in (("range", Wedge.binary(-40, 60)), ("fan", wedge_of(source))):
        clean = simulate_wedge(source, tmp_path / f"{name}_clean.mrc", wedge=wedge)
        noisy = simulate_wedge(source, tmp_path / f"{name}_noisy.mrc", wedge=wedge, noise=0.25)
        assert clean.sigma == 0 and noisy.sigma == pytest.approx(sigma, rel=0.03)
        step = np.deg2rad(4 if name == "fan" else 100 / 33)
        count = 26 if name == "fan" else 34
        variance = np.var(read(noisy.path) - read(clean.path))
        assert variance == pytest.approx(sigma**2 * count * step**2 / 12, rel=0.12)


def test_noise_has_the_spectrum_of_a_back_projection(tmp_path):
    shape, rows = (48, 40, 48), 40
    volume = blobs(shape)
    (tmp_path / "all.tlt").write_text("".join(f"{t}\n" for t in TILTS))
    source = open_tomogram(save(tmp_path, volume), tilts=tmp_path / "all.tlt")
    wedge = wedge_of(source)
    clean = read(simulate_wedge(source, tmp_path / "clean.mrc", wedge=wedge).path)
    result = simulate_wedge(source, tmp_path / "noisy.mrc", wedge=wedge, noise=0.01)
    noise = (read(result.path) - clean).transpose(1, 0, 2) / result.sigma
    expected = rows_of_back_projected_noise(TILTS, 48, 48, rows)
    taper = np.outer(np.hanning(48), np.hanning(48))
    power, wanted = ((np.abs(np.fft.fft2(v * taper)) ** 2).mean(0) for v in (noise, expected))
    kz, kx = np.meshgrid(np.fft.fftfreq(48), np.fft.fftfreq(48), indexing="ij")
    k, tilt = np.hypot(kz, kx), np.rad2deg(np.arctan2(kz * np.sign(kx), np.abs(kx)))
    inside = (tilt > -36) & (tilt < 56)
    for low in (0.05, 0.15, 0.25, 0.35):
        shell = inside & (k >= low) & (k < low + 0.1)
        assert power[shell].mean() == pytest.approx(wanted[shell].mean(), rel=0.12), low
    gap = ((tilt < -50) | (tilt > 70)) & (k > 0.15) & (k < 0.45)
    assert power[gap].mean() < 1e-3 * power[inside & (k > 0.15) & (k < 0.45)].mean()
    along_y = np.abs(np.fft.fft(noise, axis=0)) ** 2
    assert along_y[1:7].mean() == pytest.approx(along_y[14:20].mean(), rel=0.15)  # flat along k_y


def test_noise_depends_on_its_seed_only(tmp_path):
    source = save(tmp_path, blobs())
    options = {"wedge": Wedge.soft(-60, 60, 5), "noise": 0.1}
    files = [tmp_path / f"{i}.mrc" for i in range(3)]
    for path, seed in zip(files, (4, 4, 5), strict=True):
        simulate_wedge(source, path, seed=seed, **options)
    one, same, other = map(read, files)
    assert np.array_equal(one, same)
    clean = read(simulate_wedge(source, wedge=options["wedge"]).path)
    assert abs(np.corrcoef((one - clean).ravel(), (other - clean).ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("seed", [0, 3])
def test_the_rotation_is_the_one_that_is_reported(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(tomogram_slabs, "_ROTATED_VOXELS", 3000)  # several slabs
    shape = (30, 26, 36)  # twice that are sizes that need no more padding
    centre, radius = (np.array(shape) - 1) / 2, np.array([4.0, -5.0, 7.0])
    z, y, x = np.indices(shape)
    at = centre + radius
    ball = np.exp(-((z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2) / 6)
    result = simulate_wedge(save(tmp_path, ball.astype(np.float32)), wedge=Wedge.binary(-60, 60), rotate=seed)
    # by hand, in x, y, z: along the axis nothing changes, across it the right-hand rule holds
    axis, v = np.array(result.rotation.axis)[::-1], radius[::-1]
    t = np.deg2rad(result.rotation.angle)
    expected = v * np.cos(t) + np.cross(axis, v) * np.sin(t) + axis * (axis @ v) * (1 - np.cos(t))
    turned = read(result.turned).astype(float)
    found = np.array([(grid * turned).sum() / turned.sum() for grid in (x, y, z)]) - centre[::-1]
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.linalg.norm(expected - v) > 3
    # and the wedge is removed from the rotated volume, in the frame of the microscope
    assert np.abs(read(result.path) - filtered_by_numpy(turned, -60, 60)).max() < 0.02


def test_a_rotation_is_written_into_the_label(tmp_path):
    result = simulate_wedge(save(tmp_path, blobs()), wedge=Wedge.binary(-42.3, 60), rotate=3, noise=0.1)
    with mrcfile.open(result.path) as file:
        text = file.get_labels()[-1]
    z, y, x = result.rotation.axis
    assert f"wedge -42.3:+60 SNR 0.1 turned {result.rotation.angle:.1f} deg zyx {z:.2f} {y:.2f} {x:.2f}" in text


def test_header_scale_and_axes_are_carried_over(tmp_path):
    volume = blobs(level=100)
    source = save(tmp_path, volume, "a.mrc", axes="xzy", label="the first label")
    with mrcfile.mmap(source, "r+") as file:
        file.header.origin.x = 42
    tomogram = open_tomogram(source, tilt_range=(-40, 60), axes="xzy")
    result = simulate_wedge(tomogram, wedge=tomogram.wedge)
    assert mrcfile.validate(result.path) and mrcfile.validate(result.mask)
    with mrcfile.open(result.path) as file:
        assert file.header.origin.x == 42 and file.voxel_size.x == pytest.approx(8)
        assert "the first label" in file.get_labels()[0]
    found = open_tomogram(result.path, tilt_range=(-40, 60), axes="xzy").read()
    assert np.abs(found - filtered_by_numpy(volume, -40, 60)).max() < 0.01 * np.ptp(volume)
    assert read(result.mask).shape == SHAPE
    assert found.mean() == pytest.approx(volume.mean(), rel=0.01)


def test_blocks_do_not_change_the_result(tmp_path, monkeypatch):
    source = save(tmp_path, blobs())
    whole = read(simulate_wedge(source, tmp_path / "whole.mrc", wedge=Wedge.binary(-40, 60)).path)
    monkeypatch.setattr("cryowae.simulate.missing_wedge._BLOCK_VOXELS", 3 * 48 * 80)
    parts = read(simulate_wedge(source, tmp_path / "parts.mrc", wedge=Wedge.binary(-40, 60)).path)
    np.testing.assert_allclose(parts, whole, atol=1e-4)


def test_no_file_is_overwritten_and_no_partial_file_is_left(tmp_path):
    volume = blobs()
    source = save(tmp_path, volume)
    (tmp_path / "thing_wedge_mask.mrc").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        simulate_wedge(source, wedge=Wedge.binary(-40, 60))
    simulate_wedge(source, wedge=Wedge.binary(-40, 60), overwrite=True)
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        simulate_wedge(source, source, wedge=Wedge.binary(-40, 60), overwrite=True)
    with pytest.raises(OutputError, match=r"ends in \.mrc"):
        simulate_wedge(source, tmp_path / "a.png", wedge=Wedge.binary(-40, 60))
    volume[3, 3, 3] = np.nan
    with mrcfile.new_mmap(tmp_path / "nan.mrc", SHAPE, mrc_mode=2) as file:
        file.data[:] = volume
        file.voxel_size = 8
    before = sorted(tmp_path.iterdir())
    with pytest.raises(TomogramError, match="NaN"):
        simulate_wedge(tmp_path / "nan.mrc", wedge=Wedge.binary(-40, 60), rotate=1)
    assert sorted(tmp_path.iterdir()) == before


def test_impossible_requests_are_refused(tmp_path, monkeypatch):
    source = save(tmp_path, blobs())
    for noise in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="signal-to-noise"):
            simulate_wedge(source, wedge=Wedge.binary(-40, 60), noise=noise)
    with pytest.raises(TomogramError, match="constant"):
        simulate_wedge(save(tmp_path, np.ones(SHAPE, np.float32), "flat.mrc"), wedge=Wedge.binary(-4, 6), noise=1.0)
    monkeypatch.setattr(memory, "free_memory", lambda: 1e6)
    with pytest.raises(TomogramError, match="GB of memory") as caught:
        simulate_wedge(source, wedge=Wedge.binary(-40, 60), rotate=1)
    assert "\n" not in str(caught.value)


def test_the_command(tmp_path):
    source = save(tmp_path, blobs())
    arguments = ["simulate", "wedge", str(source), "--tilt-range", "-40", "60", "--noise", "0.5", "--rotate", "2"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    names = ["thing_wedge.mrc", "thing_wedge_mask.mrc", "thing_wedge_turned.mrc", "thing_wedge.png"]
    assert all(str(tmp_path / name) in done.output and (tmp_path / name).is_file() for name in names)
    assert "degrees about (z, y, x)" in done.output and "SNR 0.5" in done.output
    assert imread(tmp_path / "thing_wedge.png").std() > 0.05
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2 and "--overwrite" in again.output and again.output.count("\n") == 1
    neither = CliRunner().invoke(app, arguments[:3])
    assert neither.exit_code == 2 and "--tilt-range" in neither.output
