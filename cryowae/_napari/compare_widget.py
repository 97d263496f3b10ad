"""The compare widget: before and after side by side or alternating, their spectra, and the inferred part."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

from magicgui.widgets import RadioButtons

from cryowae._napari.comparing import ComparedLayers, Picture, draw, guess_compared, require_known, share_greys
from cryowae._napari.derived_layers import inferred_layer
from cryowae._napari.jobs import JobPanel
from cryowae._napari.layers import LayerData
from cryowae._napari.picture_label import PictureLabel
from cryowae._napari.viewing import camera_of, name_layers, side_by_side, stacked
from cryowae._napari.volume_widget import VolumeWidget

_ROLES = ("before", "after", "truth")
_PLANES = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}
_PAUSE = 300  # milliseconds without a change before the picture is drawn again


class CompareWidget(VolumeWidget):
    """Shows versions of one volume linked, flips between them (key B), and draws pictures of their differences.

    Parameters
    ----------
    napari_viewer
        The viewer in which it is docked.
    """

    def __init__(self, napari_viewer: Any) -> None:
        from qtpy.QtCore import QTimer

        super().__init__(napari_viewer)
        self._guessed, self._filled = ComparedLayers(), ""
        self.before, self.after, self.truth = (self.choice(role, nullable=True) for role in _ROLES)
        self.plane = RadioButtons(label="plane", choices=list(_PLANES), orientation="horizontal")
        self.beside = self.button("Side by side", self.show_beside, "All in one row; zoom, position and slice linked.")
        self.flip = self.button("Flip (B)", self.flip_layers, "Alternate between before and after; press B repeatedly.")
        self.greys = self.button("Same greys", self.match_greys, "The same grey limits for both.")
        self.inferred = self.button("Inferred only", self.show_inferred, "The result without its measured components.")
        self.picture = RadioButtons(label="picture", choices=get_args(Picture), orientation="horizontal")
        self.drawing, self.canvas = JobPanel(quiet=True), PictureLabel()
        fields = [self.before, self.after, self.truth, self.tilt_range, self.plane]
        buttons = [[self.beside, self.flip], [self.greys, self.inferred]]
        self.lay_out(*fields, *buttons, self.job, self.picture, self.report, below=self.canvas.label)
        self.plane.value, self.picture.value = "xy", "spectrum"
        self._timer = QTimer(self.native)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.guarded(self._draw, self._show_error))
        for choice in (self.before, self.after):
            choice.changed.connect(self._fill_tilts)
        for field in (self.truth, self.tilt_range, self.picture):
            field.changed.connect(self._draw_later)
        self.plane.changed.connect(self._turn)
        napari_viewer.dims.events.point.connect(self._draw_later)
        napari_viewer.bind_key("B", self.guarded(self.flip_layers), overwrite=True)
        self.native.destroyed.connect(self.drawing.abandon)
        self.guess()

    @property
    def compared(self) -> ComparedLayers:
        """The layers that are chosen."""
        return ComparedLayers(self.before.value, self.after.value, self.truth.value)

    def guess(self) -> None:
        """Choose the newest restoration, its input and its ground truth."""
        guessed = self._guessed = guess_compared(self.volumes())
        self.before.value, self.after.value, self.truth.value = guessed.before, guessed.after, guessed.truth
        self._fill_tilts()

    def layers_changed(self, new: list[Any]) -> None:
        """Choose a new restoration; otherwise keep the choice."""
        if guess_compared(self.volumes()) != self._guessed:
            self.guess()

    def show_beside(self, layers: list[Any] | None = None) -> None:
        """Show layers in one row; by default all that are chosen."""
        layers = layers or self.compared.require_two().layers()
        side_by_side(self._viewer, layers)
        name_layers(layers)
        self._viewer.reset_view()

    def flip_layers(self) -> None:
        """Show the other one of before and after, at the same position."""
        compared = self.compared.require_two()
        stacked(self._viewer)
        shown = compared.after if compared.before.visible and not compared.after.visible else compared.before
        for layer in self._viewer.layers:
            layer.visible = layer is shown
        name_layers(compared.layers())

    def match_greys(self) -> None:
        """Give all layers the same grey limits."""
        share_greys(self.compared)

    def show_inferred(self) -> None:
        """Make a layer of the inferred part, and show it beside the result."""
        after, tilts = self.compared.require_two().after, require_known(self.tilts())

        def add(layer: LayerData) -> None:
            shown = [after, self.show_layer(layer, replacing=layer[1]["name"])]
            self.show_beside([one for one in shown if one in self._viewer.layers])

        self.job.start(partial(inferred_layer, after, tilts), add)

    def closed(self) -> None:
        """Disconnect all callbacks that use the fields."""
        super().closed()
        self.drawing.abandon()
        self._timer.stop()
        self._viewer.dims.events.point.disconnect(self._draw_later)
        self._viewer.bind_key("B", None, overwrite=True)

    def _draw(self) -> None:
        """Draw the chosen picture in the background, one at a time."""
        if self.native.parent() is None:  # closed, but napari still reports layers to it
            return
        if self.drawing.busy:
            self._draw_later()
            return
        compared, point, tilts = self.compared.require_two(), self._viewer.dims.point, self.tilts()
        look = {"width": self.canvas.label.width(), "upward": str(camera_of(self._viewer).orientation2d[0]) == "up"}
        self.report.value = ""
        ask = partial(draw, compared, self.picture.value, point=point, tilts=tilts, **look)
        self.drawing.start(ask, self.canvas.show, self._show_error)

    def _show_error(self, words: str) -> None:
        self.report.value = words
        self.canvas.clear()

    def _draw_later(self, *_: Any) -> None:
        self._timer.start()

    def _turn(self, plane: str) -> None:
        extra = self._viewer.dims.ndim - 3  # leading axes, of layers with more axes
        self._viewer.dims.order = (*range(extra), *(extra + axis for axis in _PLANES[plane]))
        self._viewer.reset_view()

    def _fill_tilts(self, *_: Any) -> None:
        tilts = self.compared.tilt_range()
        text = "" if tilts is None else f"{tilts[0]:g} {tilts[1]:g}"
        if text or self.tilt_range.value == self._filled:  # a range that the user has typed is kept
            self.tilt_range.value = self._filled = text
        self._draw_later()
