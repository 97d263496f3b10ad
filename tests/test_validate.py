"""Evidence from held-out tilts and half sets: a right restoration wins, a wrong one loses, chance is chance."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from validation_parts import ANGLES, SHAPE, Fake, blobs, density, tilt_images

from cryowae.config.options import RestoreOptions
from cryowae.errors import ConfigError, TiltError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.metrics.rings import (
    curve_edges,
    outlier_pixels,
    replace_outliers,
    ring_correlation,
    ring_spectra,
    smooth_correlation,
)
from cryowae.metrics.significance import estimate_mean, paired_difference
from cryowae.restore import change_consistency, restore_array
from cryowae.validate import score_halves, score_held_out
from cryowae.validate.dropping import Drop, parse_drop
from cryowae.validate.half_sets import volume_blocks

FAST = RestoreOptions(fast=True, device="cpu")
BEYOND = tuple(i for i, angle in enumerate(ANGLES) if angle > 30)
EVERY = tuple(range(3, len(ANGLES) - 1, 5))


@pytest.fixture(scope="module")
def scene():
    """The density, protein bright, and its noisy images, protein dark."""
    made = blobs()
    clean = tilt_images(*made, ANGLES)
    noise = np.random.default_rng(1).normal(0, 1.0 * clean.std(), clean.shape)
    images = -(clean + noise).astype(np.float32)
    return density(*made), torch.from_numpy(images - images.mean((1, 2), keepdims=True))


def held_out(images, dropped, model, **options):
    given = {"voxel_size": 10.0, "depth": SHAPE[0], "settings": ("off",), "options": FAST, "contrast": "dark"}
    return score_held_out(images, ANGLES, dropped, model=model, **given | options)


def bands(evidence):
    return {one.name: one.bands.mean(0) for one in evidence.agreements}


# ---- rings


def correlation(a, b, edges=(0.02, 0.1, 0.2, 0.4)):
    return ring_correlation(ring_spectra(a), ring_spectra(b), edges, a.shape[2])


def test_an_image_agrees_with_itself_and_not_with_independent_noise():
    a, b = np.random.default_rng(0).normal(size=(2, 6, 96, 128)).astype(np.float32)
    assert correlation(a, a) == pytest.approx(1)
    assert correlation(a, -3 * a + 5) == pytest.approx(-1)
    # of n independent components; the window leaves about half of them independent
    count = np.array([np.pi * (high**2 - low**2) / 2 * 96 * 128 for low, high in ((0.02, 0.1), (0.1, 0.2), (0.2, 0.4))])
    assert (np.abs(correlation(a, b)) < 5 / np.sqrt(count / 2)).all()


def test_signal_and_noise_of_equal_power_correlate_by_the_root_of_one_half():
    a, b = np.random.default_rng(0).normal(size=(2, 20, 96, 96)).astype(np.float32)
    assert correlation(a, a + b).mean(0) == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_a_ring_sees_only_its_own_frequencies():
    x = np.arange(128)
    wave = np.tile(np.cos(2 * np.pi * 0.15 * x), (1, 64, 1)).astype(np.float32)
    noise = np.random.default_rng(0).normal(size=(1, 64, 128)).astype(np.float32)
    found = correlation(50 * wave + noise, 50 * wave - noise)[0]
    assert found[1] > 0.99 and found[2] < -0.9


def test_a_ring_without_components_is_unknown():
    noise = np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32)
    assert np.isnan(correlation(noise, noise, (0.01, 0.02, 0.2))[0]).tolist() == [True, False]
    assert curve_edges()[[0, -1]] == pytest.approx([0, 0.5])


def test_the_low_pass_ignores_fine_noise():
    y, x = np.mgrid[:96, :96]
    coarse = np.cos(2 * np.pi * y / 48) * np.cos(2 * np.pi * x / 40)
    noise = np.random.default_rng(0).normal(size=(2, 96, 96))
    first, second = ((coarse + n)[None].astype(np.float32) for n in noise)
    assert smooth_correlation(first, second)[0] > 0.9
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.3
    assert smooth_correlation(first, np.ones_like(first))[0] == 0


def test_beads_are_found_and_noise_is_not():
    image = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    assert not outlier_pixels(image).any()
    y, x = np.mgrid[:128, :128]
    bead = np.hypot(y - 40, x - 90) < 4
    found = outlier_pixels(image - 20 * bead)
    assert found[bead].all() and found.sum() < 6 * bead.sum()
    clean = replace_outliers((image - 20 * bead)[None], found[None])[0]
    assert np.abs(clean).max() < 6


def test_what_replaces_beads_agrees_with_nothing():
    """Two images with the same background and the same beads, and independent noise: only the background agrees."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:192, :192]
    background = 3 * np.cos(2 * np.pi * x / 192) * np.ones((4, 1, 1))
    beads = np.zeros((4, 192, 192), bool)
    for bead in beads:
        for row, column in generator.uniform(10, 182, (25, 2)):
            bead |= np.hypot(y - row, x - column) < 5
    first, second = (background + generator.normal(0, 0.3, beads.shape) - 20 * beads for _ in range(2))
    edges = (0.001, 0.01, 0.05, 0.1, 0.2)
    kept, clean = (
        correlation(*(change(image.astype(np.float32)) for image in (first, second)), edges).mean(0)
        for change in (lambda image: image, lambda image: replace_outliers(image, beads))
    )
    assert (kept > 0.9).all()
    assert clean[0] > 0.95 and np.abs(clean[3]) < 0.1 and clean[2] < 0.2


# ---- statistics


def test_the_interval_covers_the_true_mean():
    generator = np.random.default_rng(0)
    for n in (6, 8, 20):
        found = [estimate_mean(generator.normal(0.3, 0.1, n), generator) for _ in range(300)]
        assert 0.90 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.985


def test_a_single_unit_has_no_interval():
    found = estimate_mean(np.array([0.3, np.nan]), np.random.default_rng(0))
    assert found.mean == pytest.approx(0.3) and np.isnan([found.spread, found.low, found.high]).all()


def test_the_permutation_test_counts_exchanges():
    first, second = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.9]), np.array([0.4, 0.5, 0.4, 0.7, 0.6, 0.7])
    found = paired_difference(first, second, np.random.default_rng(0))
    assert found.mean == pytest.approx(1.1 / 6) and found.p == pytest.approx(2 / 64)  # all six have one sign
    assert paired_difference(first, first, np.random.default_rng(0)).p == 1
    far = paired_difference(np.ones(30), np.zeros(30), np.random.default_rng(0))
    assert 0 < far.p < 0.001


def test_the_permutation_test_is_fair_without_an_effect():
    generator = np.random.default_rng(2)
    p = [paired_difference(*generator.normal(size=(2, 9)), generator).p for _ in range(200)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.06)


# ---- which tilts


def test_every_fifth_tilt_lies_between_kept_ones():
    angles = np.arange(-60.0, 61, 3)
    for listed in (angles, angles[::-1]):
        dropped = sorted(listed[list(parse_drop("every:5").select(listed.tolist()))])
        assert dropped == [-54, -39, -24, -9, 6, 21, 36, 51]
    for step in range(2, 12):
        assert not {0, 40} & set(Drop("every", step).select(angles.tolist()))


def test_tilts_beyond_an_angle_have_the_sign_that_was_given():
    angles = np.arange(-60.0, 61, 3) + 0.01
    assert angles[list(parse_drop("beyond:42").select(angles.tolist()))].round().tolist() == [45, 48, 51, 54, 57, 60]
    assert angles[list(parse_drop("beyond:-50").select(angles.tolist()))].round().tolist() == [-60, -57, -54, -51]
    assert "wedge" in parse_drop("beyond:42").question and "denoising" in parse_drop("every:4").question


@pytest.mark.parametrize("text", ["every:1", "every:2.5", "every", "beyond:0", "beyond:95", "half:2", "every:x", ""])
def test_a_rule_that_means_nothing_is_refused(text):
    with pytest.raises(ConfigError, match=r"expected every:N, such as every:5, or beyond:ANGLE"):
        parse_drop(text)


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        ("beyond:89", "drops 0 of 31 tilts, from -60 to 30 degrees; expected two or more"),
        ("beyond:28", "drops 1 of 31"),
        ("every:40", "drops 1 of 31"),
        ("beyond:-1", "drops 20 of 31 tilts and keeps 11; expected no more dropped than kept"),
    ],
)
def test_too_few_or_too_many_tilts_are_refused(rule, got):
    with pytest.raises(TiltError, match=f"--drop {rule} {got}") as caught:
        parse_drop(rule).select([float(a) for a in range(-60, 31, 3)])
    assert "\n" not in str(caught.value)


# ---- held-out tilts


def test_the_true_volume_predicts_tilts_beyond_the_range_better_than_the_input(scene):
    truth, images = scene
    found = held_out(images, BEYOND, Fake(truth))
    means = bands(found)
    assert (means["restored"] > means["input"] + 0.1).all()
    gain = found.gains(found.agreements[2])
    assert all(one.low > 0 and one.p < 0.05 for one in gain[:3])
    assert all(control.difference.low > 0 and control.warning() is None for control in found.controls)


def test_an_unchanged_volume_scores_as_the_input(scene):
    _, images = scene
    means = bands(held_out(images, EVERY, Fake()))
    assert means["restored"] == pytest.approx(means["input"], abs=1e-3)
    assert (means["input"] > 0.3).all()  # between kept tilts, the input knows much


def test_an_invented_volume_scores_as_chance(scene):
    truth, images = scene
    invented = density(*blobs(seed=9))
    found = held_out(images, EVERY, Fake(invented))
    assert (np.abs(bands(found)["restored"][1:]) < (0.25, 0.1)).all()
    shifted = found.agreements[0].chance
    assert np.abs(shifted.mean(0)[1:]).max() < 0.05
    assert (bands(found)["input"] > found.chance()).all()


def test_a_negated_sign_of_the_projections_loses_and_the_mirror_image_cannot_be_told(scene):
    truth, images = scene
    found = held_out(images, BEYOND, Fake(truth))
    sign = found.controls[0]
    assert sign.name == "tilt sign" and sign.used_bands.mean() > sign.other_bands.mean() + 0.2
    wrong = replace(sign, used_bands=sign.other_bands, other_bands=sign.used_bands)
    assert "try --flip-tilt" in wrong.warning() and "LOSES" in wrong.line()
    # all angles negated, and the truth mirrored along z: the same images
    mirrored = score_held_out(
        images.flip(0),
        tuple(-angle for angle in reversed(ANGLES)),
        [len(ANGLES) - 1 - i for i in BEYOND],
        voxel_size=10.0,
        depth=SHAPE[0],
        settings=("off",),
        options=FAST,
        contrast="dark",
        model=Fake(truth[::-1].copy()),
    )
    assert bands(mirrored)["restored"] == pytest.approx(bands(found)["restored"], abs=1e-3)


def test_the_wrong_contrast_loses(scene):
    truth, images = scene
    right = held_out(images, EVERY, Fake(truth)).controls[1]
    assert right.difference.low > 0.5  # the other contrast gives the negative of the truth
    wrong = held_out(images, EVERY, Fake(truth), contrast="bright").controls[1]
    assert wrong.difference.high < 0 and "try --contrast dark" in wrong.warning()


def test_beads_do_not_decide_the_score(scene):
    """Beads at places that no tomogram predicts lower the correlation, unless they are replaced."""
    truth, images = scene
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    beaded, generator = images.clone(), np.random.default_rng(4)
    for i in EVERY:
        for _ in range(2):
            at = generator.uniform(12, 52), generator.uniform(38, 58)
            beaded[i] -= torch.from_numpy(60 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 8).astype(np.float32))
    plain = held_out(images, EVERY, Fake(truth))
    replaced = held_out(beaded, EVERY, Fake(truth))
    kept = held_out(beaded, EVERY, Fake(truth), keep_beads=True)
    assert plain.masked < 0.03 and plain.masked + 0.01 < replaced.masked < 0.2 and kept.masked == 0
    assert bands(replaced)["restored"] == pytest.approx(bands(plain)["restored"], abs=0.08)
    assert bands(kept)["restored"].mean() < bands(plain)["restored"].mean() - 0.2


def test_the_field_shrinks_with_the_highest_tilt(scene):
    truth, images = scene
    assert held_out(images, BEYOND, Fake(truth)).field == (64, 48)  # 96 cos 60
    assert held_out(images, EVERY, Fake(truth), field=(50, 96)).field[0] == 50
    with pytest.raises(TomogramError, match="only 48 x 20 pixels are in all images up to a tilt of 60 degrees"):
        held_out(images, BEYOND, Fake(truth), field=(20, 96))
    with pytest.raises(TiltError, match="drops 1 of 31"):
        held_out(images, (4,), Fake(truth))


def test_a_setting_from_one_pass_of_the_network_is_that_of_its_own_restoration(scene):
    truth, images = scene
    volume = -truth + np.random.default_rng(0).normal(0, 0.2, SHAPE).astype(np.float32)
    how = {"wedge": Wedge.binary(-60, 40), "voxel_size": 10.0, "model": Fake(truth), "contrast": "dark"}
    off = restore_array(volume, options=FAST, **how).data
    for setting in ("off", "soft", "hard"):
        once = restore_array(volume, options=replace(FAST, consistency=setting), **how).data
        changed = change_consistency(off, volume, setting, wedge=how["wedge"], contrast="dark")
        assert np.abs(changed - once).max() < 1e-4 * volume.std()


# ---- halves

HALF_SHAPE = (32, 96, 96)
WEDGE = Wedge.binary(-60, 60)


@pytest.fixture(scope="module")
def half_sets():
    """White signal in the measured region, and two halves with white noise of half its power."""
    x, *noise = np.random.default_rng(0).normal(size=(3, *HALF_SHAPE)).astype(np.float32)
    signal = WEDGE.apply(torch.from_numpy(x)).numpy()
    return x, *(-(signal + np.sqrt(0.5) * n).astype(np.float32) for n in noise)


def halves(pair, model, **options):
    given = {"wedge": WEDGE, "voxel_size": 10.0, "settings": ("off",), "options": FAST, "contrast": "dark"}
    return score_halves(*pair, model=model, **given | options)


def test_a_perfect_restoration_reaches_the_ceiling_and_a_copy_of_the_noise_does_not(half_sets):
    truth, *pair = half_sets
    perfect, copied = halves(pair, Fake(truth)), halves(pair, Fake())
    assert perfect.ceiling[1:] == pytest.approx(np.sqrt(2 / 3), abs=0.03)  # signal of twice the power of the noise
    assert bands(perfect)["restored"][1:] == pytest.approx(perfect.ceiling[1:], abs=0.03)
    assert bands(copied)["restored"][1:] == pytest.approx(2 / 3, abs=0.04)
    assert np.nanmean(perfect.ceiling_curve[3:]) == pytest.approx(np.sqrt(2 / 3), abs=0.02)
    assert perfect.controls[0].difference.low > 1  # the other contrast is anticorrelated
    assert (np.abs(perfect.agreements[0].chance[:, 1:]) < (0.2, 0.06)).all()


def test_what_is_invented_in_the_wedge_is_not_counted(half_sets):
    truth, *pair = half_sets
    other = np.random.default_rng(5).normal(size=HALF_SHAPE).astype(np.float32)
    measured = WEDGE.apply(torch.from_numpy(truth)).numpy()
    invented = 3 * (other - WEDGE.apply(torch.from_numpy(other)).numpy())
    found = halves(pair, Fake((measured + invented).astype(np.float32)))
    assert bands(found)["restored"][1:] == pytest.approx(found.ceiling[1:], abs=0.05)


def test_blocks_divide_a_volume():
    blocks = volume_blocks((40, 300, 330))
    assert len(blocks) == 9
    covered = np.zeros((40, 300, 330), int)
    for block in blocks:
        covered[block] += 1
    assert covered.max() == 1 and covered.mean() > 0.95
    assert len({tuple(part.stop - part.start for part in block) for block in blocks}) == 1
    with pytest.raises(TomogramError, match="two blocks of 48"):
        volume_blocks((40, 60, 60))


def test_halves_of_two_shapes_are_refused(half_sets):
    _, first, second = half_sets
    with pytest.raises(TomogramError, match="expected one shape"):
        halves((first, second[1:]), Fake())


# ---- the summary


def test_the_summary_has_every_figure(scene):
    truth, images = scene
    found = held_out(images, EVERY, Fake(truth), settings=("off", "hard"))
    assert [one.name for one in found.agreements] == ["input", "Gaussian", "restored", "restored, hard"]
    values = json.loads(json.dumps(found.as_values(), allow_nan=False))
    for one, row in zip(found.agreements, values["volumes"], strict=True):
        assert [band["mean"] for band in row["bands"]] == pytest.approx(one.bands.mean(0))
        assert np.array(row["by_unit"]) == pytest.approx(one.bands)
    table = found.table(10.0)
    for word in (
        "100-200 Å",
        "restored, hard - input",
        "permutation test",
        "chance",
        f"{bands(found)['input'][0]:.3f}",
    ):
        assert word in table
    assert len(found.example) == 3 and found.example[0].shape == found.field
