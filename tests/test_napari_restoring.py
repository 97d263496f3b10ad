"""What the restore widget asks for, without a window: regions, tilt ranges, progress, words."""

from __future__ import annotations

import numpy as np
import pytest

from cryowae._napari.jobs import Cancelled, Watch
from cryowae._napari.layers import layer_data, open_for_viewing
from cryowae._napari.messages import in_window_words
from cryowae._napari.restoring import Request, parse_tilt_range, region_in_view, restore_layer
from cryowae.errors import TiltError, TomogramError
from cryowae.io.mrc import write_mrc
from cryowae.progress import Progress

pytest.importorskip("napari")
SHAPE = (64, 500, 600)


def region(point, displayed=(1, 2), corners=((0, 0, 0), (63, 499, 599)), shape=SHAPE, **options):
    return [(p.start, p.stop) for p in region_in_view(shape, point, displayed, np.array(corners), **options)]


def test_the_slab_is_about_the_slice_and_no_larger_than_what_is_seen():
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
def test_tilt_ranges_as_people_write_them(text):
    assert parse_tilt_range(text) == (-60, 60)


def test_an_empty_tilt_range_is_none_and_nonsense_is_an_error():
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
        restore_layer(Request(*viewer.layers, tilt_range=(-60, 60)), Progress())


def test_a_watch_tells_how_far_it_is_and_stops_at_the_next_step():
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


def test_messages_speak_of_fields_and_not_of_options():
    said = in_window_words(
        "no tilt angles found beside a.mrc; expected a .tlt:\n give --tilts FILE or --tilt-range LO HI"
    )
    assert said.endswith("give a tilt file or a tilt range above") and "\n" not in said
    said = in_window_words("look like its halves and were not used: with --half1 and --half2 their mean is restored")
    assert "one as the tomogram and one as the other half" in said  # not the half of a whole
