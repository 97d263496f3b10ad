"""The restore widget as a user drives it, in a real window."""

from __future__ import annotations

import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from driving import click, dock, open_in, save, wait

from cryowae._napari import derived_layers
from cryowae._napari.making_widgets import RestoreWidget
from cryowae.config.options import ItemOptions, RestoreOptions, help_of

pytestmark = pytest.mark.gui


def temporary_files() -> set[Path]:
    return {path for path in Path(derived_layers._root().name).rglob("*") if path.is_file()}


def test_restore_from_a_click_to_a_saved_file(viewer, qtbot, tmp_path, weights, said):
    path = save(tmp_path)
    layer = open_in(viewer, path)
    layer.contrast_limits, layer.translate = (70, 120), (0, 200, 0)
    widget = dock(viewer, "Restore")
    assert widget.tomogram.value is layer and widget.voxel_size.value == 10
    assert "-60 to +60°" in widget.known.value and "tomo.tlt" in widget.known.value
    widget.weights.value = weights
    click(widget.restore)
    assert widget.job.busy and not widget.job.stop.native.isHidden()
    wait(qtbot, widget)
    assert not said and len(viewer.layers) == 2
    restored = viewer.layers["tomo restored"]
    assert np.array_equal(restored.scale, layer.scale) and restored.units == layer.units
    assert np.array_equal(restored.translate, layer.translate)
    assert tuple(restored.contrast_limits) == (70, 120) and isinstance(restored.data, np.memmap)
    assert restored.data.shape == layer.data.shape and not np.array_equal(restored.data, layer.data)
    assert "inferred" in widget.report.value and "Not saved yet" in widget.report.value
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]
    saved = restored.save(str(tmp_path / "mine.mrc"), plugin="cryowae")
    assert saved == [str(tmp_path / "mine.mrc")]
    with mrcfile.open(saved[0]) as file:
        assert np.array_equal(file.data, restored.data) and file.voxel_size.x == pytest.approx(10)
        assert file.header.origin.x == 1 and any("restored by tiny" in label for label in file.get_labels())


def test_result_is_saved_by_a_button_and_opened_again(viewer, qtbot, tmp_path, weights, said, monkeypatch):
    path = save(tmp_path)
    open_in(viewer, path)
    widget = dock(viewer, "Restore")
    widget.weights.value = weights
    assert not widget.save.enabled
    click(widget.restore)
    wait(qtbot, widget)
    asked = []
    for answer in (None, tmp_path / "saved.tif", tmp_path / "saved.mrc"):
        monkeypatch.setattr(
            RestoreWidget, "ask_where", lambda _self, suggested, answer=answer: asked.append(suggested) or answer
        )
        click(widget.save)
        wait(qtbot, widget)
    assert asked == [tmp_path / "tomo_restored.mrc"] * 3
    assert len(said) == 1 and "no name for an MRC file" in said[0]
    assert widget.report.value.endswith(f"\nSaved as {tmp_path / 'saved.mrc'}.") and "inferred" in widget.report.value
    assert "Not saved" not in widget.report.value
    again = open_in(viewer, tmp_path / "saved.mrc")
    result = viewer.layers["tomo restored"]
    assert np.array_equal(again.data, result.data) and np.array_equal(again.scale, result.scale)


def test_no_temporary_folder_is_suggested_to_save_to(viewer, qtbot, tmp_path, weights, said, monkeypatch):
    layer = open_in(viewer, save(tmp_path))
    simulate = dock(viewer, "Simulate wedge")
    click(simulate.cut)
    wait(qtbot, simulate)
    cut = viewer.layers[-1]
    widget = dock(viewer, "Restore")
    widget.tomogram.value, widget.weights.value = cut, weights
    click(widget.restore)
    wait(qtbot, widget)
    asked = []
    monkeypatch.setattr(RestoreWidget, "ask_where", lambda _self, suggested: asked.append(suggested))
    widget.tomogram.value = layer  # the present choice is not the restored layer
    click(widget.save)
    assert not said and not derived_layers.is_temporary(asked[0].absolute()) and asked[0].parent != tmp_path


def test_result_can_be_written_to_a_file_at_once(viewer, qtbot, tmp_path, weights, said):
    open_in(viewer, save(tmp_path))
    widget = dock(viewer, "Restore")
    widget.weights.value, widget.output.value, widget.fast.value = weights, tmp_path / "out.mrc", True
    widget.flip.value = True
    click(widget.restore)
    wait(qtbot, widget)
    assert not said and (tmp_path / "out.mrc").is_file() and (tmp_path / "out.png").is_file()
    assert str(tmp_path / "out.mrc") in widget.report.value
    assert viewer.layers["tomo restored"].metadata["cryowae"].tilt_source.endswith(", negated")
    click(widget.restore)  # the file exists now
    wait(qtbot, widget)
    assert len(said) == 1 and "exists already" in said[0] and "--" not in said[0]


def test_preview_is_the_slab_about_the_slice(viewer, qtbot, tmp_path, weights, said):
    layer = open_in(viewer, save(tmp_path, shape=(40, 40, 48)))
    widget = dock(viewer, "Restore")
    widget.weights.value = weights
    viewer.dims.set_current_step(0, 30)
    for _ in range(2):  # the second replaces the first
        click(widget.preview)
        wait(qtbot, widget)
    assert not said and len(viewer.layers) == 2
    shown = viewer.layers["tomo preview"]
    assert shown.data.shape[0] == 8 and shown.translate[0] == 260
    assert np.array_equal(shown.scale, layer.scale) and tuple(shown.contrast_limits) == tuple(layer.contrast_limits)
    layer.translate = (0, 70, 0)
    click(widget.preview)
    wait(qtbot, widget)
    assert tuple(viewer.layers["tomo preview"].translate) == (260, 70, 0)
    click(widget.restore)
    wait(qtbot, widget)
    assert [shown.name for shown in viewer.layers] == ["tomo", "tomo restored"]  # the preview does not prevent it


def test_preview_beside_a_layer_of_more_axes(viewer, qtbot, tmp_path, weights, said):
    open_in(viewer, save(tmp_path, shape=(40, 40, 48)))
    viewer.add_image(np.zeros((3, 40, 40, 48), np.float32), scale=(1, 10, 10, 10))
    widget = dock(viewer, "Restore")
    assert list(widget.tomogram.choices) == [viewer.layers["tomo"]]
    widget.weights.value = weights
    viewer.dims.set_current_step(1, 30)
    click(widget.preview)
    wait(qtbot, widget)
    shown = viewer.layers["tomo preview"]
    assert not said and shown.data.shape == (8, 40, 48) and shown.translate[0] == 260


def test_choices_and_tooltips_are_those_of_the_options(viewer):
    widget = dock(viewer, "Restore")
    for field, kind, name, choices in (
        (widget.contrast, ItemOptions, "contrast", ("auto", "dark", "bright")),
        (widget.consistency, RestoreOptions, "consistency", ("off", "soft", "hard")),
        (widget.wedge, RestoreOptions, "wedge", ("fill", "leave")),
    ):
        assert tuple(field.choices) == choices and field.value == choices[0]
        assert field.tooltip == help_of(kind, name) != ""
    assert "quarter of the time" in widget.fast.tooltip and not widget.fast.value


def test_voxels_beyond_the_range_of_the_field_are_a_notification(viewer, said):
    layer = viewer.add_image(np.zeros((4, 4, 4)), scale=(1, 1, 1), units=("mm",) * 3)
    widget = dock(viewer, "Restore")
    assert widget.tomogram.value is layer and len(said) == 1 and "expected 0.01 to 10000" in said[0]


@pytest.fixture
def held(monkeypatch):
    """A network that waits in its first window until it is released; and the number of its calls."""
    from threading import Event

    from cryowae.models.weights import RestorationModel
    from cryowae.restore import network

    monkeypatch.setitem(network._MOST_VOXELS, "cpu", 40**3)
    going, go_on, calls = Event(), Event(), []
    real = RestorationModel.__call__

    def slow(self, window):
        calls.append(1)
        going.set()
        assert go_on.wait(30)
        return real(self, window)

    monkeypatch.setattr(RestorationModel, "__call__", slow)
    return going, go_on, calls


def begin(viewer, qtbot, tmp_path, weights, held):
    """A restoration that is in its first window."""
    open_in(viewer, save(tmp_path, shape=(64, 64, 64)))
    widget = dock(viewer, "Restore")
    widget.weights.value, widget.output.value = weights, tmp_path / "out.mrc"
    click(widget.restore)
    qtbot.waitUntil(held[0].is_set, timeout=30000)
    return widget


def test_cancel_stops_before_the_next_pass_and_leaves_nothing(viewer, qtbot, tmp_path, weights, said, held):
    kept = temporary_files()
    widget = begin(viewer, qtbot, tmp_path, weights, held)
    click(widget.restore)  # not twice at once
    assert len(said) == 1 and "still running" in said.pop()
    qtbot.waitUntil(lambda: "0 of " in widget.job.message.value)
    assert int(widget.job.message.value.split()[3]) > 1
    click(widget.job.stop)
    held[1].set()
    wait(qtbot, widget)
    assert not said and len(viewer.layers) == 1 and "cancelled" in widget.job.message.value
    assert len(held[2]) == 1  # no further pass of the network
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]
    assert temporary_files() == kept


def test_closing_napari_cancels(make_napari_viewer, qtbot, tmp_path, weights, said, held):
    viewer = make_napari_viewer()
    widget = begin(viewer, qtbot, tmp_path, weights, held)
    watch = widget.job._watch
    viewer.close()
    held[1].set()
    qtbot.waitUntil(lambda: watch.cancelled and not list(tmp_path.glob(".out*")), timeout=20000)
    assert len(held[2]) == 1 and sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def test_closing_the_dock_cancels(viewer, qtbot, tmp_path, weights, said, held):
    widget = begin(viewer, qtbot, tmp_path, weights, held)
    viewer.window.remove_dock_widget(widget.native)
    held[1].set()
    wait(qtbot, widget)
    assert not said and len(viewer.layers) == 1 and len(held[2]) == 1
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt"]


def test_hiding_the_dock_does_not_cancel(viewer, qtbot, tmp_path, weights, said, held):
    widget = begin(viewer, qtbot, tmp_path, weights, held)
    widget.native.parent().setFloating(True)
    widget.native.parent().hide()
    held[1].set()
    wait(qtbot, widget)
    assert not said and (tmp_path / "out.mrc").is_file()


def test_messages_of_the_work_are_shown(viewer, qtbot):
    from threading import Event

    panel, go_on = dock(viewer, "Restore").job, Event()

    def work(progress):
        progress.say("Out of memory: continuing with --voxel-size")
        progress.begin("restoring", 2, "windows")
        assert go_on.wait(30)

    panel.start(work, lambda _: None)
    qtbot.waitUntil(lambda: panel.message.value.endswith("\nrestoring: 0 of 2 windows"))
    assert panel.message.value.startswith("Out of memory: continuing with the voxel size")
    qtbot.waitUntil(lambda: panel.message.value.endswith("for 4 s"), timeout=9000)
    go_on.set()
    qtbot.waitUntil(lambda: not panel.busy)
    assert panel.message.value == "Out of memory: continuing with the voxel size"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "no tilt angles found"),
        ({"tilt_range": "60"}, "got '60' for the tilt range"),
        ({"tilt_range": "60 -60"}, "tilt range 60 -60 is in the wrong order"),
        ({"tilt_range": "±60", "weights": "/nowhere.safetensors"}, "no weights '/nowhere.safetensors'"),
        ({"tilt_range": "-60 60", "voxel_size": 900, "contrast": "dark"}, "got a voxel size of 900 Å"),
        ({"tilt_range": "-60 60", "voxel_size": 900}, "choose dark or bright in “protein is”"),
    ],
)
def test_errors_are_notifications_that_name_fields(viewer, qtbot, tmp_path, weights, said, fields, message):
    open_in(viewer, save(tmp_path, tilts=False))
    widget = dock(viewer, "Restore")
    assert widget.known.value.startswith("none found")
    for name, value in {"weights": str(weights), **fields}.items():
        getattr(widget, name).value = value
    click(widget.restore)
    wait(qtbot, widget)
    assert len(said) == 1 and message in said[0] and "\n" not in said[0] and "--" not in said[0]
    assert len(viewer.layers) == 1 and widget.restore.enabled


def test_a_missing_volume_is_a_notification(viewer, said):
    widget = dock(viewer, "Restore")
    click(widget.preview)
    assert len(said) == 1 and "there is no volume" in said[0]


def test_the_other_half_is_chosen_by_name(viewer, qtbot, tmp_path, weights, said):
    one = open_in(viewer, save(tmp_path, "tomo_EVN.mrc", seed=1))
    other = open_in(viewer, save(tmp_path, "tomo_ODD.mrc", seed=2))
    widget = dock(viewer, "Restore")
    widget.tomogram.value = one
    assert widget.other.value is other
    widget.tomogram.value = open_in(viewer, save(tmp_path, "whole.mrc", seed=3))
    assert widget.other.value is None
    widget.tomogram.value = one
    assert widget.other.value is other
    widget.weights.value, widget.consistency.value = weights, "hard"
    click(widget.restore)
    wait(qtbot, widget)
    assert not said
    restored = np.asarray(viewer.layers[f"{one.name} restored"].data)
    assert np.corrcoef(restored.ravel(), ((one.data + other.data) / 2).ravel())[0, 1] > 0.8


def test_a_half_that_is_opened_later_is_chosen_once(viewer, tmp_path):
    open_in(viewer, save(tmp_path, "tomo_EVN.mrc", seed=1))
    partner = save(tmp_path, "tomo_ODD.mrc", seed=2)
    widget = dock(viewer, "Restore")
    assert widget.other.value is None
    other = open_in(viewer, partner)
    assert widget.other.value is other
    widget.other.value = None  # the user wants one half alone
    viewer.add_image(np.zeros((4, 4, 4)))
    assert widget.other.value is None


def test_a_layer_in_memory_is_restored_and_not_copied_to_a_file(viewer, qtbot, tmp_path, weights, said):
    volume = np.random.default_rng(0).normal(size=(16, 24, 32)).astype(np.float32)
    viewer.add_image(volume, scale=(1, 1, 1), units=("nm",) * 3, name="mine")
    widget = dock(viewer, "Restore")
    assert widget.voxel_size.value == 10
    widget.weights.value, widget.tilt_range.value, widget.contrast.value = weights, "-50 to 60", "dark"
    kept = temporary_files()
    click(widget.restore)
    wait(qtbot, widget)
    assert not said and "mine restored" in viewer.layers
    assert {path.name for path in temporary_files() - kept} == {"mine_restored.mrc"}
    assert "+60" in widget.report.value and "-50" in widget.report.value
