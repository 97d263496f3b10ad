"""Scores against an independent computation from their definitions, and for volumes whose scores are known."""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings

import numpy as np
import pytest
import torch

from cryowae.errors import TomogramError
from cryowae.fourier.rotation import rotate
from cryowae.fourier.wedge import Wedge
from cryowae.metrics import Scores, ShellCorrelation, format_table, fsc, ncc, psnr, score, ssim

CASES = [((60, 60, 60), -60, 60), ((52, 61, 58), -42, 60), ((50, 74, 66), -45, 45), ((61, 49, 51), -57, 48)]


def volumes(shape, tilts, noise=0.6, seed=0):
    """A truth with a falling spectrum, and the same with noise, its wedge half empty, on another scale."""
    rng = np.random.default_rng(seed)
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")))
    truth = np.fft.ifftn(np.fft.fftn(rng.normal(size=shape)) * np.exp(-4 * k)).real
    truth /= truth.std()
    measured = Wedge.binary(*tilts).apply(torch.from_numpy(truth)).numpy()
    return truth, 3 * (truth + measured + noise * rng.normal(size=shape)) + 7


def from_the_definitions(truth, volume, low, high, crop):
    """Every column in plain NumPy, one step after the other; shells are those of the half spectrum along x."""
    inner = (slice(crop, -crop),) * 3
    truth, volume = truth[inner], volume[inner]
    shape = truth.shape
    kz, ky, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")
    upright = np.where((kx < 0) | ((kx == 0) & (kz < 0)), -1, 1)
    tilt = np.rad2deg(np.arctan2(kz * upright, kx * upright))
    measured = (tilt >= low) & (tilt <= high)
    off = [abs(kz * np.cos(np.deg2rad(t)) - kx * np.sin(np.deg2rad(t))) > 2.5 / min(shape) for t in (low, high)]
    regions = {"mw": ~measured & off[0] & off[1], "obs": measured}
    hann = [np.sin(np.pi * np.arange(1, n + 1) / (n + 1)) ** 2 for n in shape]
    window = hann[0][:, None, None] * hann[1][:, None] * hann[2]
    g, v = (np.fft.fftn((q - np.average(q, weights=window)) * window) for q in (truth, volume))
    pearson = lambda p, q: np.corrcoef(p.ravel(), q.ravel())[0, 1]  # noqa: E731
    slope, offset = np.polyfit(volume.ravel(), truth.ravel(), 1)
    error = np.mean((slope * volume + offset - truth) ** 2)
    scores = {"ncc": pearson(truth, volume), "psnr": 10 * np.log10(np.ptp(truth) ** 2 / error)}
    half = np.zeros(shape, dtype=bool)
    half[..., : shape[2] // 2 + 1] = True
    scale = (g * v.conj()).real[half].sum() / (abs(v) ** 2)[half].sum()
    radius = np.sqrt(kz**2 + ky**2 + kx**2)
    for name, region in regions.items():
        scores["ncc_" + name] = pearson(*[np.fft.ifftn(q * region).real for q in (g, v)])
        correlations, amplitudes = [], []
        for i in range(1, 17):
            shell = half & region & (radius >= i / 50) & (radius < (i + 1) / 50)
            if shell.sum() < 60:
                correlations.append(np.nan)
                amplitudes.append(np.nan)
                continue
            powers = [(abs(q[shell]) ** 2).sum() for q in (g, v)]
            correlations.append((g[shell] * v[shell].conj()).real.sum() / np.sqrt(powers[0] * powers[1]))
            amplitudes.append(scale * np.sqrt(powers[1] / powers[0]))
        scores["fsc_" + name] = np.nanmean(correlations[:12])
        scores["fine_" + name] = np.nanmean(correlations[12:])
        scores["r_" + name] = np.nanmean(amplitudes[:12])
    return scores


# odd sizes where the range is asymmetric: the side of a Nyquist frequency is a convention
@pytest.mark.parametrize(("shape", "low", "high"), [CASES[0], ((53, 61, 59), -42, 60), *CASES[2:]])
def test_scores_follow_from_the_definitions(shape, low, high):
    truth, volume = volumes(shape, (low, high))
    scores = score(truth, volume, (low, high), crop=8)
    expected = from_the_definitions(truth, volume, low, high, crop=8)
    for name, value in dataclasses.asdict(scores).items():
        assert value == pytest.approx(expected[name], abs=1e-3), name


@pytest.mark.parametrize(("shape", "low", "high"), CASES)
def test_agrees_with_the_script_that_defines_our_tables(shape, low, high, data_folder):
    path = data_folder.parent / "tools" / "score.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("defining_score", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert [field.name for field in dataclasses.fields(Scores)] == script.COLUMNS
    truth, volume = volumes(shape, (low, high))
    empty = Wedge.binary(low, high).apply(torch.from_numpy(truth)).numpy()
    for candidate in (volume, empty, truth):
        inner = (slice(8, -8),) * 3
        expected = script.score(truth[inner], candidate[inner], low, high)
        for name, value in dataclasses.asdict(score(truth, candidate, Wedge.binary(low, high), crop=8)).items():
            if name != "psnr" or expected[name] < 100:  # not defined for equal volumes
                assert value == pytest.approx(expected[name], abs=1e-3), name


def test_single_precision_of_large_volumes_changes_no_score(monkeypatch):
    truth, volume = volumes((56, 60, 64), (-60, 60))
    exact = score(truth, volume, (-60, 60))
    monkeypatch.setattr("cryowae.metrics.regions._EXACT", 0)
    monkeypatch.setattr("cryowae.fourier.grids.SLAB", 5000)
    single = score(truth.astype(np.float32), volume.astype(np.float32), (-60, 60))
    np.testing.assert_allclose(dataclasses.astuple(single), dataclasses.astuple(exact), atol=1e-4)


def test_a_scaled_copy_has_perfect_scores():
    truth, _ = volumes((50, 50, 50), (-60, 60))
    scores = score(truth, 1e-7 * truth + 3, (-60, 60), crop=4)
    ones = [scores.ncc, scores.fsc_mw, scores.fsc_obs, scores.ncc_mw, scores.ncc_obs, scores.fine_mw, scores.r_mw]
    np.testing.assert_allclose(ones, 1, atol=1e-6)
    assert scores.psnr > 100
    np.testing.assert_allclose(fsc(truth, truth).correlation, 1, atol=1e-12)
    assert ssim(truth, 5 * truth - 1) == pytest.approx(1, abs=1e-9)


def test_an_empty_wedge_scores_zero_inside_and_one_outside():
    truth, _ = volumes((64, 64, 64), (-50, 60))
    empty = Wedge.binary(-50, 60).apply(torch.from_numpy(truth))
    scores = score(truth, empty, (-50, 60), crop=0)
    assert abs(scores.fsc_mw) < 0.1 and abs(scores.ncc_mw) < 0.1 and scores.r_mw < 0.1
    assert scores.fsc_obs > 0.97 and scores.ncc_obs > 0.97
    wrong_sign = score(truth, empty, (-60, 50), crop=0)
    assert wrong_sign.ncc_mw > scores.ncc_mw + 0.1 and wrong_sign.r_mw > scores.r_mw + 0.05


def test_a_rotated_volume_has_the_scores_of_its_rotated_wedge():
    truth, volume = volumes((48, 48, 48), (-40, 60))
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned = [rotate(torch.from_numpy(q)[None], quarter[None])[0] for q in (truth, volume)]
    scores = score(turned[0], turned[1], Wedge.binary(-40, 60).rotated(quarter), crop=4)
    expected = score(truth, volume, (-40, 60), crop=4)
    np.testing.assert_allclose(
        dataclasses.astuple(scores), dataclasses.astuple(expected), atol=2e-2
    )  # half of the half spectrum


def test_correlation_of_noisy_halves_is_that_of_their_noise():
    rng, n = np.random.default_rng(4), 64
    signal = rng.normal(size=(n, n, n))
    halves = [signal + rng.normal(size=(n, n, n)) for _ in range(2)]  # signal-to-noise ratio 1: FSC = 1 / (1 + 1)
    for region in ("all", "measured", "missing"):
        curve = fsc(halves[0], halves[1], (-60, 60), region)
        known = curve.count > 500
        np.testing.assert_allclose(curve.correlation[known], 0.5, atol=0.12)
        assert np.isnan(curve.correlation[curve.count == 0]).all()
    counts = [fsc(signal, signal, (-60, 60), region).count for region in ("all", "measured", "missing")]
    assert (counts[1] + counts[2] <= counts[0]).all() and counts[2].sum() > 0.2 * counts[0].sum()
    with pytest.raises(ValueError, match="needs a wedge"):
        fsc(signal, signal, region="missing")


def test_the_curve_crosses_the_threshold_where_the_signal_ends():
    rng, n = np.random.default_rng(5), 64
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n)] * 3, indexing="ij")))
    signal = np.fft.ifftn(np.fft.fftn(rng.normal(size=(n, n, n))) * (k < 0.25)).real
    curve = fsc(*[signal + 0.3 * rng.normal(size=(n, n, n)) for _ in range(2)])
    assert curve.crossing(0.5) == pytest.approx(0.25, abs=0.015)
    assert curve.crossing(-1) is None
    line = ShellCorrelation(np.array([0.1, 0.2, 0.3]), np.array([1.0, np.nan, 0.0]), np.array([9, 0, 9]))
    assert line.crossing(0.25) == pytest.approx(0.25)
    assert line.crossing(2) == pytest.approx(0.1)


def test_correlation_and_signal_to_noise():
    truth, volume = volumes((20, 21, 22), (-60, 60))
    assert ncc(truth, volume) == pytest.approx(np.corrcoef(truth.ravel(), volume.ravel())[0, 1])
    assert ncc(truth, -volume) == -ncc(truth, volume)
    assert ncc(truth, np.ones_like(truth)) == 0
    assert psnr(truth, volume) == pytest.approx(psnr(truth, -4 * volume + 5))
    noise = np.random.default_rng(1).normal(size=truth.shape)
    truth -= truth.mean()
    noise -= noise.mean()
    noise -= (noise * truth).sum() / (truth * truth).sum() * truth
    expected = 10 * np.log10(np.ptp(truth) ** 2 * (1 / truth.var() + 1 / noise.var()))  # after the fit
    assert psnr(truth, truth + noise) == pytest.approx(expected)
    assert np.isnan(psnr(np.ones((4, 4, 4)), truth[:4, :4, :4]))


@pytest.mark.parametrize("window", [7, 11])
def test_structural_similarity_is_that_of_scikit_image(window, monkeypatch):
    metrics = pytest.importorskip("skimage.metrics")
    truth, volume = volumes((24, 21, 22), (-60, 60))
    slope, offset = np.polyfit(volume.ravel(), truth.ravel(), 1)
    fitted = slope * volume + offset
    expected = metrics.structural_similarity(truth, fitted, win_size=window, data_range=np.ptp(truth))
    assert ssim(truth, volume, window) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(TomogramError, match="at least"):
        ssim(truth[:5], volume[:5])


@pytest.mark.parametrize("window", [5, 7])
def test_structural_similarity_is_that_of_monai(window):
    metrics = pytest.importorskip("monai.metrics")
    truth, volume = volumes((24, 21, 22), (-60, 60))
    slope, offset = np.polyfit(volume.ravel(), truth.ravel(), 1)
    pair = [torch.from_numpy(q)[None, None] for q in (slope * volume + offset, truth)]
    # MONAI divides variances by n and not by n - 1; in the quotient this is the same as a smaller K2
    k2 = 0.03 * np.sqrt(1 - 1 / window**3)
    similarity = metrics.SSIMMetric(3, np.ptp(truth), "uniform", window, k1=0.01, k2=k2)
    assert ssim(truth, volume, window) == pytest.approx(float(similarity(*pair)), abs=1e-6)


@pytest.mark.parametrize(("region", "low", "high"), [("all", -60, 60), ("measured", -60, 60), ("measured", -40, 60)])
def test_shell_correlation_is_that_of_another_library(region, low, high):
    """Its shells overlap and are linearly interpolated: the curves agree within the spread of neighbouring shells."""
    library = pytest.importorskip("torch_fourier_shell_correlation")
    truth, volume = volumes((64, 64, 64), (low, high), noise=4)
    hann = np.hanning(66)[1:-1]
    window = hann[:, None, None] * hann[:, None] * hann
    first, second = (torch.from_numpy((q - np.average(q, weights=window)) * window) for q in (truth, volume))
    mask = None if region == "all" else Wedge.binary(low, high).mask((64, 64, 64)) > 0.5
    theirs = library.fourier_shell_correlation(first, second, mask).numpy()
    ours = fsc(truth, volume, (low, high), region)
    expected = np.interp(ours.frequency, np.linspace(0, 0.5, len(theirs)), theirs)
    np.testing.assert_allclose(ours.correlation[3:], expected[3:], atol=0.04)
    assert np.ptp(expected[3:]) > 0.4


def test_half_precision_and_tensors_are_accepted():
    truth, volume = volumes((40, 40, 40), (-60, 60))
    half = score(truth.astype(np.float16), torch.from_numpy(volume).half(), (-60, 60), crop=4)
    np.testing.assert_allclose(
        dataclasses.astuple(half), dataclasses.astuple(score(truth, volume, (-60, 60), crop=4)), atol=5e-3
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [((30, 30, 30), (30, 30, 31)), ((30, 30), (30, 30)), ((24, 30, 30), (24, 30, 30))],
)
def test_shapes_that_cannot_be_scored_are_refused(first, second):
    with pytest.raises(TomogramError, match="expected"):
        score(np.ones(first), np.ones(second), (-60, 60))


def test_nan_is_refused():
    truth, volume = volumes((30, 30, 30), (-60, 60))
    volume[15, 15, 15] = np.nan
    with pytest.raises(TomogramError, match="NaN"):
        score(truth, volume, (-60, 60))


def test_small_and_constant_volumes_get_dashes_and_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score(np.ones((12, 12, 12)), np.ones((12, 12, 12)), (-60, 60), crop=2)
    assert np.isnan(scores.fsc_mw) and scores.ncc == 0
    assert "nan" not in format_table({"constant": scores})


def test_the_columns_of_the_table_are_aligned():
    rows = {"input": Scores(*[0.5] * 9), "a long name": Scores(*[-0.123456] * 8, 23.4)}
    lines = format_table(rows).splitlines()
    assert lines[0].split() == ["volume", *(field.name for field in dataclasses.fields(Scores))]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("a long name ") and lines[2].endswith("23.400") and "-0.123" in lines[2]


@pytest.mark.gpu
def test_cuda_gives_the_same_values_as_the_cpu():
    truth, volume = volumes((50, 56, 60), (-42, 60))
    there = score(truth, volume, (-42, 60), device="cuda")
    np.testing.assert_allclose(
        dataclasses.astuple(there), dataclasses.astuple(score(truth, volume, (-42, 60))), atol=1e-3
    )
    assert ssim(truth, volume, device="cuda") == pytest.approx(ssim(truth, volume), abs=1e-4)
