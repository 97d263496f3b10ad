"""The array core: arrays of any kind in, arrays of any kind out, and no file on the way."""

from __future__ import annotations

import os

import numpy as np
import pytest
from test_restore import Blur, Identity, Lopsided, tomogram_like

from cryowae.errors import ConfigError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.restore import RestoreOptions, restore_array
from cryowae.tomogram.volumes import MeanOf

FACTS = {"wedge": Wedge.binary(-60, 60), "voxel_size": 10.0}


class ByBlocks:
    """As a Zarr array: blocks are read by slices, and it cannot be taken for a NumPy array."""

    def __init__(self, volume: np.ndarray) -> None:
        self._volume, self.shape, self.dtype = volume, volume.shape, volume.dtype

    def __getitem__(self, key):
        return self._volume[key].copy()

    def __array__(self, *_, **__):
        raise AssertionError("the whole volume was read at once")


class BySlabs:
    """Takes slabs along z and gives nothing back."""

    def __init__(self, shape) -> None:
        self.shape, self.dtype, self.written = shape, np.dtype(np.float32), np.full(shape, np.nan, np.float32)

    def __setitem__(self, key, values) -> None:
        assert isinstance(key, slice)
        self.written[key] = values


@pytest.mark.parametrize(
    "options", [RestoreOptions(), RestoreOptions(consistency="soft"), RestoreOptions(wedge="leave")]
)
def test_arrays_that_are_read_by_blocks_and_written_by_slabs_give_the_same(options):
    volume, model = tomogram_like(), Lopsided()
    expected = restore_array(volume, **FACTS, model=model, options=options)
    source, out = ByBlocks(volume), BySlabs(volume.shape)
    done = restore_array(source, **FACTS, model=model, options=options, out=out)
    assert done.data is out and done.contrast == expected.contrast == "bright"
    assert np.abs(out.written - expected.data).max() < 1e-5 * volume.std()


def test_the_input_is_not_changed_and_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    volume = tomogram_like()
    before = volume.copy()
    restored = restore_array(volume, **FACTS, model=Identity()).data
    assert (volume == before).all() and np.abs(restored - volume).max() < 1e-4 * volume.std()
    assert os.listdir(tmp_path) == []


def test_integers_come_back_on_their_scale_and_in_the_type_of_the_output():
    volume = np.rint(tomogram_like(mean=1000, sigma=100)).astype(np.int16)
    out = np.zeros(volume.shape, np.float16)
    restore_array(volume, **FACTS, model=Identity(), out=out)
    assert np.abs(out.astype(np.float32) - volume).max() <= 1  # the step of float16 there


def test_the_mean_of_two_halves_is_a_volume_like_any_other():
    halves = tomogram_like(seed=1), tomogram_like(seed=2)
    mean = restore_array(MeanOf(*map(ByBlocks, halves)), **FACTS, model=Blur(), contrast="bright").data
    expected = restore_array((halves[0] + halves[1]) / 2, **FACTS, model=Blur(), contrast="bright").data
    assert np.abs(mean - expected).max() < 1e-4 * expected.std()


def test_mask_and_region_go_together():
    volume = tomogram_like((48, 64, 72))
    mask = np.zeros(volume.shape, np.float32)
    mask[:, :32] = 1
    part = (slice(8, 24), slice(20, 44), slice(16, 40))
    found = restore_array(volume, **FACTS, model=Blur(), mask=mask, region=part).data
    assert found.shape == (16, 24, 24)
    assert (found[:, 12:] == volume[part][:, 12:]).all() and np.abs(found - volume[part])[:, :12].max() > 0


def test_a_constant_array_and_another_contrast_are_refused():
    with pytest.raises(TomogramError, match="lattice is constant"):
        restore_array(np.ones((16, 16, 16), np.float32), **FACTS, model=Blur(), contrast="dark", name="lattice")
    with pytest.raises(ConfigError, match="expected one of: off, soft, hard"):
        restore_array(tomogram_like(), **FACTS, model=Blur(), options=RestoreOptions(consistency="firm"))
