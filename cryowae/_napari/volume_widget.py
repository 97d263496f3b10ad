"""Common parts of the widgets: fields, a dock that scrolls, one job at a time, and results as layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from magicgui.widgets import CheckBox, ComboBox, Container, Label, LineEdit, PushButton, SpinBox

from cryowae._napari.derived_layers import delete_with
from cryowae._napari.jobs import JobPanel, in_window_words, notify
from cryowae._napari.layers import LayerData, volumes_of
from cryowae._napari.uncertainty_layers import files_of
from cryowae._napari.viewing import grid_of, name_layers, show_scale_bar
from cryowae.config.options import TomogramOptions, help_of
from cryowae.errors import CryowaeError, TiltError
from cryowae.io.tilts import require_tilt_range
from cryowae.progress import Progress


class VolumeWidget(Container[Any]):
    """A widget for the volumes of a viewer. Its job stops when its dock is closed.

    Parameters
    ----------
    viewer
        The viewer in which it is docked.

    Attributes
    ----------
    job
        The job in the background.
    tilt_range
        The field for the lowest and highest tilt.
    report
        Text below the fields.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer, self._seen = viewer, volumes_of(viewer)
        self.job = JobPanel()
        self.tilt_range = LineEdit(label="tilt range", tooltip=help_of(TomogramOptions, "tilt_range"))
        self.report = Label(value="")
        self.native_parent_changed.connect(self._move)
        show_scale_bar(viewer)

    def choice(self, label: str, **options: Any) -> ComboBox:
        """A field for one of the volumes."""
        return ComboBox(label=label, choices=lambda _: self.volumes(), **options)

    def button(self, text: str, action: Callable[[], None], tooltip: str = "", **options: Any) -> PushButton:
        """A button; errors that the user can correct are shown as a notification."""
        made = PushButton(text=text, tooltip=tooltip, **options)
        made.changed.connect(self.guarded(action))
        return made

    def guarded(self, action: Callable[[], None], failed: Callable[[str], None] = notify) -> Callable[..., None]:
        """An action whose `CryowaeError` is passed to `failed` as text."""

        def run(*_: Any) -> None:
            try:
                action()
            except CryowaeError as error:
                failed(in_window_words(error))

        return run

    def volumes(self) -> list[Any]:
        """The layers that can be chosen."""
        return volumes_of(self._viewer)

    def tilts(self) -> tuple[float, float] | None:
        """The tilt range in its field; raises `TiltError` if it cannot be used."""
        return parse_tilt_range(str(self.tilt_range.value))

    def reset_choices(self, *args: Any) -> None:
        """Napari calls this when layers are added, removed or moved."""
        super().reset_choices(*args)
        before, self._seen = self._seen, self.volumes()
        if set(before) != set(self._seen):
            self.layers_changed([layer for layer in self._seen if layer not in before])

    def layers_changed(self, new: list[Any]) -> None:
        """Some volumes were added or removed; `new` are those that were added."""

    def lay_out(self, *rows: Any, below: Any = None, after: int = 0) -> None:
        """Arrange fields below one another, lists of buttons side by side, and a Qt widget before the last `after`."""
        self.extend(
            Container[Any](widgets=row, layout="horizontal", labels=False) if isinstance(row, list) else row
            for row in rows
        )
        for label in (self.job.message, *(row for row in rows if isinstance(row, Label))):
            _wrap(label)
        if below is not None:
            layout = self.native.layout()
            layout.insertWidget(layout.count() - after, below)
        self.native.layout().addStretch(1)
        _make_scrollable(self)

    def begin(self, work: Callable[[Progress], Any], then: Callable[[Any], None], **options: Any) -> None:
        """Start a job, see `JobPanel.start`, with an empty report."""
        self.report.value = ""
        self.job.start(work, then, **options)

    def show_layer(self, layer: LayerData, replacing: str = "") -> Any:
        """Show a layer, in place of the one of the name `replacing`; its temporary file is deleted with it."""
        from napari.layers import Layer

        if replacing in self._viewer.layers:
            self._viewer.layers.remove(replacing)
        added = self._viewer.add_layer(Layer.create(*layer))
        delete_with(added, *(made.path for made in files_of(added).values()))
        if grid_of(self._viewer).enabled:
            name_layers([added])
        return added

    def closed(self) -> None:
        """The dock was closed; napari keeps the widget."""
        self.job.cancel()

    def _move(self, parent: Any) -> None:
        if parent is None:
            self.closed()


def option_field(kind: type, name: str, label: str, most: int = 1000) -> Any:
    """A field for an option of a dataclass: a choice, a check box or a number up to `most`. Its tooltip is the help."""
    hint, tooltip, default = get_type_hints(kind)[name], help_of(kind, name), getattr(kind, name)
    if hint is bool:
        return CheckBox(text=label, value=default, tooltip=tooltip)
    if hint is int:
        return SpinBox(label=label, value=default, tooltip=tooltip, max=most)
    return ComboBox(label=label, value=default, choices=get_args(hint), tooltip=tooltip)


def parse_tilt_range(text: str) -> tuple[float, float] | None:
    """Two numbers in usual notation (`-60 60`, `-60..60`, `-60 to 60`, `±60`); None for an empty text.

    Raises
    ------
    TiltError
        If the text has another form, or the range is impossible.
    """
    text = text.strip().replace("−", "-").replace("°", "")
    if not text:
        return None
    numbers = re.findall(r"[-+]?\d+(?:\.\d+)?", re.sub(r"^±\s*([\d.]+)$", r"-\1 \1", text))
    if len(numbers) != 2:
        raise TiltError(
            f"got {text!r} for the tilt range; expected the lowest and the highest tilt, for example -60 60"
        )
    return require_tilt_range(float(numbers[0]), float(numbers[1]))


def _wrap(label: Label) -> None:
    """Let a label break its lines, so that it does not make the dock wider."""
    from qtpy.QtWidgets import QSizePolicy

    label.native.setWordWrap(True)
    label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)


def _make_scrollable(container: Any) -> None:
    """Let a magicgui container scroll, so that docks below one another are not taller than the screen.

    The option `scrollable` of magicgui does not work here: napari docks the content of the scrolled area.
    """
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

    body, area = QWidget(), QScrollArea()
    body.setLayout(container.native.layout())
    area.setWidget(body)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    outer = QVBoxLayout(container.native)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)

    def widen() -> None:
        area.setMinimumWidth(body.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())

    widen()
    later = QTimer(area)  # in the dock, which has another style, fields may be wider
    later.setSingleShot(True)
    later.timeout.connect(widen)
    container.native_parent_changed.connect(lambda *_: later.start(0))
