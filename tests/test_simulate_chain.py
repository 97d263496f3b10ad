"""The commands of `simulate` in sequence: each reads the files of the one before with the same signs and scales."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from cryowae.cli import app
from cryowae.io.mrc import read_mrc, write_mrc

TILTS = (-35, -29.5, -20, -11, -4, 0, 3, 9, 16, 24, 31, 40, 47, 55, 61)
N = 48
GRID = np.arange(N) - (N - 1) / 2
WIDTH = 1.6  # standard deviation of a ball


def ball(*centre):
    return [np.exp(-((GRID - c) ** 2) / (2 * WIDTH**2)) for c in centre]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fourteen balls without any symmetry, seen at uneven and asymmetric tilts."""
    place = tmp_path_factory.mktemp("chain")
    centres = np.random.default_rng(5).uniform(-8, 8, (14, 3))
    density = sum(np.einsum("i,j,k", *ball(*centre)) for centre in centres)
    density[density < 1e-7] = 0
    write_mrc(place / "d.mrc", density.astype(np.float32), voxel_size=8.0)
    (place / "t.tlt").write_text("\n".join(map(str, TILTS)))
    np.savetxt(place / "centres", centres)
    command(place, "tilts d.mrc --tilts t.tlt --noise none --output p.st")
    command(place, "reconstruct p.st --tilts p.tlt --thickness 48 --filter ramp --output r.mrc")
    command(place, "wedge d.mrc --tilt-range -35 61 --output w.mrc")
    return place


def command(folder, line):
    words = [str(folder / word) if "." in word else word for word in line.split()]
    done = CliRunner().invoke(app, ["simulate", *words])
    assert done.exit_code == 0, done.output


def volume(folder, name):
    return np.array(read_mrc(folder / name).data, np.float64)


def ncc(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_a_tilt_moves_high_points_towards_plus_x(folder):
    """The projection of a Gaussian ball is known: `u = x cos t + z sin t`, which puts tilt t on kz = +tan(t) kx."""
    series = volume(folder, "p.st")
    for image, t in zip(series, np.radians(TILTS), strict=True):
        expected = np.zeros((N, N))
        for z, y, x in np.loadtxt(folder / "centres"):
            expected += np.sqrt(2 * np.pi) * WIDTH * np.outer(*ball(y, x * np.cos(t) + z * np.sin(t)))
        assert np.abs(image - expected).max() < 0.01 * series.max()


def test_the_reconstruction_is_the_density_in_its_wedge(folder):
    truth, cut, back = (volume(folder, name) for name in ("d.mrc", "w.mrc", "r.mrc"))
    assert ncc(back, cut) > 0.93
    assert ncc(back, truth) > ncc(back, truth[::-1]) + 0.3
    assert (back * cut).sum() / (cut * cut).sum() == pytest.approx(1, abs=0.05)


def test_the_mask_of_the_wedge_contains_the_power_of_the_reconstruction(folder):
    power = np.abs(np.fft.fftshift(np.fft.fftn(volume(folder, "r.mrc")))) ** 2
    mask = volume(folder, "w_mask.mrc") > 0.5
    k = np.fft.fftshift(np.fft.fftfreq(N))
    kz, kx = k[:, None, None], k[None, None, :]
    band = np.broadcast_to((np.hypot(kz, kx) > 0.1) & (np.hypot(kz, kx) < 0.35), mask.shape)
    inside, outside = power[mask & band].mean(), power[~mask & band].mean()
    flipped = power[mask[::-1] & band].mean() / power[~mask[::-1] & band].mean()
    assert inside > 8 * outside
    assert inside / outside > 2 * flipped


def test_a_wedge_has_the_noise_of_the_series(folder):
    """`wedge --noise` makes in Fourier space what `tilts --snr` and `reconstruct` make with images."""
    command(folder, "tilts d.mrc --tilts t.tlt --snr 1 --output n.st")
    command(folder, "reconstruct n.st --tilts n.tlt --thickness 48 --filter ramp --output rn.mrc")
    command(folder, "wedge d.mrc --tilts t.tlt --noise 1 --output wn.mrc")
    command(folder, "wedge d.mrc --tilts t.tlt --output wf.mrc")
    middle = (slice(16, 32),) * 3
    images = (volume(folder, "rn.mrc") - volume(folder, "r.mrc"))[middle].std()
    assert (volume(folder, "wn.mrc") - volume(folder, "wf.mrc"))[middle].std() == pytest.approx(images, rel=0.1)
