"""Samples and their standard deviation as a user looks at them, in a real window."""

from __future__ import annotations

import os

import numpy as np
import pytest
from driving import click, dock, open_in, save, wait
from random_codes import random_weights

from cryowae._napari.making_widgets import RestoreWidget
from cryowae.config.options import RestoreOptions, help_of
from cryowae.io.mrc import read_mrc

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def random(tmp_path_factory):
    return random_weights(tmp_path_factory.mktemp("weights") / "random.safetensors")


def restored(viewer, qtbot, tmp_path, weights, samples=3):
    """A widget that has restored a tiny tomogram."""
    open_in(viewer, save(tmp_path))
    widget = dock(viewer, "Restore")
    widget.weights.value, widget.samples.value, widget.seed.value = weights, samples, 4
    click(widget.restore)
    wait(qtbot, widget)
    return widget


def on_screen(viewer):
    """The pixels of the canvas."""
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def test_samples_from_a_click_to_saved_files(make_napari_viewer, qtbot, tmp_path, random, said, monkeypatch):
    viewer = make_napari_viewer(show=True)  # a hidden canvas is not drawn
    widget = restored(viewer, qtbot, tmp_path, random)
    assert not said and [one.name for one in viewer.layers][1:] == [
        "tomo restored",
        "tomo restored samples",
        "tomo restored std",
    ]
    samples, std = viewer.layers["tomo restored samples"], viewer.layers["tomo restored std"]
    assert samples.visible and not std.visible and "Uncertainty" in widget.report.value
    pictures = []
    for number in (0, 1, 2, 0):
        viewer.dims.set_current_step(0, number)
        qtbot.wait(50)
        z = viewer.dims.current_step[1]
        assert np.array_equal(samples._slice.image.raw, samples.data[number, z])
        pictures.append(on_screen(viewer))
    assert np.array_equal(pictures[0], pictures[3])
    assert np.abs(pictures[0] - pictures[1]).max() > 5 and np.abs(pictures[1] - pictures[2]).max() > 5
    viewer.dims.set_current_step(1, 3)  # the other layers stay usable
    assert np.array_equal(viewer.layers["tomo"]._slice.image.raw, viewer.layers["tomo"].data[3])
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    monkeypatch.setattr(RestoreWidget, "ask_where", lambda *_: tmp_path / "mine.mrc")
    click(widget.save)
    wait(qtbot, widget)
    assert not said and "mine.mrc, and beside it 4 files of its samples" in widget.report.value
    names = ["mine.mrc", *(f"mine_sample{n}.mrc" for n in (1, 2, 3)), "mine_std.mrc", "tomo.mrc", "tomo.tlt"]
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert np.array_equal(read_mrc(tmp_path / "mine_sample2.mrc").data, samples.data[1])


def test_marks_follow_the_slider(viewer, qtbot, tmp_path, random, said):
    restored(viewer, qtbot, tmp_path, random)
    std = viewer.layers["tomo restored std"]
    widget = dock(viewer, "Uncertainty")
    assert widget.deviation.value is std and len(viewer.layers) == 4
    widget.limit.value = 0.2
    assert len(viewer.layers) == 4  # nothing is marked before the button
    click(widget.mark)
    marks = viewer.layers["tomo restored uncertain"]
    shares = []
    for limit in (0.1, 0.2, 0.4):
        widget.limit.value = limit
        shares.append(float(np.asarray(marks.data).mean()))
        assert f"{limit:.2f} of the contrast" in widget.report.value
        z = viewer.dims.current_step[1]
        assert np.array_equal(np.asarray(marks._slice.image.raw), np.asarray(marks.data[z]))
    assert shares[0] > shares[1] > shares[2] and len(viewer.layers) == 5 and not said
    click(widget.mark)
    assert len(viewer.layers) == 5
    viewer.layers.remove(marks)
    widget.limit.value = 0.3
    assert len(viewer.layers) == 4
    viewer.layers.remove(std)
    click(widget.mark)
    assert len(said) == 1 and "two or more samples" in said[0] and "two or more samples" in widget.report.value


def test_the_planes_of_compare_work_beside_samples(viewer, qtbot, tmp_path, random, said):
    restored(viewer, qtbot, tmp_path, random)
    widget = dock(viewer, "Compare")
    assert widget.after.value is viewer.layers["tomo restored"] and len(widget.after.choices) == 3  # None too
    for plane, order in (("xz", (0, 2, 1, 3)), ("yz", (0, 3, 1, 2)), ("xy", (0, 1, 2, 3))):
        widget.plane.value = plane
        assert viewer.dims.order == order
    widget.picture.value = "slices"
    qtbot.waitUntil(lambda: widget.canvas.values is not None and not widget.drawing.busy, timeout=30000)
    click(widget.beside)
    click(widget.flip)
    assert not said


def test_the_fields_of_samples_are_options(viewer):
    widget = dock(viewer, "Restore")
    for field, name, largest in ((widget.samples, "samples", 10_000), (widget.seed, "seed", 2**32 - 1)):
        assert field.value == 0 and field.tooltip == help_of(RestoreOptions, name) != ""
        field.value = largest
        assert field.value == largest
        with pytest.raises(ValueError):
            field.value = largest + 1


def test_weights_without_random_codes_are_one_notification(viewer, qtbot, tmp_path, weights, said):
    restored(viewer, qtbot, tmp_path, weights)
    assert len(said) == 1 and "no random codes" in said[0] and "own weights" in said[0]
    assert "\n" not in said[0] and "--" not in said[0] and len(viewer.layers) == 1


def test_one_sample_is_the_result(viewer, qtbot, tmp_path, random, said):
    widget = restored(viewer, qtbot, tmp_path, random, samples=1)
    assert not said and len(viewer.layers) == 2 and "Uncertainty" not in widget.report.value
