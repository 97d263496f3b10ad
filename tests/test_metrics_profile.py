"""Profiles by region and shell against an independent computation in NumPy, and against physics."""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings

import numpy as np
import pytest
import torch

from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.metrics import empty_wedge, profile, score

NAMES = ["ncc", "fsc", "fine", "cross", "r", "psnr", "ssim"]
SUFFIXES = ["", "_mw", "_obs"]


def pair(shape, low, high, noise=1.0, seed=1):
    """A truth whose power falls with frequency, and a noisy volume with half of the power in its wedge removed."""
    rng = np.random.default_rng(seed)
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")))
    white = np.fft.fftn(rng.normal(size=shape))
    truth = np.fft.ifftn(white * np.exp(-6 * k)).real
    truth /= truth.std()
    half_empty = np.fft.ifftn(np.fft.fftn(truth) * (1 + tilt_between(shape, low, high)) / 2).real
    return truth, 4 * (half_empty + noise * rng.normal(size=shape)) - 3


def tilt_between(shape, low, high):
    """Whole spectrum: components whose direction in (kz, kx) is that of a tilt in the range."""
    kz, _, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")
    tilt = np.rad2deg(np.arctan(np.divide(kz, kx, out=np.full(shape, np.inf), where=kx != 0)))
    tilt[(kx == 0) & (kz == 0)] = (low + high) / 2
    return (tilt >= low) & (tilt <= high)


def reference(truth, volume, low, high):
    """Curves and figures by boolean masks on the whole spectrum."""
    metrics = pytest.importorskip("skimage.metrics")
    shape = truth.shape
    kz, ky, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")
    radius = np.sqrt(kz**2 + ky**2 + kx**2)
    off = np.minimum(*[abs(kz * np.cos(t) - kx * np.sin(t)) for t in np.deg2rad([low, high])])
    measured = tilt_between(shape, low, high)
    masks = {"": np.ones(shape, bool), "_mw": ~measured & (off > 2.5 / min(shape)), "_obs": measured}
    hann = np.ones(())
    for n in shape:
        hann = np.multiply.outer(hann, 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, n + 1) / (n + 1)))
    g, v = (np.fft.fftn(hann * (q - (q * hann).sum() / hann.sum())) for q in (truth, volume))
    stored = np.arange(shape[2]) <= shape[2] // 2
    fit = (g * v.conj()).real[..., stored].sum() / (abs(v[..., stored]) ** 2).sum()
    figures, curves = {}, {}
    for suffix, mask in masks.items():
        fsc, amplitude, counts = [], [], []
        for i in range(25):
            shell = mask & stored & (radius >= i / 50) & (radius < (i + 1) / 50)
            powers = [(abs(q[shell]) ** 2).sum() for q in (g, v)]
            enough = shell.sum() >= 60
            fsc.append((g * v.conj()).real[shell].sum() / np.sqrt(powers[0] * powers[1]) if enough else np.nan)
            amplitude.append(fit * np.sqrt(powers[1] / powers[0]) if enough else np.nan)
            counts.append(shell.sum())
        curves |= {"fsc" + suffix: fsc, "r" + suffix: amplitude, "count" + suffix: counts}
        figures["fsc" + suffix] = np.nanmean(fsc[1:13])
        figures["fine" + suffix] = np.nanmean(fsc[13:17])
        figures["r" + suffix] = np.nanmean(amplitude[1:13])
        known = [(i / 50 + 0.01, c) for i, c in enumerate(fsc) if not np.isnan(c)]
        falls = [(p, q) for p, q in zip(known, known[1:], strict=False) if p[1] >= 0.5 > q[1]]
        (f0, c0), (f1, c1) = falls[0]
        figures["cross" + suffix] = f0 + (f1 - f0) * (c0 - 0.5) / (c0 - c1)
        a, b = (truth, volume) if suffix == "" else [np.fft.ifftn(q * mask).real for q in (g, v)]
        figures["ncc" + suffix] = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        slope, offset = np.polyfit(b.ravel(), a.ravel(), 1)
        fitted = slope * b + offset
        figures["psnr" + suffix] = metrics.peak_signal_noise_ratio(a, fitted, data_range=np.ptp(a))
        figures["ssim" + suffix] = metrics.structural_similarity(a, fitted, data_range=np.ptp(a))
    return figures, curves


# odd sizes: the region of a Nyquist frequency is a convention
@pytest.mark.parametrize(("shape", "low", "high"), [((57, 61, 59), -60, 60), ((49, 65, 71), -42, 60)])
def test_a_profile_follows_from_the_definitions(shape, low, high):
    truth, volume = pair(shape, low, high)
    found = profile(truth, volume, (low, high), crop=4)
    inner = (slice(4, -4),) * 3
    figures, curves = reference(truth[inner], volume[inner], low, high)
    assert list(found.scores) == [name + suffix for name in NAMES for suffix in SUFFIXES]
    for name, value in found.scores.items():
        assert value == pytest.approx(figures[name], abs=1e-3, rel=1e-4), name
    assert set(found.curves) == {"frequency", *curves}
    np.testing.assert_allclose(found.curves["frequency"], np.arange(0.01, 0.5, 0.02))
    for name, curve in curves.items():
        np.testing.assert_allclose(found.curves[name], curve, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(("shape", "low", "high"), [((56, 64, 60), -60, 60), ((51, 60, 66), -57, 48)])
def test_agrees_with_the_script_that_defines_our_tables(shape, low, high, data_folder):
    path = data_folder.parent / "tools" / "score.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("defining_score", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    truth, volume = pair(shape, low, high)
    inner = (slice(6, -6),) * 3
    _, _, measured = script.angles(shape, low, high)
    floor = np.fft.irfftn(np.fft.rfftn(truth) * measured, shape, (0, 1, 2))
    np.testing.assert_allclose(empty_wedge(truth, (low, high)), floor, atol=0.02 * truth.std())  # except at Nyquist
    for mine, theirs in ((volume, volume), (empty_wedge(truth, (low, high)), floor)):
        expected = script.score(truth[inner], theirs[inner], low, high)
        scores = profile(truth, mine, (low, high), crop=6).scores
        for name in script.COLUMNS:
            assert scores[name] == pytest.approx(expected[name], abs=1e-3), name


def test_scores_are_the_profile_in_nine_columns():
    truth, volume = pair((48, 50, 52), -60, 50)
    nine = dataclasses.asdict(score(truth, volume, (-60, 50), crop=4))
    scores = profile(truth, volume, (-60, 50), crop=4).scores
    assert {name: scores[name] for name in nine} == nine


def test_the_curves_of_a_scaled_copy_never_fall():
    truth, _ = pair((44, 48, 52), -60, 60)
    found = profile(truth, 3e-5 * truth - 1, (-60, 60), crop=2)
    for name in ("ncc", "fsc", "fine", "r", "ssim"):
        np.testing.assert_allclose([found.scores[name + s] for s in SUFFIXES], 1, atol=1e-5)
    assert all(np.isnan(found.scores["cross" + s]) for s in SUFFIXES)
    assert all(found.scores["psnr" + s] > 80 for s in SUFFIXES)


def test_scale_and_offset_do_not_matter():
    truth, volume = pair((44, 48, 52), -50, 60)
    first = profile(truth, volume, (-50, 60), crop=2).scores
    second = profile(truth, 1e4 * volume + 1e5, (-50, 60), crop=2).scores
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-6, atol=1e-8)


def test_empty_wedge_removes_the_wedge_alone():
    truth, _ = pair((71, 73, 69), -50, 60)
    emptied = empty_wedge(truth, (-50, 60))
    spectrum = np.abs(np.fft.fftn(emptied))[tilt_between(truth.shape, -49.9, 59.9)]
    np.testing.assert_allclose(spectrum, np.abs(np.fft.fftn(truth))[tilt_between(truth.shape, -49.9, 59.9)], atol=1e-8)
    scores = profile(truth, emptied, (-50, 60), crop=0).scores
    assert all(abs(scores[name]) < 0.1 for name in ("ncc_mw", "fsc_mw", "fine_mw", "r_mw"))
    assert scores["cross_mw"] == 0  # it is never above one half
    assert all(scores[name] > 0.97 for name in ("ncc_obs", "fsc_obs", "fine_obs", "r_obs"))
    assert scores["ncc"] < 0.9 and scores["psnr_obs"] > scores["psnr_mw"] + 5
    wrong = profile(truth, empty_wedge(truth, (-60, 50)), (-50, 60), crop=0).scores  # the other sign
    assert wrong["ncc_mw"] > scores["ncc_mw"] + 0.1 and wrong["ncc_obs"] < scores["ncc_obs"] - 0.03


def test_empty_wedge_keeps_the_array_type_and_uses_the_tilt_range():
    truth = pair((20, 22, 24), -60, 60)[0].astype(np.float32)
    emptied = empty_wedge(truth, Wedge.per_tilt([-60, 0, 60], 1 / 24))  # by the range, not by single tilts
    assert emptied.dtype == np.float32
    np.testing.assert_allclose(emptied, empty_wedge(truth, (-60, 60)), atol=1e-6)
    assert torch.equal(empty_wedge(torch.from_numpy(truth), (-60, 60)), torch.from_numpy(emptied))
    whole = empty_wedge((1000 * truth).astype(np.int16), (-60, 60))
    assert whole.dtype == np.float32 and np.abs(whole - 1000 * emptied).max() < 2


def test_an_isotropic_filter_shows_in_ncc_and_power_but_not_in_fsc():
    truth, volume = pair((64, 64, 64), -60, 60, noise=2)
    k2 = sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n) for n in truth.shape], indexing="ij"))
    smooth = np.fft.ifftn(np.fft.fftn(volume) * np.exp(-15 * k2)).real
    before, after = (profile(truth, v, (-60, 60), crop=0) for v in (volume, smooth))
    for suffix in SUFFIXES:
        assert after.scores["fsc" + suffix] == pytest.approx(before.scores["fsc" + suffix], abs=0.02)
        known = before.curves["count" + suffix] > 500
        change = np.abs(after.curves["fsc" + suffix] - before.curves["fsc" + suffix])[known]
        assert change.max() < 0.05
        fall = (after.curves["r" + suffix] / before.curves["r" + suffix])[known]
        assert fall[-1] < 0.1 * fall[0]
    assert after.scores["ncc"] > before.scores["ncc"] + 0.2


def test_small_and_constant_volumes_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = profile(np.ones((14, 14, 14)), np.ones((14, 14, 14)), (-60, 60), crop=2)
    assert found.scores["ncc"] == 0 and np.isnan(found.scores["psnr"])
    with pytest.raises(TomogramError, match="at least 7"):
        profile(np.ones((14, 14, 14)), np.ones((14, 14, 14)), (-60, 60), crop=4)


@pytest.mark.gpu
def test_cuda_gives_the_same_values_as_the_cpu():
    truth, volume = pair((50, 56, 60), -42, 60)
    there, here = (profile(truth, volume, (-42, 60), crop=4, device=device).scores for device in ("cuda", "cpu"))
    np.testing.assert_allclose(list(there.values()), list(here.values()), atol=1e-3)
