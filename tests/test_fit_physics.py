"""The physics of a tomogram: its signal-to-noise ratio and transfer are found, noise is refused, scenes have them."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from fit_parts import ANGLES, BASE, PHYSICS, item_from, noise_of, observe, scene_of
from scipy.fft import dctn, idctn
from torch.testing import assert_close

from cryowae.config import ImagingConfig, SceneConfig
from cryowae.data import SyntheticPairs
from cryowae.data.scene_draws import draw_scene, training_scene
from cryowae.errors import TomogramError
from cryowae.fit.physics import Physics, measure_physics, tilts_of
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.microscope import radial_gains
from cryowae.imaging.observation import ForwardModel
from cryowae.specimen.builder import build_specimen
from cryowae.tomogram.spectrum import half_power

FREQUENCIES = np.linspace(0, 0.5, 17)


@pytest.fixture(scope="module")
def hann():
    """A scene whose reconstruction has a Hann filter along the detector, as programs for tomography apply it."""
    return observe(scene_of(filter="hann"))[1]


@pytest.fixture
def few(monkeypatch):
    """Compare with fewer scenes, where the ratio need not be precise."""
    monkeypatch.setattr("cryowae.fit.physics._SCENES", 1)


@pytest.mark.parametrize("snr", [0.05, pytest.param(0.3, marks=pytest.mark.slow)])
def test_the_ratio_of_one_volume_is_found(hann, snr):
    found = measure_physics(item_from(hann.tomogram(snr).numpy()), BASE)
    assert snr / 2 < found.snr < 2 * snr
    assert not found.from_halves and found.angles == ANGLES and found.voxel_size == 10
    assert min(found.scene_snrs) <= found.snr <= max(found.scene_snrs)
    # Hann: 1 at frequency 0, about 0 at 0.5 in the plane of z and x; frequencies along y have their own
    assert found.noise_gains[2] > 0.9 and 0.5 < found.noise_gains[4] < 0.95 and found.noise_gains[16] < 0.35
    assert (np.diff(found.noise_gains[2:]) < 0.03).all()


@pytest.mark.parametrize("snr", [0.05, pytest.param(0.3, marks=pytest.mark.slow)])
def test_halves_give_the_ratio_and_the_transfer_also_of_an_isotropic_filter(snr):
    """A filter that is the same in all directions: the noise of one volume cannot be told from its signal."""
    gains = tuple((1 - FREQUENCIES).tolist())
    observation = observe(scene_of(gains=gains))[1]
    halves = tuple(half.numpy() for half in observation.halves(snr))
    found = measure_physics(item_from(observation.tomogram(snr).numpy(), halves), BASE)
    assert found.from_halves and snr / 2 < found.snr < 2 * snr
    known = np.array(found.noise_gains)[4:] / np.mean(found.noise_gains[4:])
    assert known == pytest.approx(np.array(gains)[4:] / np.mean(gains[4:]), rel=0.1)


def test_the_share_of_noise_follows_the_ratio(hann, few):
    strong, weak = (measure_physics(item_from(hann.tomogram(snr).numpy()), BASE).noise_share for snr in (2.0, 0.1))
    assert strong < 0.7 < 0.85 < weak <= 1


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_is_refused_in_one_line(seed):
    one, two = noise_of(seed=seed)
    for halves in (None, (one, two)):
        with pytest.raises(TomogramError, match="no signal above the noise between 62 and 500 Å") as error:
            measure_physics(item_from((one + two) / 2, halves), BASE)
        assert "\n" not in str(error.value)


def test_scenes_without_molecules_do_not_count(hann, few):
    """Where most scenes are empty, those that the tomogram is compared with still have molecules."""
    found = measure_physics(item_from(hann.tomogram(0.3).numpy()), BASE.model_copy(update={"vacant": 1.0}))
    assert 0.1 < found.snr < 0.9


def test_beads_do_not_change_the_ratio(hann, few):
    volume = hann.tomogram(0.3).numpy()
    expected = measure_physics(item_from(volume), BASE).snr
    volume[24:27, 30:33, 30:33] -= 100 * volume.std()
    assert measure_physics(item_from(volume), BASE).snr == pytest.approx(expected, rel=0.5)


def test_half_power_tells_signal_from_noise():
    """White signal of variance 1 and noise of variance 2 in each half: 1 in their mean."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(64, 64, 64))
    halves = [signal + 2**0.5 * rng.normal(size=signal.shape) for _ in range(2)]
    found = half_power(*halves, Wedge.binary(-90, 90))
    assert found.snr[8:].mean() == pytest.approx(1, abs=0.05) and found.snr[8:] == pytest.approx(1, abs=0.4)
    assert found.power[8:].mean() == pytest.approx(2 * found.noise[8:].mean(), rel=0.05)


def test_the_tilts_are_those_of_the_file_or_even():
    volume = np.zeros((16, 16, 16))
    assert tilts_of(item_from(volume, tilts=(-60.0, -60.0, 3.0, 60.0))) == (-60.0, 3.0, 60.0)
    assert tilts_of(item_from(volume, tilts=None)) == tuple(range(-60, 61, 3))


def test_physics_survive_a_file_and_make_a_rehearsal():
    assert Physics.from_values(json.loads(json.dumps(asdict(PHYSICS)))) == PHYSICS
    made = PHYSICS.rehearsal(BASE)
    low, high = made.snr
    assert low < PHYSICS.snr < high and (made.plain, made.angles, made.voxel_size) == (1.0, ANGLES, 10.0)
    assert "\n" not in PHYSICS.summary and "0.5 (0.4 to 0.6)" in PHYSICS.summary


def test_simulated_noise_has_the_share_of_the_variance_and_the_wedge():
    noise = PHYSICS.noise((32, 48, 48), 3)
    assert float(noise.std()) == pytest.approx(0.8**0.5, rel=1e-3)
    assert torch.equal(noise, PHYSICS.noise((32, 48, 48), 3)) and not torch.equal(noise, PHYSICS.noise((32, 48, 48), 4))
    power = torch.fft.rfftn(noise).abs().square()
    missing = Wedge.binary(-68, 68).mask((32, 48, 48)) == 0
    assert float(power[missing].mean()) < 0.05 * float(power[~missing].mean())


# ---- scenes with a measured transfer


def test_gains_are_interpolated_along_the_radius_and_constant_beyond():
    gains, shape = (1.0, 0.5, 0.2), (16, 24)
    factor = radial_gains(gains, shape).numpy()
    assert factor.shape == (32, 25) and factor.dtype == np.float32
    ky, kx = np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(48)
    k = np.hypot(ky, kx)
    straight = np.where(k < 0.25, 1 - 2 * k, 0.5 - 1.2 * (k - 0.25))
    assert factor[k < 0.5] == pytest.approx(straight[k < 0.5], abs=1e-5)
    assert factor[k >= 0.5] == pytest.approx(0.2)


def test_a_scene_with_gains_has_exactly_filtered_images():
    """A cosine transform is the transform of the mirrored image."""
    gains = (1.0, 0.8, 0.1)
    plain, filtered = ForwardModel(scene_of((16, 24, 32))), ForwardModel(scene_of((16, 24, 32), gains=gains))
    images = torch.randn(len(ANGLES), 24, 32, generator=torch.Generator().manual_seed(0))
    k = np.hypot(np.arange(24)[:, None] / 48, np.arange(32) / 64)
    factor = np.interp(k, (0, 0.25, 0.5), gains)
    expected = np.stack([idctn(factor * dctn(image, norm="ortho"), norm="ortho") for image in images.numpy()])
    assert_close(filtered.reconstruct(images), plain.reconstruct(torch.from_numpy(expected).float()), atol=2e-4, rtol=0)
    assert_close(filtered.images(torch.ones(16, 24, 32)), plain.images(torch.ones(16, 24, 32)))


def test_noise_can_have_a_spectrum_and_keeps_its_variance():
    images = {}
    for name, gains in (("white", None), ("falling", (1.0, 0.5, 0.0))):
        imaging = ImagingConfig(angles=ANGLES, noise_gains=gains)
        model = ForwardModel(scene_of((16, 64, 64)).model_copy(update={"imaging": imaging}))
        images[name] = model.noise(1, torch.Generator().manual_seed(0))[0]
        assert float(images[name].std()) == pytest.approx(1, rel=0.02)
    power = {name: (torch.fft.fft2(image).abs() ** 2).mean(0).numpy() for name, image in images.items()}
    k = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    ratio = [np.mean((power["falling"] / power["white"])[(k > f - 0.02) & (k < f + 0.02)]) for f in (0.06, 0.25, 0.44)]
    assert ratio[1] / ratio[0] == pytest.approx((0.5 / 0.88) ** 2, rel=0.15) and ratio[2] / ratio[0] < 0.03
    drawn = [draw_scene(BASE.model_copy(update={"noise_gains": (1.0, 0.5), "plain": 0.5}), 0, i) for i in range(12)]
    spectra = {one.imaging.noise_gains for one in drawn}
    assert spectra == {None, (1.0, 0.5)}


def test_plain_scenes_have_the_angles_and_the_gains_and_others_do_not():
    config = BASE.model_copy(update={"angles": ANGLES, "gains": (1.0, 0.5), "plain": 0.5})
    drawn = [draw_scene(config, 0, i) for i in range(12)]
    plain = [one for one in drawn if one.imaging.angles == ANGLES]
    assert 0 < len(plain) < 12
    assert all(one.reconstruction.gains == (1.0, 0.5) and one.reconstruction.filter == "ramp" for one in plain)
    assert all(one.reconstruction.gains is None for one in drawn if one not in plain)


def test_background_is_in_the_truth_and_ice_is_not():
    bare = {"shape": (32, 48, 48), "molecules": {"procedural": 0, "occupancy": 0.0}}
    background, ice = (build_specimen(SceneConfig(**bare, **{name: 0.1})) for name in ("background", "ice"))
    assert float(background.density.std()) == pytest.approx(0.1, rel=1e-3)
    assert_close(background.beam, background.density)
    assert float(ice.density.abs().max()) == 0 and float(ice.beam.std()) == pytest.approx(0.1, rel=1e-3)
    both = build_specimen(SceneConfig(**bare, background=0.1, ice=0.1))
    assert float((both.beam - both.density).std()) == pytest.approx(0.1, rel=1e-3)
    assert abs(np.corrcoef((both.beam - both.density).ravel(), both.density.ravel())[0, 1]) < 0.9


def test_without_background_the_scenes_are_those_of_earlier_versions():
    """Numbers that version 0.3 drew for these scenes."""
    features = dict.fromkeys(("membranes", "filaments", "ice", "ctf", "beads", "vesicles"), 0.5)
    config = BASE.model_copy(
        update={"scene": (24, 32, 32), "occupancy": (0.01, 0.25), "crops_per_scene": 4, **features}
    )
    drawn = [draw_scene(config, 3, i) for i in range(3)]
    assert [one.seed for one in drawn] == [323855431, 1265641487, 1522457510]
    assert [one.voxel_size for one in drawn] == [10.0, 15.0, 10.0] and [one.above for one in drawn] == [0.0, 30.0, 0.0]
    assert drawn[1].imaging.angles[:2] == pytest.approx((-53.7587, -49.7587), abs=1e-4)
    assert all(one.background == 0 and one.reconstruction.gains is None for one in drawn)


def test_the_share_of_scenes_with_background():
    drawn = [draw_scene(BASE.model_copy(update={"background": 0.5}), 0, i).background for i in range(40)]
    assert 10 < sum(value > 0 for value in drawn) < 30
    assert all(value == 0 or 0.02 <= value <= 0.15 for value in drawn)


def test_real_noise_replaces_the_simulated_noise_at_its_strength():
    """The batch is that of the simulated noise, with another noise: here the sign of its two volumes differs."""
    config = BASE.model_copy(update={"scene": (24, 32, 32), "empty": 1.0, "plain": 1.0, "snr": (0.1, 0.1), "batch": 4})
    field = torch.randn(24, 40, 24, generator=torch.Generator().manual_seed(1))
    noise = 50 * torch.stack([field.abs(), -field.abs()])
    with SyntheticPairs(config, 0) as simulated, SyntheticPairs(config, 0, noise=noise) as real:
        one, two = simulated.batch(0), real.batch(0)
    means = torch.stack([two.observation, two.other]).mean((2, 3, 4, 5))
    assert (means[0] * means[1] < 0).all() and float(means.abs().min()) > 5 * float(one.observation.mean().abs())
    scene = training_scene(config, 0, 0, [])
    other = scene.with_noise(noise)
    assert float(other.noise.float().std()) == pytest.approx(float(scene.noise.float().std()), rel=0.01)
    assert torch.equal(other.signal, scene.signal)
