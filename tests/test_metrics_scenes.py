"""Invented structure and vesicles, in volumes whose content is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.metrics import empty_wedge, invented, particle_contrast, vesicle_correlation


def test_contrast_is_the_median_particle_over_ice():
    rng = np.random.default_rng(0)
    volume, labels = rng.normal(size=(30, 32, 34)), np.zeros((30, 32, 34), dtype=np.int16)
    for i, level in enumerate((2.0, 3.0, 90.0)):
        box = (slice(3 + 8 * i, 7 + 8 * i), slice(5, 15), slice(8, 12 + i))
        labels[box] = (1, 5, 7)[i]
        volume[box] += level
    labels[:2], volume[:2] = -1, 50  # a membrane is neither particle nor ice
    expected = np.median([volume[labels == i].mean() for i in (1, 5, 7)]) - volume[labels == 0].mean()
    assert particle_contrast(volume, labels) == pytest.approx(expected)
    assert particle_contrast(-3 * volume + 8, torch.from_numpy(labels)) == pytest.approx(-3 * expected)
    assert np.isnan(particle_contrast(volume, np.minimum(labels, 0)))
    assert np.isnan(particle_contrast(volume, np.ones_like(labels)))
    with pytest.raises(TomogramError, match="one shape"):
        particle_contrast(volume, labels[1:])


def test_blobs_of_known_size_are_counted():
    volume = np.full((50, 52, 54), 3.0)
    volume[20:24, 20:24, 20:24] += 1.1  # 64 voxels
    volume[30:33, 30:35, 30:32] += 1.1  # 30
    volume[20:23, 40:43, 40:43] += 1.1  # 27: too small
    volume[34:38, 20:24, 20:24] += 0.9  # below half the contrast
    volume[2:9, 2:9, 2:9] += 5  # cropped
    volume[24:28, 24:28, 24:28] += 1.1  # touches the first at a corner only
    found = invented(volume, 2.0, crop=9)
    assert (found.blobs, found.voxels) == (3, 64 + 30 + 64)
    assert found.std == pytest.approx(volume[9:-9, 9:-9, 9:-9].std())
    assert invented(volume, 2.0, crop=9, smallest=20).blobs == 4
    assert invented(volume, 1.7, crop=9).blobs == 4
    assert invented(volume, 2.0, crop=0).blobs == 4
    scaled = invented(-7 + 5 * volume, 10.0, crop=9)
    assert (scaled.blobs, scaled.voxels, scaled.std) == (3, 158, pytest.approx(5 * found.std))


def test_blobs_in_smooth_noise_agree_with_a_flood_fill():
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(40, 44, 48)), 1.5)
    noise /= noise.std()
    inner = noise[4:-4, 4:-4, 4:-4]
    left = {tuple(p) for p in np.argwhere(inner > np.median(inner) + 1.5)}
    sizes = []
    while left:
        edge, size = [left.pop()], 0
        while edge:
            z, y, x = edge.pop()
            size += 1
            steps = [(z + 1, y, x), (z - 1, y, x), (z, y + 1, x), (z, y - 1, x), (z, y, x + 1), (z, y, x - 1)]
            near = [p for p in steps if p in left]
            left.difference_update(near)
            edge += near
        sizes.append(size)
    big = [size for size in sizes if size >= 30]
    found = invented(noise, 3.0, crop=4)
    assert len(big) > 5 and (found.blobs, found.voxels) == (len(big), sum(big))


def test_without_a_contrast_nothing_is_counted():
    noise = np.random.default_rng(0).normal(size=(30, 30, 30))
    for contrast in (0.0, -1.0, float("nan")):
        found = invented(noise, contrast)
        assert np.isnan(found.blobs) and np.isnan(found.voxels) and found.std == pytest.approx(1, abs=0.2)
    assert invented(np.zeros((30, 30, 30)), 1.0).blobs == 0
    with pytest.raises(TomogramError, match="more than 40"):
        invented(noise, 1.0, crop=20)


SHAPE, CENTRE, RADIUS = (72, 84, 80), (36.2, 41.5, 39.7), 20.0


def vesicle(radius=RADIUS, centre=CENTRE, shape=SHAPE):
    """Two leaflets four voxels apart, a voxel thick."""
    r = np.sqrt(sum((q - c) ** 2 for q, c in zip(np.indices(shape), centre, strict=True)))
    return sum(np.exp(-((r - radius - d) ** 2) / 2) for d in (-2, 2))


def around(centre=CENTRE, shape=SHAPE):
    """Distance of every voxel, the angle of its normal in the plane (z, x), and its part in that plane."""
    z, y, x = (q - c for q, c in zip(np.indices(shape), centre, strict=True))
    return np.sqrt(z * z + y * y + x * x), z, x


@pytest.mark.parametrize(("low", "high"), [(-60, 60), (-42, 60)])
def test_a_shell_and_its_caps_follow_from_the_definitions(low, high):
    rng = np.random.default_rng(0)
    truth = vesicle() + rng.normal(size=SHAPE)
    volume = truth + rng.normal(size=SHAPE)
    r, z, x = around()
    shell = abs(r - RADIUS) <= 3
    tilt = np.rad2deg(np.arctan2(z * np.sign(x), abs(x)))
    off = np.minimum(*[abs(z * np.cos(t) - x * np.sin(t)) / r for t in np.deg2rad([low, high])])
    caps = shell & ((tilt < low) | (tilt > high)) & (np.rad2deg(np.arcsin(off)) > 8)
    assert 0.05 < caps.sum() / shell.sum() < 0.4
    found = vesicle_correlation(truth, volume, CENTRE, RADIUS, (low, high), width=3)
    assert found.shell == pytest.approx(np.corrcoef(truth[shell], volume[shell])[0, 1], abs=1e-9)
    assert found.caps == pytest.approx(np.corrcoef(truth[caps], volume[caps])[0, 1], abs=1e-9)


def test_an_empty_wedge_has_no_caps():
    truth = vesicle()
    whole = vesicle_correlation(truth, 5 - 2 * truth, CENTRE, RADIUS, (-60, 60))
    assert (whole.shell, whole.caps) == (pytest.approx(-1), pytest.approx(-1))
    for wedge in ((-60, 60), (-42, 60), (-50, 50)):
        found = vesicle_correlation(truth, empty_wedge(truth, wedge), CENTRE, RADIUS, wedge)
        assert found.shell > 0.6 and abs(found.caps) < 0.1
    # the other sign of the tilts cuts measured membrane away and leaves some of the caps
    assert vesicle_correlation(truth, empty_wedge(truth, (-30, 70)), CENTRE, RADIUS, (-70, 30)).caps > 0.2


def test_caps_face_the_wedge():
    truth = vesicle()
    r, z, _ = around()
    polar = abs(z) > 0.85 * r
    broken = np.where(polar, 0, truth)
    found = vesicle_correlation(truth, broken, CENTRE, RADIUS, (-60, 60))
    assert 0.6 < found.shell < 0.97 and found.caps < 0.8 * found.shell
    _, _, x = around()
    side = vesicle_correlation(truth, np.where(abs(x) > 0.85 * r, 0, truth), CENTRE, RADIUS, (-60, 60))
    assert side.caps == pytest.approx(1) and side.shell < 0.97
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned = Wedge.binary(-60, 60).rotated(quarter)  # waves along x are missing
    assert vesicle_correlation(truth, np.where(abs(x) > 0.85 * r, 0, truth), CENTRE, RADIUS, turned).caps < 0.8


def test_a_vesicle_at_the_border_of_the_volume():
    truth = vesicle(centre=(5.0, 41.5, 39.7))
    cut = vesicle_correlation(truth, truth, (5.0, 41.5, 39.7), RADIUS, (-60, 60))
    assert (cut.shell, cut.caps) == (pytest.approx(1), pytest.approx(1))
    gone = vesicle_correlation(truth, truth, (-90.0, 41.5, 39.7), RADIUS, (-60, 60))
    assert np.isnan(gone.shell) and np.isnan(gone.caps)
    with pytest.raises(TomogramError, match="one shape"):
        vesicle_correlation(truth, truth[1:], CENTRE, RADIUS, (-60, 60))
