"""The restore widget without its window: regions, tilt ranges, items, progress, messages."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from cryowae._napari.derived_layers import (
    CUT_FROM,
    RESTORED_FROM,
    cut_layer,
    is_temporary,
    item_from,
    preview_layer,
    restore_layer,
)
from cryowae._napari.jobs import Cancelled, Watch, in_window_words
from cryowae._napari.layers import TOMOGRAM, layer_data, open_for_viewing
from cryowae._napari.viewing import region_in_view
from cryowae._napari.volume_widget import parse_tilt_range
from cryowae.config.options import ItemOptions, RestoreOptions
from cryowae.errors import TiltError, TomogramError
from cryowae.io.mrc import write_mrc
from cryowae.progress import Progress

pytest.importorskip("napari")
from napari.layers import Image

SHAPE = (64, 500, 600)


def region(point, displayed=(1, 2), corners=((0, 0, 0), (63, 499, 599)), shape=SHAPE, **options):
    return [(p.start, p.stop) for p in region_in_view(shape, point, displayed, np.array(corners), **options)]


def test_the_slab_is_centred_on_the_slice_and_not_larger_than_the_view():
    assert region((30, 0, 0))[0] == (26, 34)
    assert region((30, 0, 0))[1:] == [(122, 378), (172, 428)]  # 256 voxels about the middle
    zoomed = region((30, 0, 0), corners=((30, 40, 50), (30, 99, 149)))
    assert zoomed[1:] == [(40, 100), (50, 150)]


def test_the_slab_stays_inside_the_volume():
    assert region((0, 0, 0))[0] == (0, 8) and region((63, 0, 0))[0] == (56, 64)
    assert region((63.6, 0, 0))[0] == (56, 64)
    assert region((2, 0, 0), shape=(5, 20, 20), corners=((0, 0, 0), (4, 19, 19))) == [(0, 5), (0, 20), (0, 20)]


def test_other_planes_and_three_dimensions():
    xz = region((30, 250, 0), displayed=(0, 2))
    assert xz == [(0, 64), (246, 254), (172, 428)]
    cube = region((30, 250, 10), displayed=(0, 1, 2))
    assert cube == [(0, 64), (186, 314), (0, 128)]


@pytest.mark.parametrize("text", ["-60 60", "-60..60", "-60 to 60", "−60°, +60°", "±60", "-60.0, 60"])
def test_tilt_ranges_in_usual_notations(text):
    assert parse_tilt_range(text) == (-60, 60)


def test_an_empty_tilt_range_is_none_and_other_text_is_an_error():
    assert parse_tilt_range("  ") is None
    assert parse_tilt_range("-42 60") == (-42, 60)
    for text in ("60", "sixty", "1 2 3", "-60 - 60 70", "60 -60"):
        with pytest.raises(TiltError):
            parse_tilt_range(text)


def test_halves_of_different_axes_are_refused(tmp_path):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    for name, axes in (("one", "zyx"), ("two", "xzy")):
        write_mrc(tmp_path / f"{name}.mrc", np.random.default_rng(0).normal(size=(8, 8, 8)), voxel_size=10, axes=axes)
        data, options, _ = layer_data(open_for_viewing(tmp_path / f"{name}.mrc", axes=axes))
        viewer.add_image(data, **options)
    with pytest.raises(TomogramError, match="axes in different orders"):
        item_from(*viewer.layers, ItemOptions(tilt_range=(-60, 60)))


def opened_layer(folder, angles=(-60, 0, 50), axes="zyx", **changes):
    """A layer of a file with its tilt angles beside it."""
    write_mrc(folder / "tomo.mrc", np.random.default_rng(0).normal(size=(8, 12, 16)), voxel_size=10, axes=axes)
    (folder / "tomo.tlt").write_text("".join(f"{angle}\n" for angle in angles))
    data, options, _ = layer_data(open_for_viewing(folder / "tomo.mrc", axes=axes))
    return Image(data, **options, **changes)


def test_an_item_has_the_tilts_of_its_layer_unless_others_are_given(tmp_path):
    layer = opened_layer(tmp_path)
    item = item_from(layer)
    assert item.tomogram.data is layer.data and item.tomogram.tilts == (-60, 0, 50) and item.contrast == "auto"
    item = item_from(layer, None, ItemOptions(flip_tilt=True, contrast="bright"))
    assert (item.wedge.tilt_min, item.wedge.tilt_max) == (-50, 60) and item.contrast == "bright"
    assert item.tomogram.tilts == (-50, 0, 60) and item.tomogram.tilt_source.endswith("beside the tomogram, negated")
    item = item_from(layer, None, ItemOptions(tilt_range=(-40, 30), flip_tilt=True))
    assert (item.wedge.tilt_min, item.wedge.tilt_max) == (-30, 40) and item.tomogram.tilts is None
    (tmp_path / "mine.tlt").write_text("-10\n10\n")
    assert item_from(layer, None, ItemOptions(tilts=tmp_path / "mine.tlt")).wedge.tilt_max == 10


def test_angles_that_were_put_beside_a_file_later_are_found_and_unknown_ones_are_an_error(tmp_path, monkeypatch):
    layer = opened_layer(tmp_path, angles=())
    (tmp_path / "tomo.tlt").unlink()
    with pytest.raises(TiltError, match=r"range of .*tomo.mrc is not known"):
        item_from(layer).wedge  # noqa: B018
    (tmp_path / "tomo.tlt").write_text("-60\n0\n50\n")
    assert item_from(layer).wedge.tilt_max == 50
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TiltError, match="range of tomo is not known"):
        item_from(Image(np.array(layer.data), name="tomo")).wedge  # noqa: B018  # in memory: no file is beside it


def test_halves_are_the_arrays_of_their_layers(tmp_path):
    layer = opened_layer(tmp_path)
    values = np.random.default_rng(1).normal(float(np.mean(layer.data)), float(np.std(layer.data)), layer.data.shape)
    other = Image(values, scale=(10,) * 3, name="other")
    item = item_from(layer, other)
    assert item.halves[0] is layer.data
    assert np.allclose(item.volume[2:4], (np.array(layer.data[2:4]) + values[2:4]) / 2, atol=0.2 * values.std())
    other.data = np.ones((4, 4, 4))
    with pytest.raises(TomogramError, match="half 2 has 4 x 4 x 4 voxels"):
        item_from(layer, other).volume  # noqa: B018


def test_a_file_with_other_axes_is_restored_as_it_is_displayed(tmp_path):
    layer = opened_layer(tmp_path, axes="xzy")
    item = item_from(layer)
    assert layer.data.shape == (8, 12, 16) and item.tomogram.axes == "xzy"
    assert item.tomogram.header.shape == (12, 8, 16) and np.array_equal(item.volume[:], layer.data)


class Halving:
    """Model that returns half of every value."""

    stride, receptive_field, voxel_sizes, name, device = 8, 8, (5.0, 20.0), "halving", torch.device("cpu")

    def __call__(self, window):
        return window * 0.5


def test_a_layer_in_memory_is_restored_like_its_file(tmp_path):
    layer = opened_layer(tmp_path)
    copy = Image(np.array(layer.data), scale=layer.scale, units=layer.units, name="copy")
    made = []
    for shown in (layer, copy):
        given = ItemOptions(tilt_range=(-60, 50), contrast="bright")
        options = RestoreOptions(consistency="soft", report=True)
        ((data, look, _),), result = restore_layer(
            shown, partial(item_from, shown, None, given), options, Halving(), Progress()
        )
        made.append(data)
        assert look["name"] == f"{shown.name} restored" and look["metadata"][RESTORED_FROM] == shown.name
        assert look["rendering"] == "mip" and isinstance(data, np.memmap)  # bright protein: the brightest voxel
        assert is_temporary(result.path) and not result.pictures
    assert np.array_equal(*made) and not np.array_equal(made[0], layer.data)
    part = (slice(0, 8), slice(2, 8), slice(4, 12))
    previews = [
        preview_layer(shown, partial(item_from, shown, None, given), RestoreOptions(), Halving(), part, Progress())
        for shown in (layer, copy)
    ]
    assert previews[0][0].shape == (8, 6, 8) and np.array_equal(previews[0][0], previews[1][0])


def test_cancelling_stops_between_two_passes_and_leaves_no_file(tmp_path):
    watch, passes = Watch(), []

    class Cancelling(Halving):
        def __call__(self, window):
            passes.append(1)
            watch.cancel()
            return window

    layer = opened_layer(tmp_path)
    make_item = partial(item_from, layer, None, ItemOptions(contrast="dark"), tmp_path / "out.mrc")
    with pytest.raises(Cancelled):
        restore_layer(layer, make_item, RestoreOptions(), Cancelling(), watch)
    assert len(passes) == 1 and sorted(path.name for path in tmp_path.iterdir()) == ["tomo.mrc", "tomo.tlt"]


def test_a_layer_stores_the_wedge_that_was_cut(tmp_path):
    layer = opened_layer(tmp_path)
    for soft in (False, True):
        data, look, _ = cut_layer(layer, (-40, 30), soft, None, Progress())
        known = look["metadata"][TOMOGRAM]
        assert (known.wedge.tilt_min, known.wedge.tilt_max) == (-40, 30) and known.tilt_source == "as it was cut"
        assert look["metadata"][CUT_FROM] == "tomo" and data.shape == layer.data.shape


def test_a_watch_reports_its_steps_and_stops_at_the_next_step():
    watch = Watch()
    assert watch.words() == "preparing"
    watch.begin("restoring", 4, "windows")
    assert watch.words() == "restoring: 0 of 4 windows"
    watch.advance()
    assert watch.words().startswith("restoring: 1 of 4 windows, ") and watch.words().endswith(" left")
    watch.cancel()
    with pytest.raises(Cancelled):
        watch.advance()
    with pytest.raises(Cancelled):
        watch.begin("data consistency", 1, "slabs")


def test_messages_name_fields_and_not_options():
    said = in_window_words(
        "no tilt angles found beside a.mrc; expected a .tlt:\n give --tilts FILE or --tilt-range LO HI"
    )
    assert said.endswith("give a tilt file or a tilt range above") and "\n" not in said
    said = in_window_words("a thin file: give --axes xzy; lower --overlap or choose another --device: a--b.mrc, -60 60")
    assert said.endswith("“cryowae view --axes xzy”; lower overlap or choose another device: a--b.mrc, -60 60")
    said = in_window_words("look like its halves and were not used: with --half1 and --half2 their mean is restored")
    assert "one as the tomogram and one as the other half" in said  # not a pair of halves
