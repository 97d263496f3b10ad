"""Measured components can be restored, and the wedge can be left empty, in memory and with a scratch file."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from cryowae.config import ReconstructionConfig, SceneConfig
from cryowae.errors import OutputError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import ForwardModel
from cryowae.restore.consistency import SHELLS, mix_measured, weights_from_halves, weights_from_noise

WEDGE = Wedge.binary(-42, 60)
SHAPES = [(24, 30, 28), (17, 21, 19), (32, 32, 32), (5, 40, 33)]
WAYS = [{}, {"max_bytes": 0, "slab_bytes": 1}, {"max_bytes": 0, "slab_bytes": 2**17}]


def volumes(shape):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) + 0.3 for _ in range(2)]


def measured(shape):
    """Components that are measured for both signs of the Nyquist planes, and for at least one; from kz = tan(t) kx."""
    kz, _, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")

    def inside(kz, kx):
        tilt = np.rad2deg(np.arctan2(kz * np.where(kx < 0, -1, 1), np.abs(kx)))
        return (kx == 0) & (kz == 0) | (tilt >= -42) & (tilt <= 60)

    readings = [
        inside(np.where(kz == -0.5, a * kz, kz), np.where(kx == -0.5, b * kx, kx)) for a in (1, -1) for b in (1, -1)
    ]
    return np.logical_and.reduce(readings), np.logical_or.reduce(readings)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_hard_restores_the_measured_components(shape, way, tmp_path):
    observed, restored = volumes(shape)
    result = restored.copy()
    mix_measured(result, observed, WEDGE, 1.0, scratch_folder=tmp_path, **way)
    x, y, z = (np.fft.fftn(v) for v in (observed, restored, result))
    surely, maybe = measured(shape)
    scale = np.abs(x).std()
    assert np.abs(z - x)[surely].max() < 1e-4 * scale
    assert np.abs(z - y)[~maybe].max() < 1e-4 * scale
    assert np.abs(z - y)[surely].max() > 0.1 * scale


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_leave_empties_the_wedge(shape, way, weight, tmp_path):
    observed, restored = volumes(shape)
    result = restored.copy()
    mix_measured(result, observed, WEDGE, weight, fill=False, scratch_folder=tmp_path, **way)
    x, y, z = (np.fft.fftn(v) for v in (observed, restored, result))
    surely, maybe = measured(shape)
    scale = np.abs(x).std()
    assert np.abs(z)[~maybe].max() < 1e-4 * scale
    assert np.abs(z - weight * x - (1 - weight) * y)[surely].max() < 1e-4 * scale


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scratch_file_gives_the_same_result_as_memory(shape, tmp_path):
    observed, restored = volumes(shape)
    weights = np.linspace(1, 0, SHELLS)
    results = [restored.copy() for _ in WAYS]
    for result, way in zip(results, WAYS, strict=True):
        mix_measured(result, observed, WEDGE, weights, scratch_folder=tmp_path, **way)
    assert all(np.abs(r - results[0]).max() < 1e-5 for r in results[1:])
    assert not np.allclose(results[0], restored)
    assert os.listdir(tmp_path) == []


def test_off_changes_nothing():
    observed, restored = volumes((8, 8, 8))
    result = restored.copy()
    mix_measured(result, observed, WEDGE, 0.0)
    assert (result == restored).all()


def test_the_scratch_file_is_deleted_after_a_failure(tmp_path):
    observed, restored = volumes((8, 8, 8))

    class Broken:
        shape = (8, 8, 8)

        def __getitem__(self, key):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix_measured(restored, Broken(), WEDGE, 1.0, max_bytes=0, scratch_folder=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    observed, restored = volumes((8, 8, 8))
    before = restored.copy()
    with pytest.raises(OutputError, match="needed"):
        mix_measured(restored, observed, WEDGE, 1.0, max_bytes=0, scratch_folder=tmp_path)
    assert (restored == before).all() and os.listdir(tmp_path) == []


def coloured(shape, rng):
    """A signal whose spectrum falls by 1e6 from the centre to the corner, measured components only."""
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")))
    return np.fft.ifftn(np.fft.fftn(rng.normal(size=shape)) * np.exp(-14 * k)).real.astype(np.float32)


def test_weights_from_halves_are_the_wiener_weights():
    rng, shape, sigma = np.random.default_rng(1), (48, 48, 48), 0.2
    signal = coloured(shape, rng)
    half1, half2 = (signal + sigma * rng.normal(size=shape).astype(np.float32) for _ in range(2))
    weights = weights_from_halves(half1, half2, Wedge.binary(-60, 60))
    k = (np.arange(SHELLS) + 0.5) / (2 * SHELLS)
    snr = np.exp(-28 * k) / (sigma**2 / 2)
    error = np.abs(weights - snr / (1 + snr))[2:]
    assert error.max() < 0.2 and error.mean() < 0.06
    assert (weights[-8:] == 0).all()


def test_weights_from_noise_agree_when_the_noise_is_flat():
    rng, shape, sigma = np.random.default_rng(2), (48, 48, 48), 0.2
    noisy = coloured(shape, rng) + sigma * rng.normal(size=shape).astype(np.float32)
    weights = weights_from_noise(noisy, Wedge.binary(-60, 60))
    k = (np.arange(SHELLS) + 0.5) / (2 * SHELLS)
    snr = np.exp(-28 * k) / sigma**2
    error = np.abs(weights - snr / (1 + snr))[2:]
    assert error.max() < 0.2 and error.mean() < 0.06


@pytest.mark.parametrize("weighting", ["ramp", "hann", "sirt"])
@pytest.mark.parametrize("blurred", [False, True], ids=["sharp", "interpolated along y"])
def test_weights_from_noise_are_correct_for_the_noise_of_reconstructions(weighting, blurred):
    """It is coloured by the filter and by interpolation, and the weights are those of the true signal and noise."""
    density = torch.from_numpy(coloured((48, 96, 64), np.random.default_rng(3)) * 30)
    config = SceneConfig(shape=density.shape, reconstruction=ReconstructionConfig(filter=weighting, sirt=10))
    seen = ForwardModel(config).observe(density, torch.Generator().manual_seed(3))
    signal, noise = seen.signal, seen.tomogram(0.5) - seen.signal
    if blurred:
        signal, noise = ((v + v.roll(1, 1)) / 2 for v in (signal, noise))
    wedge = Wedge.binary(-60, 60)
    weights = weights_from_noise((signal + noise).numpy(), wedge)
    mask = wedge.mask((48, 96, 64))
    k = [np.fft.fftfreq(48)[:, None, None], np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(64)]
    shells = (np.sqrt(sum(f**2 for f in k)) * 2 * SHELLS).astype(int)
    powers = [(torch.fft.rfftn(v).abs().square() * mask).numpy() for v in (signal, noise)]
    s, n = (np.bincount(shells.ravel(), p.ravel())[2:SHELLS] for p in powers)
    error = np.abs(weights[2:] - s / (s + n))
    assert error.max() < 0.2 and error.mean() < 0.06


def test_weights_of_zeros_are_zero():
    empty = np.zeros((16, 16, 16), dtype=np.float32)
    assert (weights_from_halves(empty, empty, WEDGE) == 0).all()
    assert (weights_from_noise(empty, WEDGE) == 0).all()
