"""The wedge: ranges, single tilts, soft edges, rotations, types, errors. Physics is tested in test_wedge_fourier.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from cachetools import cached
from wedges import WEDGES, random_volume

from cryowae.errors import TiltError
from cryowae.fourier.grids import mask_cache
from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.fourier.wedge import Wedge

TILT_RANGES = [(-60, 60), (-42, 60), (-90, 90), (10, 55), (-90, -30), (-45, 45)]


def frequencies(shape):
    """Full layout, unshifted."""
    return np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")


def tilts_of(shape):
    """Tilt of every component of the half spectrum in degrees, in -90..90, from kz = tan(t) kx."""
    kz, _, kx = np.meshgrid(
        np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij"
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return kz, kx, np.rad2deg(np.arctan(kz / kx))


def no_nyquist(shape):
    kz, ky, kx = np.meshgrid(
        np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij"
    )
    return (np.abs(kz) < 0.5) & (np.abs(ky) < 0.5) & (kx < 0.5)


@pytest.mark.parametrize("tilt_range", TILT_RANGES)
@pytest.mark.parametrize("shape", [(21, 3, 21), (20, 4, 31), (33, 2, 18)])
def test_binary_is_the_range_of_tilts(tilt_range, shape):
    low, high = tilt_range
    kz, kx, tilt = tilts_of(shape)
    vertical = (kx == 0) & (kz != 0)  # tilts of both +90 and -90
    expected = np.where(vertical, abs(low) == 90 or high == 90, (tilt >= low - 1e-9) & (tilt <= high + 1e-9))
    expected |= (kx == 0) & (kz == 0)  # every projection measures it
    mask = Wedge.binary(low, high).mask(shape).numpy() > 0.5
    inner = no_nyquist(shape)
    assert (mask == expected)[inner].all()
    assert not (mask & ~expected).any()  # at Nyquist only what is measured with both signs
    assert mask.all() == (tilt_range == (-90, 90))


@pytest.mark.parametrize("rows", list(itertools.permutations(range(3))))
def test_a_quarter_turn_rotates_wedge_and_volume_alike(rows):
    matrix = torch.zeros(3, 3)
    matrix[range(3), rows] = torch.tensor([1.0, -1.0, 1.0])
    matrix *= torch.linalg.det(matrix)  # proper
    volume, wedge = random_volume((9, 9, 9)), Wedge.binary(-20, 65)
    turned = rotate(volume[None], matrix[None])[0]
    expected = rotate(wedge.apply(volume)[None], matrix[None])[0]
    assert (wedge.rotated(matrix).apply(turned) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("seed", [0, 2, 3])  # rotations that are far from their inverses
def test_a_rotated_volume_has_the_rotated_wedge(seed):
    n, wedge = 48, Wedge.binary(5, 45)
    rotation = random_rotations(1, torch.Generator().manual_seed(seed))[0]
    kz, ky, kx = frequencies((n, n, n))
    k = np.sqrt(kz**2 + ky**2 + kx**2)
    smooth = np.exp(-((k / 0.2) ** 2)) * (k > 0.08)
    r = np.stack(np.indices((n, n, n))) - (n - 1) / 2
    window = np.exp(-(r**2).sum(0) / (2 * 8**2))
    measured = smooth * wedge.value(torch.from_numpy(kz), torch.from_numpy(ky), torch.from_numpy(kx)).numpy()
    noise = np.fft.fftn(np.random.default_rng(seed).normal(size=(n, n, n)))
    volume = torch.from_numpy(np.fft.ifftn(noise * measured).real * window).float()
    turned = rotate(volume[None], rotation[None])[0]

    def share(of, candidate):
        power = torch.fft.rfftn(of).abs().square() * torch.from_numpy(
            k[..., : n // 2 + 1] < 0.25
        )  # interpolation adds spurious power beyond
        return float((power * candidate.mask((n, n, n))).sum() / power.sum())

    wide = Wedge.binary(0, 50)  # the window smears the spectrum
    assert share(volume, wide) > 0.85
    assert share(turned, wide.rotated(rotation)) > 0.85
    others = [wide, wide.rotated(rotation.T), wide.flipped().rotated(rotation)]
    assert max(share(turned, other) for other in others) < 0.5


def test_rotations_compose():
    first, second = random_rotations(2, torch.Generator().manual_seed(1))
    wedge, shape = Wedge.binary(-42, 60), (11, 12, 13)
    twice = wedge.rotated(first).rotated(second).mask(shape)
    assert (twice == wedge.rotated(second.double() @ first.double()).mask(shape)).all()
    assert not torch.equal(twice, wedge.rotated(first.double() @ second.double()).mask(shape))
    assert wedge.rotated(torch.eye(3)) == wedge
    assert (wedge.rotated(first).rotated(first.T).mask(shape) == wedge.mask(shape)).all()


def test_ranges_across_90_degrees_are_rotated_ones():
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # about the tilt axis
    shape = (21, 4, 31)
    kz, kx, tilt = tilts_of(shape)
    expected = (np.abs(tilt) >= 60) | (kx == 0)
    mask = Wedge.binary(-30, 30).rotated(quarter).mask(shape).numpy() > 0.5
    assert (mask == expected)[no_nyquist(shape)].all()


def test_mirrors_and_matrices_that_are_not_orthogonal_are_refused():
    wedge = Wedge.binary(-60, 60)
    with pytest.raises(ValueError, match="mirrors"):
        wedge.rotated(torch.diag(torch.tensor([1.0, 1.0, -1.0])))
    with pytest.raises(ValueError, match="orthogonal"):
        wedge.rotated(torch.eye(3) * 2)


@pytest.mark.parametrize("shape", [(20, 3, 20), (15, 2, 40)])
def test_single_tilts_measure_the_union_of_their_slabs(shape):
    angles, thickness = [-41.2, -3.0, 0.5, 17.0, 60.0], 0.07
    kz, kx, _ = tilts_of(shape)
    union = np.zeros(kz.shape, dtype=bool)
    for angle in np.deg2rad(angles):
        union |= np.abs(kz * np.cos(angle) - kx * np.sin(angle)) <= thickness / 2  # distance from the measured plane
    wedge = Wedge.per_tilt(angles[::-1], thickness)
    mask = wedge.mask(shape).numpy() > 0.5
    assert (mask == union)[no_nyquist(shape)].all()
    assert (wedge.tilt_min, wedge.tilt_max) == (-41.2, 60.0)


def test_dense_single_tilts_fill_their_range():
    shape = (31, 3, 31)
    fan = Wedge.per_tilt(np.arange(-42, 60.1, 0.5), 1e-2).mask(shape)
    assert (fan >= Wedge.binary(-42, 60).mask(shape)).all()
    assert fan.mean() < 1.1 * Wedge.binary(-42, 60).mask(shape).mean()


@pytest.mark.parametrize(("low", "high"), [(-60, 60), (-42, 60), (10, 80)])
def test_a_soft_edge_falls_evenly(low, high):
    tilt = torch.deg2rad(torch.linspace(-89.9, 89.9, 3600, dtype=torch.float64))
    value = Wedge.soft(low, high, 8).value(torch.sin(tilt) * 0.3, torch.zeros(1), torch.cos(tilt) * 0.3)
    tilt = torch.rad2deg(tilt)
    assert (value[(tilt > low + 4.1) & (tilt < high - 4.1)] == 1).all()
    assert (value[((tilt < low - 4.1) & (tilt > high + 4.1 - 180)) | (tilt > high + 4.1)] == 0).all()
    rise, fall = value[(tilt > low - 4) & (tilt < low + 4)], value[(tilt > high - 4) & (tilt < high + 4)]
    assert (rise.diff() > -1e-7).all() and (fall.diff() < 1e-7).all()
    assert rise.diff().max() < 0.02  # no jump
    for end in (low, high):
        assert value[(tilt - end).abs().argmin()] == pytest.approx(0.5, abs=0.02)


def test_a_very_narrow_soft_edge_is_a_sharp_edge():
    shape = (21, 4, 31)
    assert (Wedge.soft(-41.3, 60.7, 1e-6).mask(shape) == Wedge.binary(-41.3, 60.7).mask(shape)).all()
    assert (Wedge.soft(-90, 90, 5).mask(shape) == 1).all()
    assert (Wedge.soft(-42, 60, 5).mask(shape)[0, :, 0] == 1).all()  # kz = kx = 0


@pytest.mark.parametrize("shape", [(32, 3, 32), (40, 2, 22)])
def test_missing_components_are_farther_from_the_range_than_the_margin(shape):
    kz, kx, _ = tilts_of(shape)
    measured = np.stack([q[Wedge.binary(-40, 55).mask(shape).numpy() > 0] for q in (kz * shape[0], kx * shape[2])])
    grid = [torch.from_numpy(np.unique(q)) for q in (kz, kx)]
    wedge = Wedge.soft(-40, 55, 4)
    missing = wedge.missing(grid[0][:, None], torch.zeros(1), grid[1], (2.5 / shape[0], 2.5 / shape[2]))
    assert missing.any()
    for z, x in missing.nonzero().tolist():
        steps = measured - np.array([[grid[0][z] * shape[0]], [grid[1][x] * shape[2]]])
        assert np.hypot(*steps).min() > 2.4
    assert not missing[Wedge.binary(-44, 59).value(grid[0][:, None], torch.zeros(1), grid[1]) > 0].any()


@pytest.mark.parametrize("wedge", [*WEDGES, Wedge.soft(-42, 60, 5)])
@pytest.mark.parametrize("shape", [(8, 6, 10), (9, 7, 5)])
def test_rows_of_the_mask_are_those_of_the_whole_mask(wedge, shape):
    mask = wedge.mask(shape)
    assert mask.shape == (shape[0], shape[1], shape[2] // 2 + 1) and mask.dtype == torch.float32
    for rows in (slice(0, 2), slice(1, 5), slice(3, None), slice(4, 99)):
        assert torch.equal(wedge.mask_rows(shape, rows), mask[:, rows])
    if wedge.is_rotated:
        with pytest.raises(ValueError, match="rotated"):
            wedge.mask_plane((8, 10))
    else:
        assert (mask == wedge.mask_plane((shape[0], shape[2]))[:, None]).all()


@pytest.mark.parametrize("wedge", [WEDGES[0], WEDGES[3]])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_apply_keeps_batches_and_types(wedge, dtype):
    volumes = random_volume((2, 3, 8, 7, 6)).to(dtype)
    result = wedge.apply(volumes)
    assert result.shape == volumes.shape and result.dtype == dtype
    expected = wedge.apply(volumes[1, 2].double())
    assert torch.allclose(result[1, 2].double(), expected, atol=3 * torch.finfo(dtype).eps)


def test_flipping_negates_the_tilts():
    assert Wedge.binary(-42, 60).flipped() == Wedge.binary(-60, 42)
    assert Wedge.per_tilt([-10, 3, 50], 0.1).flipped() == Wedge.per_tilt([-50, -3, 10], 0.1)
    assert Wedge.soft(-42, 60, 3).flipped().flipped() == Wedge.soft(-42, 60, 3)


@pytest.mark.parametrize(
    "tilts", [(60, -60), (10, 10), (-91, 60), (-60, 100), (float("nan"), 60), (-60, float("nan")), (-60, float("inf"))]
)
def test_impossible_ranges_are_refused_in_one_line(tilts):
    for make in (Wedge.binary, lambda low, high: Wedge.soft(low, high, 2)):
        with pytest.raises(TiltError, match="expected") as caught:
            make(*tilts)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("angles", [[], [3.0], [3.0, 3.0], [0.0, 95.0], [0.0, float("nan"), 10.0]])
def test_impossible_single_tilts_are_refused(angles):
    with pytest.raises(TiltError, match="expected"):
        Wedge.per_tilt(angles, 0.1)


@pytest.mark.parametrize("thickness", [0.0, -0.1, 30.0, float("nan")])
def test_impossible_thicknesses_are_refused(thickness):
    with pytest.raises(TiltError, match="thickness"):
        Wedge.per_tilt([-60, 0, 60], thickness)


def test_equal_wedges_are_equal_and_share_their_mask():
    assert len({Wedge.binary(-60, 60), Wedge.binary(-60.0, 60.0), Wedge.soft(-60, 60, 1)}) == 2
    shape = (12, 12, 12)
    assert Wedge.binary(-51, 60).mask(shape).data_ptr() == Wedge.binary(-51, 60).mask(shape).data_ptr()


def test_kept_masks_are_bounded_and_the_oldest_go_first():
    cache, made = mask_cache(400), []

    @cached(cache)
    def make(key, floats):
        made.append(key)
        return torch.zeros(floats)

    for key in "abcd":  # 120 bytes each: three fit
        make(key, 30)
    for key in "dba":
        make(key, 30)
    make("huge", 1000)
    make("half", 51)  # 204 bytes
    assert made == ["a", "b", "c", "d", "a", "huge", "half"]
    assert sum(mask.nbytes for mask in cache.values()) == cache.currsize == 360


def test_a_mask_made_in_inference_mode_can_be_used_in_training():
    wedge, volume = Wedge.binary(-53, 59), torch.randn(6, 6, 6)
    with torch.inference_mode():
        wedge.apply(volume)
    leaf = volume.clone().requires_grad_()
    wedge.apply(leaf).square().sum().backward()
    assert torch.allclose(leaf.grad, 2 * wedge.apply(volume), atol=1e-5)  # the wedge is an orthogonal projection


@pytest.mark.gpu
@pytest.mark.parametrize("wedge", [*WEDGES, Wedge.soft(-42, 60, 5)])
def test_cuda_gives_the_same_values_as_the_cpu(wedge):
    volume = random_volume((16, 15, 18)).float()
    assert (wedge.mask(volume.shape, "cuda").cpu() == wedge.mask(volume.shape)).float().mean() > 0.999
    assert (wedge.apply(volume.cuda()).cpu() - wedge.apply(volume)).abs().max() < 1e-3
