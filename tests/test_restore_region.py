"""A part of a tomogram, restored alone: it equals this part of the complete restoration."""

from __future__ import annotations

import numpy as np
import pytest
from test_restore import Blur, Diary, Lopsided, halves_like, read, save, tomogram_like

from cryowae.errors import ConfigError, TiltError, TomogramError
from cryowae.restore import RestoreOptions, restore_region, restore_tomogram
from cryowae.tomogram import open_tomogram

SHAPE = (48, 64, 72)
PART = (slice(22, 30), slice(20, 41), slice(33, 60))
QUIET = RestoreOptions(report=False)


EDGE = (slice(0, 8), slice(0, 64), slice(60, 72))
ALL = tuple(slice(0, n) for n in SHAPE)


# `Lopsided` wraps around at the faces of a window: regions must not touch a face of the volume
@pytest.mark.parametrize(("part", "model"), [(PART, Lopsided()), (EDGE, Blur()), (ALL, Lopsided())])
def test_a_restored_part_equals_that_part_of_the_whole(tmp_path, part, model):
    volume = tomogram_like(SHAPE)
    path = save(tmp_path, volume)
    whole = read(restore_tomogram(path, model=model, options=QUIET).path)[part]
    found = restore_region(open_tomogram(path), part, model=model, options=QUIET)
    assert found.shape == whole.shape and found.dtype == np.float32
    assert (found - found.mean()) == pytest.approx(whole - whole.mean(), abs=1e-3 * float(volume.std()))
    assert found.mean() == pytest.approx(
        whole.mean(), abs=0.05 * float(volume.std())
    )  # the mean of the whole and of the part differ


def test_a_part_of_two_halves_is_the_part_of_their_mean(tmp_path):
    first, second = halves_like(SHAPE)
    halves = {"half1": save(tmp_path, first, "a"), "half2": save(tmp_path, second, "b")}
    mean = open_tomogram(save(tmp_path, (first + second) / 2, "mean"))
    expected = restore_region(mean, PART, model=Blur(), options=QUIET)
    assert restore_region(mean, PART, model=Blur(), options=QUIET, **halves) == pytest.approx(
        expected, abs=0.02 * float(first.std())
    )


def test_hard_consistency_works_for_a_part(tmp_path):
    volume = tomogram_like(SHAPE)
    tomogram = open_tomogram(save(tmp_path, volume), tilt_range=(-89, 89))
    options = RestoreOptions(consistency="hard")
    found = restore_region(tomogram, PART, model=Blur(), options=options)
    assert np.corrcoef(found.ravel(), volume[PART].ravel())[0, 1] > 0.95  # nearly everything was measured


def test_contrast_is_estimated_and_windows_are_reported(tmp_path):
    class Counting(Diary):
        steps = 0

        def advance(self, n: int = 1) -> None:
            self.steps += n

    progress = Counting()
    path = save(tmp_path, -tomogram_like(SHAPE))
    found = restore_region(open_tomogram(path), PART, model=Blur(), progress=progress)
    assert progress.steps == 1 and found.mean() == pytest.approx(-100, abs=5)


def test_missing_information_is_an_error(tmp_path):
    path = save(tmp_path, tomogram_like(SHAPE))
    with pytest.raises(ConfigError, match="got one half"):
        restore_region(open_tomogram(path), PART, half1=path, model=Blur())
    with pytest.raises(TomogramError, match="are they of one tomogram"):
        small = save(tmp_path, tomogram_like((8, 8, 8)), "small")
        restore_region(open_tomogram(path), PART, half1=path, half2=small, model=Blur())
    (tmp_path / "tomo.tlt").unlink()
    with pytest.raises(TiltError, match=r"tilt range of .* is not known"):
        restore_region(open_tomogram(path, need_wedge=False), PART, model=Blur())
