"""The microscope against textbook formulas: CTF, radiation damage, detector."""

import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cryowae.config.scene import ImagingConfig, SceneConfig
from cryowae.errors import ConfigError
from cryowae.imaging.exposure import accumulated_dose, acquisition_order, read_mtf
from cryowae.imaging.microscope import Microscope, apply_transfer
from cryowae.imaging.observation import ForwardModel
from cryowae.imaging.projection import TiltGeometry, back_project, even_tilts, project

CLEAN = ImagingConfig()
ANGLES = (-40.0, 0.0, 40.0)
SHAPE = (24, 32)


def wavelength(kilovolts):
    """Relativistic de Broglie wavelength in angstrom; constants of CODATA."""
    h, m, e, c = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 2.99792458e8
    energy = kilovolts * 1e3 * e
    return 1e10 * h / np.sqrt(2 * m * energy * (1 + energy / (2 * m * c**2)))


def phase(k, defocus=3.0, kilovolts=300.0, cs=2.7, amplitude=0.07, shift=0.0):
    """Radians at `k` 1/angstrom of an image `defocus` micrometres under focus (Rohou and Grigorieff, 2015)."""
    wave = wavelength(kilovolts)
    lens = np.pi * wave * k**2 * (defocus * 1e4 - 0.5 * wave**2 * k**2 * cs * 1e7)
    return lens + np.deg2rad(shift) + np.arctan2(amplitude, np.sqrt(1 - amplitude**2))


def along_x(factor, voxel_size):
    """Frequencies in 1/angstrom and the factor on ky = 0."""
    row = factor[0].double().numpy()
    return np.arange(len(row)) / (2 * (len(row) - 1) * voxel_size), row


@pytest.mark.parametrize(
    "parameters",
    [
        {"defocus": 3.0},
        {"defocus": 1.2, "kilovolts": 200.0, "cs": 2.0, "amplitude": 0.1},
        {"defocus": 2.0, "shift": 90.0},
        {"defocus": -0.8},
    ],
)
def test_the_contrast_transfer_function_is_that_of_the_textbook(parameters):
    p = {"kilovolts": 300.0, "cs": 2.7, "amplitude": 0.07, "shift": 0.0} | parameters
    imaging = ImagingConfig(
        defocus=p["defocus"],
        voltage=p["kilovolts"],
        cs=p["cs"],
        amplitude_contrast=p["amplitude"],
        phase_shift=p["shift"],
    )
    factor = Microscope(imaging, ANGLES, 2.5).transfer((4, 600))
    assert factor.shape == (3, 8, 601)
    assert factor.dtype == torch.float32
    k, found = along_x(factor[1], 2.5)
    assert np.abs(found - np.sin(phase(k, **p))).max() < 1e-3


def test_thon_rings_are_dark_where_the_phase_is_a_multiple_of_pi():
    noise = torch.randn(3, 512, 512, generator=torch.Generator().manual_seed(1))
    seen = apply_transfer(noise, Microscope(ImagingConfig(defocus=3.0), ANGLES, 5.0).transfer((512, 512)))
    power = torch.fft.fft2(seen).abs().square().mean(0).numpy()
    k1 = np.fft.fftfreq(512, 5.0)
    k = np.hypot(k1[:, None], k1[None])
    fine = np.linspace(0, 0.095, 20000)
    dark = [fine[np.argmin(np.abs(phase(fine) - n * np.pi))] for n in range(1, 5)]
    bright = [fine[np.argmin(np.abs(phase(fine) - (n + 0.5) * np.pi))] for n in range(1, 5)]
    for zero, peak in zip(dark, bright, strict=True):
        ring = [power[np.abs(k - centre) < 0.0003].mean() for centre in (zero, peak)]
        assert ring[0] < 0.05 * ring[1]


def test_protein_stays_bright_under_focus_and_turns_dark_over_focus():
    y, x = torch.meshgrid(torch.arange(48.0) - 24, torch.arange(48.0) - 24, indexing="ij")
    blob = torch.exp(-(x**2 + y**2) / (2 * 2.0**2)).expand(3, -1, -1)  # 47 angstrom wide
    for defocus, sign in ((3.0, 1), (-3.0, -1)):
        seen = apply_transfer(blob, Microscope(ImagingConfig(defocus=defocus), ANGLES, 10.0).transfer((48, 48)))
        assert sign * (seen[1, 24, 24] - seen[1, 0, 0]) > 0.05
    assert Microscope(ImagingConfig(defocus=3.0), ANGLES, 10.0).transfer((48, 48))[0, 0, 0] == pytest.approx(
        0.07, abs=1e-5
    )


def test_every_tilt_has_its_own_defocus():
    given = list(Microscope(CLEAN, ANGLES, 4.0, (2.0, 3.0, 4.0)).transfers(SHAPE))
    for tilt, defocus in enumerate((2.0, 3.0, 4.0)):
        assert_close(given[tilt], Microscope(ImagingConfig(defocus=defocus), ANGLES, 4.0).transfer(SHAPE)[tilt])
    with pytest.raises(ConfigError, match="2 values of defocus for 3 tilts"):
        next(Microscope(CLEAN, ANGLES, 4.0, (2.0, 3.0)).transfers(SHAPE))


@pytest.mark.parametrize(("kilovolts", "toughness"), [(300.0, 1.0), (200.0, 0.8)])
def test_radiation_damage_follows_the_critical_exposure(kilovolts, toughness):
    imaging = ImagingConfig(dose=3.0, voltage=kilovolts, scheme="ascending")
    factor = Microscope(imaging, ANGLES, 5.0).transfer((4, 64))
    for tilt, received in enumerate((1.5, 4.5, 7.5)):  # at the middle of each exposure
        k, found = along_x(factor[tilt], 5.0)
        critical = toughness * (0.245 * k[1:] ** -1.665 + 2.81)
        assert found[0] == 1
        assert np.abs(found[1:] - np.exp(-received / (2 * critical))).max() < 1e-5


def test_a_dose_at_a_voltage_without_measured_exposures_is_refused():
    with pytest.raises(ConfigError, match="120 kV"):
        Microscope(ImagingConfig(dose=3.0, voltage=120.0), ANGLES, 5.0).transfer(SHAPE)


@pytest.mark.parametrize(
    ("scheme", "tilts", "expected"),
    [
        ("dose-symmetric", (-9, -6, -3, 0, 3, 6, 9), (0, 3, -3, -6, 6, 9, -9)),
        ("dose-symmetric", (-3, 0, 3, 6, 9), (0, 3, -3, 6, 9)),
        ("dose-symmetric", (-8.5, -5.5, -2.5, 0.5, 3.5), (0.5, 3.5, -2.5, -5.5, -8.5)),
        ("dose-symmetric", (3, 6, 9), (3, 6, 9)),
        ("bidirectional", (-6, -3, 0, 3, 6), (0, 3, 6, -3, -6)),
        ("ascending", (-6, -3, 0, 3, 6), (-6, -3, 0, 3, 6)),
    ],
)
def test_order_of_acquisition(scheme, tilts, expected):
    assert tuple(tilts[i] for i in acquisition_order(tilts, scheme)) == expected
    dose = accumulated_dose(tilts, 2.0, scheme)
    assert [dose[tilts.index(t)] for t in expected] == [2.0 * i + 1 for i in range(len(tilts))]


def test_an_ideal_pixel_averages_over_its_square():
    """A plane wave, sampled at pixels that integrate: its amplitude is the mean of the wave over one of them."""
    factor = Microscope(ImagingConfig(mtf="sinc"), ANGLES, 5.0).transfer(SHAPE)[0].double().numpy()
    fine = (np.arange(2000) + 0.5) / 2000 - 0.5
    for row, column in ((0, 0), (6, 16), (24, 32), (24, 0)):
        means = [np.cos(2 * np.pi * fine * f).mean() for f in (row / 48, column / 64)]
        assert factor[row, column] == pytest.approx(means[0] * means[1], abs=1e-5)


def test_a_detector_curve_is_read_in_both_units(tmp_path):
    fractions, cycles = tmp_path / "fractions.csv", tmp_path / "mtf.star"
    fractions.write_text("0.1, 0.9\n0.5,0.6\n1.0, 0.3\n")
    cycles.write_text(
        "data_\nloop_\n_rlnResolutionInversePixel #1\n_rlnMtfValue #2\n0.05 0.9 7\n0.25 0.6 7\n0.5 0.3 7\n"
    )
    for path in (fractions, cycles):
        factor = Microscope(ImagingConfig(mtf=str(path)), ANGLES, 5.0).transfer((40, 40))[2]
        assert factor[0, 0] == 1
        for steps, expected in ((4, 0.9), (12, 0.75), (20, 0.6), (40, 0.3)):  # k = steps / 80 cycles per pixel
            assert factor[0, steps] == pytest.approx(expected, abs=1e-5)
            assert factor[steps, 0] == pytest.approx(expected, abs=1e-5)
        assert factor[40, 40] == pytest.approx(0.3)  # constant beyond, in the corners


def test_the_curve_of_a_real_detector(data_folder):
    frequency, value = read_mtf(data_folder / "densities" / "detector_K2SUMMIT_MTF_300kV.csv")
    assert frequency[0] == 0
    assert frequency[-1] == pytest.approx(0.98137 / 2, abs=1e-4)
    assert np.interp(0.25, frequency, value) == pytest.approx(0.787, abs=5e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "no curve"),
        ("frequency value\n", "no curve"),
        ("0.1\n0.2\n", "no curve"),
        ("0.1 0.9\n0.2 high\n", "line 2"),
        ("0.1 0.9\n0.05 0.8\n0.5 0.2\n", "do not increase"),
        ("1 0.9\n20 0.5\n", "ends at the frequency 20"),
        ("0.1 90\n0.5 30\n", "values from 30 to 90"),
    ],
)
def test_bad_curves_are_errors_of_one_line(tmp_path, text, message):
    path = tmp_path / "mtf.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        Microscope(ImagingConfig(mtf=str(path)), ANGLES, 5.0).transfer(SHAPE)
    assert "\n" not in str(caught.value)


def test_factors_multiply():
    parts = [
        Microscope(ImagingConfig(**p), ANGLES, 5.0).transfer(SHAPE)
        for p in ({"defocus": 2.0}, {"dose": 3.0}, {"mtf": "sinc"})
    ]
    assert_close(
        Microscope(ImagingConfig(defocus=2.0, dose=3.0, mtf="sinc"), ANGLES, 5.0).transfer(SHAPE),
        parts[0] * parts[1] * parts[2],
    )


def test_a_perfect_microscope_has_no_transfer():
    assert Microscope(CLEAN, ANGLES, 5.0).transfer(SHAPE) is None


def test_images_do_not_wrap_and_a_flat_one_stays_flat():
    factor = Microscope(ImagingConfig(defocus=3.0), ANGLES, 10.0).transfer((64, 96))
    images = torch.zeros(2, 3, 64, 96)
    images[0, :, 30, 1] = 1.0
    images[1] = 5.0
    point, flat = apply_transfer(images, factor)
    assert point[:, :, 60:].abs().max() < 0.01 * point.abs().max()
    assert_close(flat, torch.full_like(flat, 0.35), atol=1e-4, rtol=0)


def test_a_transfer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="expected"):
        apply_transfer(torch.zeros(3, 24, 30), Microscope(ImagingConfig(mtf="sinc"), ANGLES, 5.0).transfer(SHAPE))


def test_phase_flip_keeps_the_amount_of_contrast_and_removes_reversals():
    imaging = ImagingConfig(defocus=3.0)
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    factor = Microscope(imaging, ANGLES, 5.0).transfer((64, 64))
    assert float((factor < 0).float().mean()) > 0.3
    flipped = apply_transfer(apply_transfer(noise, factor), Microscope(imaging, ANGLES, 5.0).ctf_sign((64, 64)))
    assert_close(flipped, apply_transfer(noise, factor.abs()), atol=1e-4, rtol=0)
    with pytest.raises(ConfigError, match="needs a defocus"):
        Microscope(CLEAN, ANGLES, 5.0).ctf_sign((64, 64))


def test_without_torch_ctf_the_error_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_ctf", None)
    assert Microscope(ImagingConfig(dose=3.0, mtf="sinc"), ANGLES, 5.0).transfer(SHAPE) is not None
    with pytest.raises(ConfigError, match=r"pip install \"cryowae\[simulate\]\""):
        Microscope(ImagingConfig(defocus=3.0), ANGLES, 5.0).transfer(SHAPE)


class TestObservation:
    """The forward model with a microscope."""

    angles = even_tilts(-60, 60, 6)
    imaging = ImagingConfig(defocus=4.0, dose=3.0)

    def density(self):
        density = torch.zeros(24, 32, 48)
        for z, y, x in ((12, 16, 24), (8, 8, 12), (15, 24, 36)):
            density[z : z + 2, y : y + 2, x : x + 2] = 1.0
        return density

    def seen(self, imaging=CLEAN, ctf="none"):
        imaging = imaging.model_copy(update={"tilts": (-60, 60, 6)})
        ramp = {"filter": "ramp", "ctf": ctf}
        config = SceneConfig(shape=(24, 32, 48), voxel_size=6.0, imaging=imaging, reconstruction=ramp)
        return ForwardModel(config).observe(self.density(), torch.Generator().manual_seed(1))

    def test_the_transfer_is_applied_to_the_signal_only(self):
        factor = Microscope(self.imaging, self.angles, 6.0).transfer((32, 48))
        plain, imaged = self.seen(), self.seen(self.imaging)
        geometry = TiltGeometry(self.angles, 24, 48)
        series = apply_transfer(project(self.density(), geometry), factor)
        assert_close(imaged.signal, back_project(series, geometry))
        assert_close(imaged.noise, plain.noise)
        assert imaged.contrast == pytest.approx(float(series.std()))

    def test_flipping_the_phases_restores_the_specimen(self):
        imaged, flipped = self.seen(self.imaging), self.seen(self.imaging, "phase-flip")
        truth = self.density().flatten()
        before, after = (
            float(torch.corrcoef(torch.stack([o.signal.flatten(), truth]))[0, 1]) for o in (imaged, flipped)
        )
        assert after > before + 0.1
        # the noise is different, with the same strength
        assert float(flipped.noise.std()) == pytest.approx(float(imaged.noise.std()), rel=0.05)
        assert (flipped.noise - imaged.noise).abs().max() > 0.1
