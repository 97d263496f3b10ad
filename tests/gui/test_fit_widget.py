"""The fit widget as a user drives it, in a real window."""

from __future__ import annotations

import os
from threading import Event

import numpy as np
import pytest
from driving import click, dock, open_in, save, wait
from tiny_fit import make_tiny

from cryowae.config.options import FitOptions, help_of
from cryowae.io.checkpoint import read_checkpoint
from cryowae.io.mrc import read_mrc

pytestmark = pytest.mark.gui


def parameters(path):
    return {name: value for name, value in read_checkpoint(path)[0].items() if name != "state"}


def differ(one, other) -> bool:
    first, second = parameters(one), parameters(other)
    return any(not np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture
def shown(monkeypatch):
    """The pictures that the widget shows, as they were read."""
    from cryowae._napari.picture_label import PictureLabel

    pictures, real = [], PictureLabel.show

    def show(self, values):
        pictures.append(np.array(values))
        real(self, values)

    monkeypatch.setattr(PictureLabel, "show", show)
    return pictures


@pytest.fixture
def held(monkeypatch):
    """Batches that wait at chosen steps until they are released: events for arriving and for going on, by step."""
    from cryowae.fit.source import Rehearsal

    gates = {step: (Event(), Event()) for step in (1, 2)}
    real = Rehearsal.batch

    def batch(self, step):
        if step in gates:
            gates[step][0].set()
            assert gates[step][1].wait(60)
        return real(self, step)

    monkeypatch.setattr(Rehearsal, "batch", batch)
    return gates


def prepare(viewer, tmp_path, weights):
    layer = open_in(viewer, save(tmp_path))
    widget = dock(viewer, "Fit")
    widget.weights.value, widget.contrast.value = weights, "dark"
    return layer, widget


def test_fit_from_a_click_to_a_restoration(viewer, qtbot, tmp_path, weights, said, monkeypatch, shown):
    make_tiny(monkeypatch, scores=(0.1, 0.2, 0.3), drawn=True)
    layer, widget = prepare(viewer, tmp_path, weights)
    assert "-60 to +60°" in widget.known.value and widget.minutes.value == 30
    assert widget.output.value == tmp_path / "tomo_weights.safetensors" and not widget.use.enabled
    click(widget.fit)
    assert widget.job.busy and not widget.job.stop.native.isHidden()
    wait(qtbot, widget)
    assert not said and len(viewer.layers) == 1
    made = tmp_path / "tomo_weights.safetensors"
    assert differ(made, weights) and (tmp_path / "tomo_weights.png").is_file()
    assert "0.100 → 0.300: better than at the start" in widget.report.value and "4 steps" in widget.report.value
    assert widget.report.value.endswith(f"Saved as {made}.")
    assert len(shown) == 4 and len({picture.tobytes() for picture in shown[:3]}) == 3  # at the start, twice, the best
    assert all(picture[..., :3].std() > 10 for picture in shown)
    assert widget.canvas.label.pixmap().width() <= widget.canvas.label.width()
    widget.flip.value, widget.tilt_range.value = True, "-50 60"
    click(widget.use)
    restore = dock(viewer, "Restore")
    assert restore.tomogram.value is layer and restore.weights.value == made
    assert restore.flip.value and restore.tilt_range.value == "-50 60"
    click(restore.restore)
    wait(qtbot, restore)
    header = read_mrc(viewer.layers["tomo restored"].metadata["cryowae"].path).header
    assert not said and any("tomo_weights" in label for label in header.labels)


def test_stop_keeps_the_best_weights_and_the_fit_is_continued(
    viewer, qtbot, tmp_path, weights, said, monkeypatch, shown, held
):
    make_tiny(monkeypatch, scores=(0.1, 0.2))
    _, widget = prepare(viewer, tmp_path, weights)
    made = tmp_path / "tomo_weights.safetensors"
    click(widget.fit)
    qtbot.waitUntil(held[1][0].is_set, timeout=60000)
    qtbot.waitUntil(lambda: len(shown) == 1, timeout=5000)  # before the first judgement: the weights at the start
    held[1][1].set()
    qtbot.waitUntil(held[2][0].is_set, timeout=60000)
    qtbot.waitUntil(lambda: len(shown) == 2, timeout=5000)  # while the fit is running
    assert shown[1].shape[1] == shown[0].shape[1] + 1  # one score more
    assert "held-out score after 2 steps: 0.200 (+0.100)" in widget.job.message.value and not made.exists()
    click(widget.job.stop)
    assert widget.job.message.value == "stopping"
    held[2][1].set()
    wait(qtbot, widget)
    assert not said and widget.use.enabled
    assert "It was stopped" in widget.report.value and "0.100 → 0.200: better" in widget.report.value
    assert differ(made, weights) and not differ(made, tmp_path / "tomo_weights.fit" / "best.safetensors")
    click(widget.fit)
    wait(qtbot, widget)
    assert len(said) == 1 and "exists already" in said.pop() and not widget.resume.value
    make_tiny(monkeypatch, scores=(0.05,))
    widget.resume.value = True
    click(widget.fit)
    wait(qtbot, widget)
    assert not said and "4 steps" in widget.report.value and "stopped" not in widget.report.value
    assert "0.100 → 0.200: better" in widget.report.value  # the last step was worse
    assert not differ(made, tmp_path / "tomo_weights.fit" / "best.safetensors")


def test_cancel_before_the_training_leaves_no_weights(viewer, qtbot, tmp_path, weights, said, monkeypatch):
    import cryowae.fit

    make_tiny(monkeypatch, scores=(0.1,))
    going, go_on, planned = Event(), Event(), cryowae.fit._planned

    def slow(*arguments):
        going.set()
        assert go_on.wait(60)
        return planned(*arguments)

    monkeypatch.setattr(cryowae.fit, "_planned", slow)
    _, widget = prepare(viewer, tmp_path, weights)
    click(widget.fit)
    qtbot.waitUntil(going.is_set, timeout=60000)
    click(widget.job.stop)
    go_on.set()
    wait(qtbot, widget)
    assert not said and "cancelled" in widget.job.message.value and not widget.use.enabled
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt", "tomo_weights.fit"]


def test_closing_the_dock_stops_and_keeps_the_best(viewer, qtbot, tmp_path, weights, said, monkeypatch, held):
    make_tiny(monkeypatch, scores=(0.1, 0.2))
    _, widget = prepare(viewer, tmp_path, weights)
    held[1][1].set()
    click(widget.fit)
    qtbot.waitUntil(held[2][0].is_set, timeout=60000)
    viewer.window.remove_dock_widget(widget.native)
    held[2][1].set()
    wait(qtbot, widget)
    assert not said and differ(tmp_path / "tomo_weights.safetensors", weights)


def test_fields_become_the_options_of_the_command(viewer, qtbot, tmp_path, weights, said, monkeypatch):
    import cryowae.fit
    from cryowae.errors import TomogramError

    calls = []

    def fit_weights(items, output, options, *, model, progress):
        calls.append((items, output, options, model))
        raise TomogramError("enough; give --half1 and --half2")

    monkeypatch.setattr(cryowae.fit, "fit_weights", fit_weights)
    one, other = (open_in(viewer, save(tmp_path, f"{name}.mrc", seed=len(name))) for name in ("one", "other"))
    widget = dock(viewer, "Fit")
    widget.tomogram.value, widget.other.value = one, other
    widget.minutes.value, widget.rotations.value, widget.resume.value = 90, "full", True
    widget.weights.value, widget.output.value = weights, tmp_path / "mine.safetensors"
    widget.tilt_range.value, widget.contrast.value = "-40 50", "bright"
    click(widget.fit)
    wait(qtbot, widget)
    assert said == ["enough; choose the other half"]
    items, output, options, model = calls[0]
    assert options == FitOptions(minutes=90, rotations="full", resume=True)
    assert (output, model) == (tmp_path / "mine.safetensors", weights)
    assert all(map(np.array_equal, items[0].unscaled_halves, (one.data, other.data))) and items[0].contrast == "bright"
    assert (items[0].wedge.tilt_min, items[0].wedge.tilt_max) == (-40, 50)
    widget.weights.value = None
    click(widget.fit)
    wait(qtbot, widget)
    assert calls[1][3] == "default"


def test_choices_and_tooltips_are_those_of_the_options(viewer):
    widget = dock(viewer, "Fit")
    assert "rehearsal" in widget.objective.choices and widget.objective.value == FitOptions.objective
    assert tuple(widget.rotations.choices) == ("full", "half-turns", "about-z")
    for field, name in ((widget.rotations, "rotations"), (widget.minutes, "minutes"), (widget.resume, "resume")):
        assert field.tooltip == help_of(FitOptions, name) != ""


def test_errors_are_notifications_that_name_fields(viewer, qtbot, tmp_path, weights, said):
    widget = dock(viewer, "Fit")
    click(widget.fit)
    assert len(said) == 1 and "there is no volume" in said.pop()
    viewer.add_image(np.random.default_rng(0).normal(size=(16, 24, 32)), scale=(10,) * 3, name="mine")
    assert widget.output.value is None or not str(widget.output.value)
    click(widget.fit)
    assert len(said) == 1 and "choose one in “save to”" in said.pop()
    widget.output.value, widget.weights.value = tmp_path / "mine.safetensors", weights
    click(widget.fit)
    wait(qtbot, widget)
    assert len(said) == 1 and "tilt range above" in said.pop()
    widget.tilt_range.value, widget.output.value = "-60 60", tmp_path / "mine.mrc"
    click(widget.fit)
    wait(qtbot, widget)
    assert len(said) == 1 and "expected the name of weights" in said[0] and "--" not in said[0]
    assert not os.listdir(tmp_path)


def test_a_suggested_name_follows_the_tomogram_until_the_user_gives_another(viewer, tmp_path):
    one, other = (open_in(viewer, save(tmp_path, name)) for name in ("a.mrc", "b.mrc"))
    widget = dock(viewer, "Fit")
    for layer in (other, one):
        widget.tomogram.value = layer
        assert widget.output.value == tmp_path / f"{layer.name}_weights.safetensors"
    widget.output.value = tmp_path / "mine.safetensors"
    widget.tomogram.value = other
    assert widget.output.value == tmp_path / "mine.safetensors"


def test_no_field_is_cut_at_the_edge_of_the_dock(viewer, qtbot, tmp_path):
    from qtpy.QtWidgets import QScrollArea

    viewer.window._qt_window.show()
    viewer.window._qt_window.resize(1100, 700)
    open_in(viewer, save(tmp_path))
    area = dock(viewer, "Fit").native.findChild(QScrollArea)
    body = area.widget()
    qtbot.waitUntil(lambda: body.minimumSizeHint().width() <= body.width() <= area.viewport().width(), timeout=5000)
