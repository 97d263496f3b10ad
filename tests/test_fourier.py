"""Grids, shells and resampling against NumPy and against known waves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryowae.fourier.grids import frequency_grid, hermitian_weights, radius, z_slabs
from cryowae.fourier.resampling import fourier_resample
from cryowae.fourier.shells import cross_sums, shell_edges, shell_sums

SHAPES = [(8, 6, 10), (7, 9, 5), (6, 5, 8), (1, 4, 7)]


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_grid_equals_that_of_rfftn(shape):
    expected = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij")
    for k, e in zip(frequency_grid(shape, dtype=torch.float64), expected, strict=True):
        np.testing.assert_array_equal(k.expand(e.shape), e)
    np.testing.assert_allclose(radius(shape), np.sqrt(sum(e**2 for e in expected)), atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_hermitian_weights_make_sums_over_the_half_spectrum_complete(shape):
    volume = noise(shape)
    half = np.abs(np.fft.rfftn(volume)) ** 2
    whole = np.abs(np.fft.fftn(volume)) ** 2
    assert (half * hermitian_weights(shape[2]).numpy()).sum() == pytest.approx(whole.sum())
    assert hermitian_weights(shape[2]).sum() == shape[2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("components", [1, 50, 10**6])
def test_slabs_cover_the_volume_once(shape, components):
    slabs = list(z_slabs(shape, components))
    assert [i for slab in slabs for i in range(slab.start, slab.stop)] == list(range(shape[0]))


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_shells(shape, monkeypatch):
    monkeypatch.setattr("cryowae.fourier.grids.SLAB", 20)  # more than one slab
    values = torch.from_numpy(noise((shape[0], shape[1], shape[2] // 2 + 1)))
    distance = radius(shape, dtype=torch.float64)
    edges = torch.tensor([0.1, 0.25, 0.3, 0.45], dtype=torch.float64)
    inside = [(distance >= a) & (distance < b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_allclose(shell_sums(values, distance, edges), [values[i].sum() for i in inside], atol=1e-12)
    plane = values[:, :1]
    spread = plane.expand(values.shape)
    np.testing.assert_allclose(shell_sums(plane, distance, edges), [spread[i].sum() for i in inside], atol=1e-12)


def test_edges_reach_nyquist_despite_rounding():
    for n in range(2, 300):
        edges = shell_edges(1 / n)
        assert len(edges) == n // 2 + 1 and edges[-1] <= 0.5 + 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_the_correlation_of_shells_is_that_of_their_components(shape):
    first, second = (np.fft.rfftn(noise(shape, seed)) for seed in (1, 2))
    second += first
    weight = np.random.default_rng(3).integers(0, 3, first.shape).astype(np.float64)
    distance = radius(shape, dtype=torch.float64)
    edges = torch.tensor([0.0, 0.2, 0.35, 0.5, 0.9], dtype=torch.float64)
    sums = cross_sums(*map(torch.from_numpy, (first, second, weight)), distance, edges)
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = ((distance >= low) & (distance < high)).numpy()
        a, b, w = first[inside], second[inside], weight[inside]
        power = (w * np.abs(a) ** 2).sum(), (w * np.abs(b) ** 2).sum()
        expected = (w * a * b.conj()).real.sum() / np.sqrt(power[0] * power[1]) if min(power) > 0 else 0
        assert sums.correlation[i] == pytest.approx(expected)
        assert (sums.power_a[i], sums.power_b[i], sums.count[i]) == pytest.approx((*power, w.sum()))


def waves(shape):
    """A trigonometric polynomial of the position `(i + 1/2) / n` of the axes, sampled with any number of voxels."""
    z, y, x = ((np.arange(n) + 0.5) / n for n in shape)
    z, y, x = z[:, None, None], y[:, None], x
    polynomial = 2 + np.cos(2 * np.pi * (2 * z - y + x) + 0.4) + 0.5 * np.sin(2 * np.pi * (z + y + 2 * x)) + 0 * x
    return torch.from_numpy(polynomial)


@pytest.mark.parametrize("new", [(16, 12, 10), (15, 7, 11), (6, 5, 6), (10, 9, 8), (24, 10, 12)])
@pytest.mark.parametrize("old", [(10, 8, 12), (9, 9, 7)])
def test_resampling_is_exact_for_frequencies_in_both_samplings(old, new):
    assert torch.allclose(fourier_resample(waves(old), new), waves(new), atol=1e-10)


@pytest.mark.parametrize("n", [8, 9])
def test_upsampling_and_downsampling_is_the_identity(n):
    volume = torch.from_numpy(noise((n, n, n)))
    back = fourier_resample(fourier_resample(volume, (2 * n,) * 3), (n,) * 3)
    if n % 2:  # a shift to the new centres loses a part of the Nyquist wave, which has no phase
        assert torch.allclose(back, volume, atol=1e-10)
    else:
        smooth = fourier_resample(fourier_resample(volume, (n - 1,) * 3), (n,) * 3)
        assert torch.allclose(fourier_resample(fourier_resample(smooth, (2 * n,) * 3), (n,) * 3), smooth, atol=1e-6)


def test_resampling_keeps_batches_types_and_centres():
    ball = torch.zeros(1, 2, 21, 21, 21, dtype=torch.float32)
    ball[..., 8:13, 8:13, 8:13] = 1
    finer = fourier_resample(ball, (42, 21, 30))
    assert finer.shape == (1, 2, 42, 21, 30) and finer.dtype == torch.float32
    for axis, n in ((2, 42), (4, 30)):
        profile = finer[0, 0].sum([d for d in range(3) if d != axis - 2])
        assert torch.allclose(profile, profile.flip(0), atol=1e-3)  # symmetric about (n - 1) / 2
        assert len(profile) == n
