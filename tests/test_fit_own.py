"""Subtomograms of the user's own tomogram: where they are taken from, their noise, and what a batch has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fit_parts import PHYSICS, TINY, item_from
from scipy.ndimage import gaussian_filter, uniform_filter

from cryowae.config import TrainConfig
from cryowae.errors import TomogramError
from cryowae.fit import own
from cryowae.fit.own import OwnSubtomograms, held_out_region, real_noise
from cryowae.fit.source import Rehearsal, needs_own, needs_truth
from cryowae.io.mrc import write_mrc
from cryowae.tomogram.padding import HALO

CROP = 16


@pytest.fixture
def noise():
    """Two independent volumes of white noise of standard deviation 1."""
    return np.random.default_rng(0).normal(size=(2, 32, 64, 128)).astype(np.float32)


def subtomograms(item, seed=0, crop=CROP, **options):
    return OwnSubtomograms(item, crop, seed, held_out_region(item.tomogram.shape), **options)


def touches(place, region, crop=CROP):
    return all(p < part.stop and p + crop > part.start for p, part in zip(place, region, strict=True))


@pytest.mark.parametrize("shape", [(32, 64, 128), (32, 128, 64), (200, 500, 400), (20, 21, 22), (8, 8, 8)])
def test_the_held_out_region_is_a_slab_across_the_longer_side(shape):
    region = held_out_region(shape)
    sizes = [part.stop - part.start for part in region]
    assert all(0 <= part.start < part.stop <= n for part, n in zip(region, shape, strict=True))
    axis = int(np.argmax(shape[1:])) + 1
    assert [size == n for a, (size, n) in enumerate(zip(sizes, shape, strict=True)) if a != axis] == [True, True]
    assert sizes[axis] <= 96 and abs(region[axis].start - (shape[axis] - region[axis].stop)) <= 1


def test_no_subtomogram_touches_the_held_out_region(noise):
    volume = noise[0]
    region = held_out_region(volume.shape)
    volume[region] = 1000
    mine = subtomograms(item_from(volume))
    assert not any(touches(place, region) for place in mine.places)
    assert len({tuple(place) for place in mine.places}) == len(mine.places) > 10
    batch = torch.cat([mine.batch(step, 8).observation for step in range(10)])
    assert batch.shape == (80, 1, CROP, CROP, CROP) and float(batch.max()) < 8  # they would have 12
    assert batch.mean() == pytest.approx(0, abs=0.1) and batch.std() == pytest.approx(1, abs=0.1)


def test_subtomograms_are_taken_where_the_particles_are(noise):
    volume = noise[0]
    rng = np.random.default_rng(1)
    dots = np.zeros_like(volume)
    dots[tuple(rng.integers(0, [32, 64, 24], (60, 3)).T)] = 400  # only at small x
    volume += gaussian_filter(dots, 2.0)
    x = subtomograms(item_from(volume)).places[:, 2]
    full = subtomograms(item_from(noise[1])).places[:, 2]
    best = x[: len(x) // 4]
    assert best.max() < 32 and np.mean(x < 48) > 0.9 > 0.6 > np.mean(full < 48)


def test_a_mask_is_respected_also_where_it_is_small(tmp_path, noise):
    mask = np.zeros(noise.shape[1:], np.float32)
    mask[:, :, 110:] = 1
    write_mrc(tmp_path / "mask.mrc", mask, voxel_size=10.0)
    places = subtomograms(item_from(noise[0], mask=tmp_path / "mask.mrc")).places
    assert len(places) > 3 and (places[:, 2] + CROP // 2 >= 110).all()
    mask[:, :, 110:], mask[0, 0, 0] = 0, 1
    write_mrc(tmp_path / "none.mrc", mask, voxel_size=10.0)
    with pytest.raises(TomogramError, match=r"none\.mrc is 0 at every place"):
        _ = subtomograms(item_from(noise[0], mask=tmp_path / "none.mrc")).places


def test_a_batch_is_a_function_of_seed_and_step(noise):
    item = item_from(noise.mean(0), tuple(noise))
    mine, again, other = (subtomograms(item, seed) for seed in (0, 0, 1))
    first = mine.batch(3, 4)
    mine.batch(4, 4)
    later = again.batch(3, 4)
    for name in ("observation", "other", "noise"):
        assert torch.equal(getattr(first, name), getattr(later, name))
    assert not torch.equal(first.observation, other.batch(3, 4).observation)
    assert not torch.equal(first.observation, mine.batch(4, 4).observation)
    assert first.tilts == ((-60.0, 60.0),) * 4


def test_halves_give_another_half_and_noise_without_signal(noise):
    """A strong signal that both halves share, with noise of standard deviation 1."""
    signal = 20 * gaussian_filter(np.random.default_rng(5).normal(size=noise.shape[1:]), 1.0).astype(np.float32)
    halves = tuple(signal + noise)
    mine = subtomograms(item_from(halves[0], halves))
    batches = [mine.batch(step, 4) for step in range(12)]
    seen, other, rest = (torch.cat([getattr(b, n) for b in batches]) for n in ("observation", "other", "noise"))
    unit = 1 / np.std(halves[0])
    assert float(rest.std()) == pytest.approx(unit, rel=0.05)
    assert float((seen - other).std()) == pytest.approx(2**0.5 * unit, rel=0.05)
    assert abs(np.corrcoef(seen.ravel(), rest.ravel())[0, 1]) < 0.03
    # either half is observed
    order = {
        bool((mine.batch(step, 1).observation[0, 0] == block).all())
        for step in range(12)
        for block in [first_block(mine, step)]
    }
    assert order == {True, False}


def first_block(mine, step):
    """The block of half 1 that step `step` shows, found by its values."""
    seen = mine.batch(step, 1).observation[0, 0]
    blocks = [mine._views[0][tuple(slice(int(a), int(a) + CROP) for a in place)] for place in mine.places]
    return torch.from_numpy(min(blocks, key=lambda block: float((torch.from_numpy(block) - seen).square().sum())))


def test_the_noise_is_independent_even_if_there_is_one_place():
    halves = tuple(np.random.default_rng(2).normal(size=(2, 16, 16, 64)).astype(np.float32))
    mine = subtomograms(item_from(halves[0], halves))
    assert len(mine.places) == 1
    batch = mine.batch(0, 1)
    for half in (batch.observation, batch.other):
        assert abs(np.corrcoef(half.ravel(), batch.noise.ravel())[0, 1]) < 0.06


def test_without_halves_the_noise_is_simulated(noise):
    field = torch.arange(24.0**3).view(24, 24, 24)
    batch = subtomograms(item_from(noise[0]), noise=field).batch(0, 3)
    assert batch.other is None and batch.noise.shape == (3, 1, CROP, CROP, CROP)
    assert torch.equal(batch.noise[0, 0, 1] - batch.noise[0, 0, 0], torch.full((CROP, CROP), 24.0**2))
    assert subtomograms(item_from(noise[0])).batch(0, 3).noise is None


def test_protein_is_bright_in_a_batch(noise):
    bright, dark = (
        subtomograms(item_from(sign * noise[0], contrast=name)) for sign, name in ((1, "bright"), (-1, "dark"))
    )
    assert torch.allclose(bright.batch(0, 2).observation, dark.batch(0, 2).observation, atol=1e-5)


@pytest.mark.parametrize(("shape", "words"), [((12, 64, 128), "at least 16"), ((32, 32, 40), "too small to fit")])
def test_small_tomograms_are_refused_at_once(shape, words):
    with pytest.raises(TomogramError, match=words):
        subtomograms(item_from(np.zeros(shape, np.float32)))


# ---- large tomograms


class Watched:
    """An array that notes the largest block that is read, and the blocks of three slices."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.largest, self.regions = array, array.shape, array.dtype, 0, []

    def __getitem__(self, key):
        block = self.array[key]
        self.largest = max(self.largest, block.size)
        if isinstance(key, tuple) and len(key) == 3 and block.size < self.array.size:  # not the sample of statistics
            self.regions.append(key)
        return block


def test_structure_is_that_of_the_whole_volume_and_read_by_slabs():
    volume = np.random.default_rng(0).normal(size=(90, 40, 42)).astype(np.float32)
    volume[10] *= 10
    seen = Watched(volume)
    fine = gaussian_filter(np.clip(volume, -5, 5), 1.5)[::2, ::2, ::2]
    expected = uniform_filter((fine - gaussian_filter(fine, 3.0)) ** 2, 16)
    assert own._structure(seen) == pytest.approx(expected, abs=1e-6)
    assert seen.largest <= 48 * 40 * 42


def test_of_a_large_tomogram_only_the_central_part_is_used(monkeypatch):
    monkeypatch.setattr(own, "_WIDEST", (32, 48, 96))
    volume = np.random.default_rng(0).normal(size=(64, 96, 200)).astype(np.float32)
    item = item_from(volume)
    seen = Watched(volume)
    object.__setattr__(item.tomogram, "data", seen)
    places = subtomograms(item).places
    assert (places.min(0) >= (16, 24, 52)).all() and (places.max(0) + CROP <= (48, 72, 148)).all()
    assert len(places) > 10 and not any(touches(place, held_out_region(volume.shape)) for place in places)
    ends = [(part[0].start, part[0].stop) for part in seen.regions]
    assert min(a for a, _ in ends) >= 16 - HALO and max(b for _, b in ends) <= 48 + HALO


# ---- real noise for the scenes


def test_real_noise_is_half_the_difference_outside_the_held_out_region(noise):
    signal = 10 * np.random.default_rng(7).normal(size=noise.shape[1:]).astype(np.float32)
    halves = tuple(signal + noise)
    region = held_out_region(signal.shape)
    halves[0][region] += 1000
    found = real_noise(item_from(halves[0], halves), CROP)
    assert found.shape == (2, 32, 64, 48) and torch.equal(found[0], -found[1])
    assert float(found.std()) == pytest.approx(2**-0.5, rel=0.02) and float(found.abs().max()) < 4
    before = noise[0][:, :, :48] - noise[1][:, :, :48]
    assert np.corrcoef(found[0].ravel(), before.ravel())[0, 1] > 0.999


def test_there_is_no_real_noise_without_halves_or_room(noise):
    assert real_noise(item_from(noise[0]), CROP) is None
    assert real_noise(item_from(noise[0], tuple(noise)), 40) is None  # of 32 voxels along z


# ---- the source


def config(**objective):
    return TrainConfig(name="x", objective=objective, data=TINY)


def test_the_objective_says_what_is_needed():
    assert needs_truth(config(supervised=1.0)) and not needs_own(config(supervised=1.0))
    assert needs_own(config(fidelity=1.0, mmd=0.1)) and not needs_truth(config(fidelity=1.0, mmd=0.1))
    assert needs_own(config(supervised=1.0, equivariance=1.0)) and needs_truth(config(supervised=1.0, equivariance=1.0))
    assert needs_own(config(**{"mine:Term": 1.0})) and needs_truth(config(**{"mine:Term": 1.0}))


def test_steps_take_the_tomograms_in_turn(noise):
    items = [item_from(one, name=f"{i}.mrc") for i, one in enumerate(noise)]
    with Rehearsal(config(supervised=1.0, equivariance=1.0), items, [PHYSICS, PHYSICS], "cpu") as source:
        batches = [source.batch(step) for step in range(3)]
        mine = [subtomograms(item) for item in items]
        for step, batch in enumerate(batches):
            assert torch.equal(batch.own.observation, mine[step % 2].batch(step, 2).observation)
            assert batch.own.noise.std() == pytest.approx(0.8**0.5, rel=0.3) and batch.truth.shape == (2, 1, 16, 16, 16)
        assert not torch.equal(batches[0].truth, batches[1].truth) and not torch.equal(
            batches[0].truth, batches[2].truth
        )
        assert torch.equal(source.batch(1).observation, batches[1].observation)


def test_own_data_alone_and_scenes_alone(noise):
    halves = item_from(noise.mean(0), tuple(noise))
    with Rehearsal(config(fidelity=1.0), [halves], [PHYSICS], "cpu") as source:
        assert source.batch(0).truth is None and source.batch(0).other is not None
    with Rehearsal(config(supervised=1.0), [halves], [PHYSICS], "cpu") as source:
        assert source.batch(0).own is None and source.batch(0).truth is not None


def test_scenes_of_a_tomogram_with_halves_have_its_noise(noise):
    """The noise of the halves is constant along y here, which simulated noise is not."""
    flat = np.repeat(noise[:, :, :1], 64, 2)
    only_noise = TrainConfig(name="x", objective={"supervised": 1.0}, data={**TINY, "empty": 1.0, "crop": 16})
    with Rehearsal(only_noise, [item_from(flat[0], tuple(flat))], [PHYSICS], "cpu") as source:
        seen = source.batch(0).observation
    assert float(seen.std()) > 0.3 and float(seen.diff(dim=3).abs().max()) < 1e-2
