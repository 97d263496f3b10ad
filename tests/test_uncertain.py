"""Which voxels of a restored volume are uncertain, and volumes as one array, without a viewer."""

from __future__ import annotations

import numpy as np
import pytest

from cryowae.errors import TomogramError
from cryowae.io.neighbours import find_samples, sample_beside, std_beside
from cryowae.tomogram.stack import StackOf
from cryowae.tomogram.uncertain import UncertainVoxels, restored_contrast

RNG = np.random.default_rng(0)
VOLUMES = RNG.normal(size=(3, 6, 7, 8)).astype(np.float32)
KEYS = [
    (1,),
    (slice(None), 2),
    (slice(0, 1), slice(2, 3), slice(None), slice(None)),
    (-1, ..., 3),
    (slice(3, 0, -1), slice(None), 4),
    (np.int64(2), slice(1, 5), slice(None), slice(2, 6)),
    (slice(0, 0), 1),
    (...,),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_stack_is_sliced_as_an_array(key):
    stack = StackOf(list(VOLUMES))
    assert stack.shape == VOLUMES.shape and len(stack) == 3 and stack.ndim == 4 and stack.size == VOLUMES.size
    found = stack[key if len(key) > 1 else key[0]]
    assert found.dtype == np.float32 and np.array_equal(found, VOLUMES[key])
    assert np.array_equal(np.asarray(stack), VOLUMES) and np.asarray(stack, np.float64).dtype == np.float64


def test_a_stack_refuses_what_is_no_stack():
    with pytest.raises(IndexError):
        StackOf(list(VOLUMES))[3]
    for volumes in ([], [VOLUMES[0], VOLUMES[1][:4]]):
        with pytest.raises(ValueError, match="one shape"):
            StackOf(volumes)


class Counted:
    """A volume that counts the voxels that are read."""

    shape, dtype, read = (600, 400, 400), np.dtype(np.float32), 0

    def __getitem__(self, key):
        block = np.broadcast_to(np.float32(2), self.shape)[key]
        self.read += block.size
        return block


def test_only_what_is_shown_is_read():
    counted = [Counted() for _ in range(4)]
    assert StackOf(counted)[2, 300].shape == (400, 400)
    assert [one.read for one in counted] == [0, 0, 400 * 400, 0]
    marks = UncertainVoxels(counted[0], contrast=3.0)
    assert marks[10:11].all() and counted[0].read == 400 * 400
    assert marks.share == 1 and counted[0].read < 0.05 * 600 * 400 * 400


def scene(protein: float, occupancy: float = 0.05) -> np.ndarray:
    """Solvent of grey value 50 with weak noise, and molecules above or below it by `protein`."""
    volume = 50 + RNG.normal(size=(40, 40, 40))
    inside = RNG.random(volume.shape) < occupancy
    return np.where(inside, volume + protein, volume)


@pytest.mark.parametrize("protein", [30.0, -30.0])
@pytest.mark.parametrize("occupancy", [0.02, 0.2])
def test_the_contrast_is_that_of_molecules_above_or_below_the_solvent(protein, occupancy):
    assert restored_contrast(scene(protein, occupancy)) == pytest.approx(30, rel=0.08)


def test_the_contrast_scales_with_the_volume_and_has_no_sign():
    volume = scene(-30.0).astype(np.float32)
    contrast = restored_contrast(volume)
    assert restored_contrast(7 - 3 * volume) == pytest.approx(3 * contrast, rel=1e-4)
    volume[3] = np.nan
    assert restored_contrast(volume) == pytest.approx(contrast, rel=0.05)
    assert restored_contrast(np.full((4, 4, 4), 5.0)) == 0


def test_voxels_above_a_fraction_of_the_contrast_are_marked():
    deviation = np.linspace(0, 20, 1000).reshape(10, 10, 10)
    shares = []
    for fraction in (0.1, 0.5, 1.0):
        marks = UncertainVoxels(deviation, 10.0, fraction)
        assert np.array_equal(np.asarray(marks), deviation > 10 * fraction) and marks[:].dtype == np.uint8
        assert np.array_equal(marks[3, 2:4], deviation[3, 2:4] > 10 * fraction)
        shares.append(marks.share)
    assert shares == pytest.approx([0.95, 0.75, 0.5])
    assert not UncertainVoxels(np.zeros((4, 4, 4)), 10.0)[:].any()  # where all samples agree, nothing is uncertain


@pytest.mark.parametrize("contrast", [0.0, np.nan])
def test_without_contrast_nothing_can_be_marked(contrast):
    with pytest.raises(TomogramError, match="no contrast"):
        UncertainVoxels(np.ones((4, 4, 4)), contrast)


def test_samples_are_found_beside_their_result(tmp_path):
    result = tmp_path / "a_restored.mrc"
    names = ["a_restored.mrc", "a_restored_std.mrc", *(f"a_restored_sample{n}.mrc" for n in (1, 2, 4, 10))]
    for name in (*names, "b_std.mrc", "a_std.mrc"):
        (tmp_path / name).touch()
    assert find_samples(result) == (std_beside(result), (sample_beside(result, 1), sample_beside(result, 2)))
    assert find_samples(tmp_path / "b.mrc.gz") == (tmp_path / "b_std.mrc", ())
    assert find_samples(tmp_path / "c.rec") == (None, ())
