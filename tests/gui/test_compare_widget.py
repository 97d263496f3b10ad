"""The compare and simulate widgets as a user drives them, in a real window."""

from __future__ import annotations

import gc
import shutil

import numpy as np
import pytest
from driving import cells, click, dock, open_in, save, wait

from cryowae._napari.viewing import camera_of, grid_of
from cryowae.io.mrc import read_mrc, write_mrc

pytestmark = pytest.mark.gui
SHAPE = (32, 40, 48)


def three(folder):
    """A tomogram, a smoothed volume as its restoration, and a truth, with the names that this program gives."""
    path = save(folder, "x.mrc", shape=SHAPE)
    volume = np.array(read_mrc(path).data)
    smooth = (volume + np.roll(volume, 1, 1) + np.roll(volume, 1, 2)) / 3
    write_mrc(folder / "x_restored.mrc", smooth, voxel_size=10)
    write_mrc(folder / "x_truth.mrc", smooth + np.roll(smooth, 1, 0), voxel_size=10)
    return [folder / f"{name}.mrc" for name in ("x", "x_restored", "x_truth")]


@pytest.fixture
def compared(viewer, tmp_path):
    layers = [open_in(viewer, path) for path in three(tmp_path)]
    return layers, dock(viewer, "Compare")


def test_moving_layers_does_not_change_the_choice(viewer):
    one, two, three = (viewer.add_image(np.zeros(SHAPE), name=name) for name in ("one", "two", "three"))
    widget = dock(viewer, "Compare")
    widget.before.value, widget.after.value = two, one
    click(widget.beside)
    assert list(viewer.layers) == [three, two, one]
    assert (widget.before.value, widget.after.value) == (two, one)


def test_the_tilt_range_follows_its_layers_unless_it_was_typed(viewer, compared):
    (before, after, _), widget = compared
    plain = [viewer.add_image(np.zeros(SHAPE), name=name) for name in ("one", "two")]
    assert widget.tilt_range.value == "-60 60"
    widget.before.value, widget.after.value = plain
    assert not widget.tilt_range.value
    widget.tilt_range.value = "-40 40"
    widget.before.value = plain[1]
    assert widget.tilt_range.value == "-40 40"  # typed by the user
    widget.before.value, widget.after.value = before, after
    assert widget.tilt_range.value == "-60 60"


def drawn(qtbot, widget):
    """The final picture of the widget."""
    qtbot.waitUntil(
        lambda: widget.canvas.values is not None and not widget.drawing.busy and not widget._timer.isActive(),
        timeout=30000,
    )
    return np.array(widget.canvas.values)


def test_related_layers_are_found_and_shown_side_by_side(viewer, compared, qtbot, said):
    (before, after, truth), widget = compared
    assert (widget.before.value, widget.after.value, widget.truth.value) == (before, after, truth)
    assert widget.tilt_range.value == "-60 60"
    viewer.add_image(np.zeros(SHAPE), name="else")
    click(widget.beside)
    assert grid_of(viewer).enabled and not viewer.layers["else"].visible
    places = cells(viewer, (before, after, truth))
    assert places == sorted(set(places)) and {row for row, _ in places} == {0}
    assert not said


def test_key_flips_before_and_after_in_place(viewer, compared, qtbot):
    (before, after, truth), widget = compared
    click(widget.beside)
    seen = []
    for _ in range(4):
        qtbot.keyClick(viewer.window._qt_viewer.canvas.native, "B")
        seen.append([layer.visible for layer in (before, after, truth)])
    assert seen[0] != seen[1] and seen[:2] == seen[2:]
    assert {tuple(row) for row in seen} == {(True, False, False), (False, True, False)}
    assert not grid_of(viewer).enabled
    click(widget.flip)
    assert [before.visible, after.visible] == seen[0][:2]


def test_flipping_keeps_a_whole_view_whole_and_a_zoomed_view_in_place(viewer, compared):
    _, widget = compared
    camera = camera_of(viewer)
    click(widget.beside)
    small = camera.zoom
    click(widget.flip)
    assert camera.zoom > 1.5 * small
    click(widget.beside)
    camera.zoom, camera.center = 3 * small, (0, 100, 120)
    click(widget.flip)
    assert camera.zoom == pytest.approx(3 * small) and tuple(camera.center) == pytest.approx((0, 100, 120))


def test_closing_the_dock_disconnects_everything(viewer, compared, qtbot):
    (before, after, _), widget = compared
    click(widget.flip)
    shown = [before.visible, after.visible]
    viewer.window.remove_dock_widget(widget.native)
    viewer.dims.set_current_step(0, 3)
    assert not widget._timer.isActive()
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, "B")
    assert [before.visible, after.visible] == shown
    qtbot.wait(500)
    viewer.layers.remove(viewer.layers[0])
    qtbot.wait(500)
    assert not widget.drawing.busy


def test_pictures_follow_the_choice_and_the_slice(viewer, compared, qtbot, said):
    _, widget = compared
    pictures = {}
    for name in ("spectrum", "slices", "FSC"):
        widget.picture.value = name
        widget._draw_later()
        pictures[name] = drawn(qtbot, widget)
        assert pictures[name].shape[1] >= 380 and pictures[name][..., :3].std() > 10
    assert len({picture.tobytes() for picture in pictures.values()}) == 3 and not said
    widget.picture.value = "slices"
    before = drawn(qtbot, widget)
    viewer.dims.set_current_step(0, 5)
    assert widget._timer.isActive()
    assert not np.array_equal(drawn(qtbot, widget), before)


def test_pictures_follow_other_planes(viewer, compared):
    _, widget = compared
    widget.plane.value = "xz"
    assert viewer.dims.order == (1, 0, 2) and viewer.dims.displayed == (0, 2)
    widget.plane.value = "yz"
    assert viewer.dims.displayed == (0, 1) or set(viewer.dims.displayed) == {0, 1}
    widget.plane.value = "xy"
    assert viewer.dims.displayed == (1, 2)


def test_same_greys_sets_equal_limits(viewer, compared):
    layers, widget = compared
    layers[0].contrast_limits = (0, 1000)
    click(widget.greys)
    assert len({tuple(layer.contrast_limits) for layer in layers}) == 1


def test_inferred_only_is_the_wedge_of_the_result(viewer, compared, qtbot, said):
    (_, after, _), widget = compared
    after.translate = (30, 0, 0)
    for _ in range(2):
        click(widget.inferred)
        widget.after.value = widget.truth.value  # during the job
        wait(qtbot, widget)
        widget.after.value = after
    assert not said and len(viewer.layers) == 4
    layer = viewer.layers["inferred only: x_restored"]
    assert tuple(layer.translate) == (30, 0, 0)
    spectrum = np.abs(np.fft.fftn(np.array(layer.data))) ** 2
    kz, _, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in SHAPE], indexing="ij")
    measured = np.abs(kz) <= np.tan(np.deg2rad(60)) * np.abs(kx)
    edge = (np.abs(kz) == 0.5) | (np.abs(kx) == 0.5)  # Nyquist planes are shared
    assert spectrum[measured & ~edge].sum() < 1e-6 * spectrum.sum() and spectrum.sum() > 0
    full = np.fft.fftn(np.array(after.data))
    found = np.fft.fftn(np.array(layer.data))
    assert np.abs((found - full)[~measured & ~edge]).max() < 1e-4 * np.abs(full).max()
    assert [shown for shown in viewer.layers if shown.visible] == [after, layer]
    low, high = layer.contrast_limits
    assert low == pytest.approx(-high) and high - low == pytest.approx(np.ptp(after.contrast_limits))


def test_layers_that_cannot_be_compared_are_an_error(viewer, tmp_path, qtbot, said):
    path = save(tmp_path, tilts=False)
    open_in(viewer, path)
    widget = dock(viewer, "Compare")
    for button in (widget.beside, widget.flip, widget.greys, widget.inferred):
        click(button)
    assert len(said) == 4 and set(said) == {"there is nothing to compare: choose two layers, before and after"}
    other = open_in(viewer, save(tmp_path, "small.mrc", shape=(16, 16, 16), tilts=False))
    widget.before.value, widget.after.value = viewer.layers[0], other
    said.clear()
    click(widget.inferred)
    assert len(said) == 1 and "no tilt range is known" in said[0]
    click(widget.greys)
    assert len(said) == 2 and "different shapes" in said[1]
    widget._draw_later()
    qtbot.waitUntil(lambda: "different shapes" in widget.report.value, timeout=10000)
    assert len(said) == 2  # if a picture cannot be drawn, a message is shown in its place


def test_a_truth_without_a_restoration_is_an_error(compared, qtbot):
    _, widget = compared
    widget.before.value = None
    qtbot.waitUntil(lambda: "choose two layers" in widget.report.value, timeout=10000)


def test_halves_beside_the_file_have_a_curve(viewer, tmp_path, qtbot, said):
    full, restored, truth = three(tmp_path)
    truth.unlink()
    for name in ("x_EVN.mrc", "x_ODD.mrc"):
        save(tmp_path, name, shape=SHAPE, seed=len(name))
    shutil.copy(full, tmp_path / "copy.mrc")
    for path in (full, restored):
        open_in(viewer, path)
    widget = dock(viewer, "Compare")
    widget.picture.value = "FSC"
    assert drawn(qtbot, widget).shape[0] > 200 and not widget.report.value
    widget.before.value = open_in(viewer, tmp_path / "copy.mrc")
    widget.after.value = viewer.layers["copy"]
    widget.after.value = viewer.add_image(np.array(viewer.layers[0].data), scale=(10,) * 3, name="plain")
    qtbot.waitUntil(lambda: "neither a ground truth nor" in widget.report.value, timeout=20000)


def test_a_wedge_is_cut_and_compared(viewer, tmp_path, qtbot, said):
    layer = open_in(viewer, save(tmp_path, shape=SHAPE, tilts=False))
    widget = dock(viewer, "Simulate wedge")
    widget.tilt_range.value = "-40 50"
    click(widget.cut)
    wait(qtbot, widget)
    assert not said and len(viewer.layers) == 2
    cut = viewer.layers[1]
    assert cut.name == "tomo, -40 to +50°" and tuple(cut.contrast_limits) == tuple(layer.contrast_limits)
    assert np.array_equal(cut.scale, layer.scale)
    compare = dock(viewer, "Compare")
    assert (compare.before.value, compare.after.value) == (layer, cut) and compare.tilt_range.value == "-40 50"
    restore = dock(viewer, "Restore")
    restore.tomogram.value = cut
    assert "-40 to +50°, as it was cut" in restore.known.value


def test_a_cut_layer_gets_its_own_cell_in_the_grid(viewer, compared, qtbot, said):
    (before, after, truth), widget = compared
    truth.translate = (0, 0, 500)
    click(widget.beside)
    simulate = dock(viewer, "Simulate wedge")
    simulate.volume.value = truth
    click(simulate.cut)
    wait(qtbot, simulate)
    cut = viewer.layers[-1]
    assert not said and tuple(cut.translate) == (0, 0, 500)
    assert len(set(cells(viewer, (before, after, truth, cut)))) == 4
    made = cut.metadata["cryowae"].path.parent
    viewer.layers.remove(cut)
    del cut
    viewer.window.remove_dock_widget(simulate.native)
    del simulate
    gc.collect()
    qtbot.waitUntil(lambda: not made.exists(), timeout=5000)


def test_docks_below_one_another_are_not_taller_than_the_window(viewer, compared, qtbot):
    window = viewer.window._qt_window
    viewer.window._qt_window.show()
    window.resize(1100, 700)
    dock(viewer, "Restore")
    dock(viewer, "Simulate wedge")
    qtbot.wait(200)
    assert window.height() <= 720


def test_an_impossible_wedge_is_a_notification(viewer, tmp_path, qtbot, said):
    widget = dock(viewer, "Simulate wedge")
    click(widget.cut)
    open_in(viewer, save(tmp_path, tilts=False))
    widget.tilt_range.value = "80 20"
    click(widget.cut)
    assert len(said) == 2 and "are needed" in said[0] and "wrong order" in said[1]
    assert len(viewer.layers) == 1


def test_noise_and_soft_edges(viewer, tmp_path, qtbot, said):
    layer = open_in(viewer, save(tmp_path, shape=SHAPE, tilts=False))
    widget = dock(viewer, "Simulate wedge")
    widget.noise.value, widget.soft.value = 0.1, True
    click(widget.cut)
    wait(qtbot, widget)
    assert not said and np.std(viewer.layers[1].data) > np.std(layer.data)
