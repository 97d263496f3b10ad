"""Single particles: correlation, elongation, and template matching."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cryowae.errors import TomogramError
from cryowae.imaging.projection import TiltGeometry, back_project, even_tilts, project
from cryowae.metrics import discrimination, elongation, empty_wedge, particle_correlations
from cryowae.metrics.matching import even_rotations, roc_area


def blobs(shape, centres, sigmas):
    """Gaussians with standard deviations along (z, y, x)."""
    grid = np.indices(shape).astype(float)
    return sum(
        np.exp(-0.5 * sum(((q - c) / s) ** 2 for q, c, s in zip(grid, centre, sigmas, strict=True)))
        for centre in centres
    )


def test_correlation_of_each_particle_is_that_of_its_neighbourhood():
    rng = np.random.default_rng(0)
    shape = (40, 44, 48)
    truth, volume = rng.normal(size=shape), rng.normal(size=shape)
    labels = np.zeros(shape, dtype=np.int16)
    labels[15:20, 20:26, 10:14] = 1
    labels[22:25, 8:12, 30:33] = 2
    labels[30:34, 30:34, 30:34] = -1  # a membrane
    labels[0:9, 20:24, 20:24] = 4  # 4 of 9 planes lie in the crop
    labels[20:24, 0:9, 20:24] = 5  # 4 of 9 do not
    volume[labels == 2] = truth[labels == 2] = 0
    near = ndimage.distance_transform_edt(labels != 2) <= 3
    volume[near] = 5 - 2 * truth[near]
    particles = [SimpleNamespace(label=label) for label in (1, 2, 3, 4, 5)]
    found = particle_correlations(truth, volume, labels, particles, crop=5, margin=3)
    assert list(found) == [1, 2]
    assert found[2] == pytest.approx(-1)
    where = ndimage.distance_transform_edt(labels != 1) <= 3
    where &= ndimage.distance_transform_edt(np.pad(np.ones([n - 10 for n in shape]), 5)) > 0
    assert found[1] == pytest.approx(np.corrcoef(truth[where], volume[where])[0, 1])
    within = particle_correlations(truth, volume, torch.from_numpy(labels), particles, crop=4, margin=0)
    assert list(within) == [1, 2, 4, 5]
    assert within[4] == pytest.approx(
        np.corrcoef(truth[4:9, 20:24, 20:24].ravel(), volume[4:9, 20:24, 20:24].ravel())[0, 1]
    )
    with pytest.raises(TomogramError, match="one shape"):
        particle_correlations(truth, volume[1:], labels, particles)


@pytest.mark.parametrize(
    ("sigmas", "expected"),
    [((2, 2, 2), 1), ((1.5, 1.5, 1.5), 1), ((3, 2, 2), 2.25), ((4, 3, 2), 4), ((2, 2, 3), 4 / 9)],
)
@pytest.mark.parametrize("centre", [(24, 24, 24), (24.3, 23.6, 24.5)])
def test_elongation_of_a_gaussian_is_the_ratio_of_its_second_moments(sigmas, expected, centre):
    density = 7 + 3 * blobs((48, 48, 48), [centre], sigmas)
    for radius in (5, 7):
        assert elongation(density, [centre], radius) == pytest.approx(expected, rel=0.03)


def test_elongation_of_a_ball():
    z, y, x = np.indices((60, 60, 60)) - 29.5
    ball = lambda stretch: 1 / (1 + np.exp(2 * (np.sqrt((z / stretch) ** 2 + y**2 + x**2) - 5)))  # noqa: E731
    assert elongation(ball(1.0), [(29.5,) * 3], 6) == pytest.approx(1, rel=0.03)
    assert elongation(ball(1.6), [(29.5,) * 3], 9) == pytest.approx(1.6**2, rel=0.05)


def test_the_missing_wedge_elongates_particles():
    point = blobs((64, 64, 64), [(32, 32, 32)], (2, 2, 2))
    seen = {}
    for tilt in (40, 60, 70):
        geometry = TiltGeometry(even_tilts(-tilt, tilt, 3), 64, 64)
        projected = back_project(project(torch.from_numpy(point).float(), geometry), geometry)
        seen[tilt] = elongation(projected, [(32, 32, 32)], 5)
    # Radermacher 1988: (a + sin a cos a) / (a - sin a cos a), a the greatest tilt, for the square of the elongation
    for tilt, value in seen.items():
        a = np.deg2rad(tilt)
        assert value == pytest.approx((a + np.sin(a) * np.cos(a)) / (a - np.sin(a) * np.cos(a)), rel=0.25)
    assert seen[60] == pytest.approx(2.5, abs=0.15) and seen[40] > 5 > seen[60] > seen[70] > 1.5
    assert elongation(empty_wedge(point, (-60, 60)), [(32, 32, 32)], 5) == pytest.approx(2.6, abs=0.15)


def test_noise_averages_out_of_the_elongation():
    rng = np.random.default_rng(2)
    centres = np.stack(np.meshgrid([16, 44], *[np.arange(16, 100, 24)] * 2, indexing="ij"), -1).reshape(-1, 3)
    centres = centres + rng.uniform(-0.5, 0.5, centres.shape)
    density = blobs((60, 104, 104), centres, (3, 2, 2))
    clean = elongation(density, centres, 5)
    assert clean == pytest.approx(2.25, rel=0.03)
    noisy = density + 0.3 * rng.normal(size=density.shape)  # a third of the peak, in each of 32
    assert elongation(noisy, centres, 5) == pytest.approx(clean, rel=0.15)


def test_elongation_without_a_particle_is_nan():
    flat = np.zeros((30, 30, 30))
    assert np.isnan(elongation(flat, [(15, 15, 15)], 4))
    assert np.isnan(elongation(blobs((30, 30, 30), [(3, 15, 15)], (2, 2, 2)), [(3, 15, 15)], 4))  # sticks out
    assert np.isnan(elongation(flat, np.zeros((0, 3)), 4))
    r = np.sqrt(((np.indices((50, 50, 50)) - 24.5) ** 2).sum(0))
    assert np.isnan(elongation(np.exp(-((r - 6) ** 2) / 2), [(24.5,) * 3], 9))  # hollow: not point-like
    noise = np.random.default_rng(0).normal(size=(60, 60, 60))
    values = [elongation(noise, np.random.default_rng(s).uniform(15, 45, (20, 3)), 6) for s in range(9)]
    assert np.isnan(values).sum() >= 6  # a maximum in the middle by chance: one in 27


def test_area_under_the_curve_counts_pairs():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 9, 25) + 2.0, rng.integers(0, 9, 40) + 0.0  # with ties
    pairs = [1.0 if p > q else 0.5 if p == q else 0.0 for p in a for q in b]
    assert roc_area(a, b) == pytest.approx(np.mean(pairs))
    assert roc_area(a + 100, b) == 1 and roc_area(a - 100, b) == 0


def test_rotations_are_proper_and_cover_all_orientations():
    turns = even_rotations(500, seed=3)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (500, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    anyhow = Rotation.random(2000, np.random.default_rng(0)).as_matrix()
    nearest = np.einsum("aij,bij->ab", anyhow, turns).max(1)  # the trace of the turn between them
    angles = np.rad2deg(np.arccos(np.clip((nearest - 1) / 2, -1, 1)))
    assert angles.max() < 30 and angles.mean() < 16  # 500 turns drawn at random: about 40 and 17


L_SHAPE = blobs((17, 17, 17), [(8, 8, 8), (8, 8, 12), (8, 4, 8), (11, 8, 8)], (1.3, 1.3, 1.3))
BAR = blobs((17, 17, 17), [(8, 8, 8), (8, 8, 5), (8, 8, 11), (8, 8, 14)], (1.3, 1.3, 1.3))


def field(rng, noise):
    """Two kinds of particle, rotated at random by scipy, on a grid, in white noise."""
    volume = np.zeros((36, 144, 144))
    places = [(18, y, x) for y in range(18, 144, 36) for x in range(18, 144, 36)]
    kinds = {"l": [], "bar": []}
    for i, place in enumerate(places):
        name, density = ("l", L_SHAPE) if i % 2 else ("bar", BAR)
        angles = rng.uniform(0, 360, 3)
        turned = density
        for angle, axes in zip(angles, [(0, 1), (1, 2), (0, 2)], strict=True):
            turned = ndimage.rotate(turned, angle, axes, reshape=False, order=1)
        z, y, x = (p - 8 for p in place)
        volume[z : z + 17, y : y + 17, x : x + 17] += turned
        kinds[name].append(np.array(place) + rng.uniform(-0.5, 0.5, 3))
    return volume + noise * rng.normal(size=volume.shape), kinds["l"], kinds["bar"]


def test_matching_separates_two_kinds_of_particles():
    rng = np.random.default_rng(5)
    volume, ls, bars = field(rng, noise=0.1)
    assert discrimination(volume, ls, bars, L_SHAPE, rotations=300, box=28) == 1
    assert discrimination(volume, bars, ls, BAR, rotations=300, box=28) == 1
    assert discrimination(volume, bars, ls, L_SHAPE, rotations=300, box=28) == 0
    assert discrimination(volume, ls, ls, L_SHAPE, rotations=40, box=28) == 0.5  # all scores are equal
    assert discrimination(5 - 9 * volume, ls, bars, -L_SHAPE, rotations=300, box=28) == 1  # scale and offset
    emptied = empty_wedge(volume, (-50, 50))
    assert discrimination(emptied, ls, bars, L_SHAPE, (-50, 50), rotations=300, box=28) > 0.9


def test_matching_takes_the_largest_correlation_over_rotations_and_shifts():
    """One template, one voxel off, against a plain count in the sphere that it fills."""
    rng = np.random.default_rng(6)
    template = rng.normal(size=(9, 9, 9)) * (np.sqrt(((np.indices((9, 9, 9)) - 4.0) ** 2).sum(0)) <= 4)
    turn = even_rotations(1, seed=9)[0]
    # the same turn by scipy: output at p is input at the inverse turn of p
    grid = np.indices((15, 15, 15)).reshape(3, -1) - 7.0
    turned = ndimage.map_coordinates(template, turn.T @ grid + 4, order=1, mode="constant").reshape(15, 15, 15)
    volume = rng.normal(size=(20, 50, 50))
    volume[3:18, 5:20, 5:20] += 3 * turned  # centre (10, 12, 12)
    alone = discrimination(volume, [(10, 12, 12)], [(10, 35, 35)] * 3, template, rotations=1, box=15, seed=9)
    moved = discrimination(volume, [(11, 11, 12)], [(10, 35, 35)] * 3, template, rotations=1, box=15, seed=9)
    far = [
        discrimination(volume, [(10, 12, 17)], [(10, y, 35)], template, rotations=1, box=15, seed=9)
        for y in range(25, 42)
    ]
    assert alone == moved == 1
    assert 0.1 < np.mean(far) < 0.9


def test_noise_has_an_area_of_one_half_and_borders_are_left_out():
    rng = np.random.default_rng(7)
    areas = []
    for _ in range(8):
        volume = rng.normal(size=(32, 90, 90))
        places = rng.uniform([14, 14, 14], [17, 75, 75], (40, 3))
        areas.append(discrimination(volume, places[:20], places[20:], L_SHAPE, rotations=60, box=28))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.12)  # three standard deviations of the mean
    volume, ls, bars = field(rng, noise=0.1)
    assert np.isnan(discrimination(volume, ls, [(2, 18, 18)], L_SHAPE, rotations=20, box=28))
    beside = [*bars, (18, 3, 18), (35, 70, 70)]
    whole = discrimination(volume, ls, bars, L_SHAPE, rotations=20, box=28)
    assert discrimination(volume, ls, beside, L_SHAPE, rotations=20, box=28) == whole
