"""The compare widget: before and after beside or in place of each other, their spectra, and what was inferred."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import Container, Label, LineEdit, PushButton, RadioButtons

from cryowae._napari.comparing import (
    Look,
    Versions,
    draw,
    guess_versions,
    inferred_layer,
    shared_greys,
    tilts_of,
)
from cryowae._napari.figure_canvas import camera_of, name_layers, side_by_side, stacked
from cryowae._napari.jobs import JobPanel
from cryowae._napari.layers import LayerData
from cryowae._napari.messages import complain
from cryowae._napari.picture import Picture
from cryowae._napari.restoring import parse_tilt_range
from cryowae._napari.widget import VolumeWidget
from cryowae.errors import CryowaeError, TiltError

_PLANES = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}
_PATIENCE = 300  # milliseconds of rest before a picture is drawn anew


class CompareWidget(VolumeWidget):
    """Shows versions of one volume linked, flips between them (key B), and draws what tells them apart.

    Parameters
    ----------
    napari_viewer
        The viewer that it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        from qtpy.QtCore import QTimer

        super().__init__(napari_viewer)
        self._again, self._guessed, self._filled, self._seen = False, Versions(), "", set[Any]()
        self.before, self.after, self.truth = (
            self.choice(label, nullable=True) for label in ("before", "after", "truth")
        )
        self.tilt_range = LineEdit(label="tilt range", tooltip="Lowest and highest tilt in degrees, such as -60 60.")
        self.plane = RadioButtons(label="plane", choices=list(_PLANES), orientation="horizontal")
        self.beside = PushButton(text="Side by side", tooltip="All of them in one row; pan, zoom and slice are linked.")
        self.flip = PushButton(text="Flip (B)", tooltip="One in place of the other; press B again and again.")
        self.greys = PushButton(text="Same greys", tooltip="One scale of greys in which both can be seen.")
        self.inferred = PushButton(text="Inferred only", tooltip="The result without all that was measured.")
        self.picture = RadioButtons(label="picture", choices=["spectrum", "slices", "FSC"], orientation="horizontal")
        self.words = Label(value="")
        self.drawing = JobPanel(quiet=True)
        buttons = [
            Container[Any](widgets=pair, layout="horizontal", labels=False)
            for pair in ([self.beside, self.flip], [self.greys, self.inferred])
        ]
        fields = [self.before, self.after, self.truth, self.tilt_range, self.plane]
        self.canvas = Picture()
        self.lay_out(
            *fields, *buttons, self.job, self.picture, self.words, words=(self.words,), below=self.canvas.label
        )
        self.plane.value, self.picture.value = "xy", "spectrum"
        self._seen = set(self.volumes())
        self._timer = QTimer(self.native)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE)
        self._timer.timeout.connect(self._draw)
        self._connect()
        self.guess()

    @property
    def versions(self) -> Versions:
        """The layers that are chosen."""
        return Versions(self.before.value, self.after.value, self.truth.value)

    def guess(self) -> None:
        """Choose what was restored last, what it was made of, and its truth."""
        guessed = self._guessed = guess_versions(self.volumes())
        self.before.value, self.after.value, self.truth.value = guessed.before, guessed.after, guessed.truth
        self._tell_tilts()

    def reset_choices(self, *args: Any) -> None:
        """Napari calls this when layers come and go: a new restoration is looked at, other choices stay."""
        super().reset_choices(*args)
        volumes = self.volumes()
        came_or_went, self._seen = set(volumes) != self._seen, set(volumes)
        if came_or_went and guess_versions(volumes) != self._guessed:  # and not only moved, as "Side by side" does
            self.guess()

    def show_beside(self, *_: Any) -> None:
        """All versions in one row."""
        if layers := self._two():
            self._show_beside(layers.layers())

    def flip_versions(self, *_: Any) -> None:
        """The other one of before and after, at the same place."""
        if versions := self._two():
            stacked(self._viewer)
            after = versions.before.visible and not versions.after.visible
            for layer in self._viewer.layers:
                layer.visible = layer is (versions.after if after else versions.before)
            name_layers(versions.layers())

    def match_greys(self, *_: Any) -> None:
        """The same limits for all."""
        if versions := self._two():
            try:
                limits = shared_greys(versions)
            except CryowaeError as error:
                complain(error)
                return
            for layer in versions.layers():
                layer.contrast_limits = limits

    def show_inferred(self, *_: Any) -> None:
        """Make the layer of what was inferred, and show it beside the result."""
        if versions := self._two():
            try:
                tilts = self._tilts()
            except CryowaeError as error:
                complain(error)
                return
            self.job.start(partial(inferred_layer, versions, tilts), partial(self._add_inferred, versions.after))

    def _add_inferred(self, after: Any, layer: LayerData) -> None:
        shown = [after, self.replace(layer)]
        self._show_beside([layer for layer in shown if layer in self._viewer.layers])

    def _show_beside(self, layers: list[Any]) -> None:
        side_by_side(self._viewer, layers)
        name_layers(layers)
        self._viewer.reset_view()

    def _two(self) -> Versions | None:
        versions = self.versions
        if versions.before is None or versions.after is None or versions.before is versions.after:
            complain("there is nothing to compare: choose two layers, before and after")
            return None
        return versions

    def _tilts(self) -> tuple[float, float]:
        tilts = parse_tilt_range(str(self.tilt_range.value))
        if tilts is None:
            raise TiltError("no tilt range is known: give one above, for example -60 60")
        return tilts

    def _draw(self) -> None:
        """Draw the chosen picture beside the window's thread; what changes meanwhile is drawn next."""
        if self.native.parent() is None:  # closed, but napari still tells it of layers
            return
        versions = self.versions
        if versions.before is None or versions.after is None or len(versions.layers()) < 2:
            self.words.value = "Choose two layers, before and after."
            return
        if self.drawing.busy:
            self._again = True
            return
        try:
            tilts = parse_tilt_range(str(self.tilt_range.value))
        except TiltError as error:
            self.words.value = str(error)
            return
        shape = versions.before.data.shape
        point = versions.before.world_to_data(self._viewer.dims.point)
        centre = tuple(min(max(round(float(p)), 0), n - 1) for p, n in zip(point[-3:], shape[-3:], strict=True))
        look = Look(
            versions,
            self.picture.value,
            (centre[0], centre[1], centre[2]),
            tilts,
            self.canvas.width,
            str(camera_of(self._viewer).orientation2d[0]) == "up",
        )
        self.words.value = ""
        self.drawing.start(partial(draw, look), self._show, self._cannot)

    def _show(self, picture: Any) -> None:
        self.canvas.show(picture)
        self._next()

    def _cannot(self, words: str) -> None:
        self.words.value = words
        self.canvas.clear()
        self._next()

    def _next(self) -> None:
        if self._again:
            self._again = False
            self._timer.start()

    def _later(self, *_: Any) -> None:
        self._timer.start()

    def _turn(self, plane: str) -> None:
        self._viewer.dims.order = _PLANES[plane]
        self._viewer.reset_view()

    def _tell_tilts(self, *_: Any) -> None:
        tilts = tilts_of(self.versions)
        text = "" if tilts is None else f"{tilts[0]:g} {tilts[1]:g}"
        if text or self.tilt_range.value == self._filled:  # what the user typed stays
            self.tilt_range.value = text
            self._filled = text
        self._later()

    def _connect(self) -> None:
        self.before.changed.connect(self._tell_tilts)
        self.after.changed.connect(self._tell_tilts)
        for field in (self.truth, self.tilt_range, self.picture):
            field.changed.connect(self._later)
        self.plane.changed.connect(self._turn)
        self.beside.changed.connect(self.show_beside)
        self.flip.changed.connect(self.flip_versions)
        self.greys.changed.connect(self.match_greys)
        self.inferred.changed.connect(self.show_inferred)
        self._viewer.dims.events.point.connect(self._later)
        self._viewer.bind_key("B", lambda _viewer: self.flip_versions(), overwrite=True)
        self.native.destroyed.connect(self.drawing.abandon)

    def closed(self) -> None:
        """Nothing may reach for the fields any more."""
        super().closed()
        self.drawing.abandon()
        self._timer.stop()
        self._viewer.dims.events.point.disconnect(self._later)
        self._viewer.bind_key("B", None, overwrite=True)
