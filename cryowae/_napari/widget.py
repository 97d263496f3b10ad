"""What the widgets share: they choose among the volumes of a viewer, do one thing at a time and show the result."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox, Container, Label

from cryowae._napari.figure_canvas import grid_of, name_layers, show_scale_bar
from cryowae._napari.jobs import JobPanel
from cryowae._napari.layers import LayerData, tomogram_of, volumes_of
from cryowae._napari.picture import scroll, wrap
from cryowae._napari.scratch import delete_with


class VolumeWidget(Container[Any]):
    """A widget for the volumes of a viewer; what it does stops when its dock is closed.

    Parameters
    ----------
    viewer
        The viewer that it is docked in.

    Attributes
    ----------
    job
        What runs beside the window.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.job = JobPanel()
        self.native_parent_changed.connect(self._move)
        show_scale_bar(viewer)

    def choice(self, label: str, **options: Any) -> ComboBox:
        """A field for one of the volumes."""
        return ComboBox(label=label, choices=lambda _: self.volumes(), **options)

    def volumes(self) -> list[Any]:
        """The layers that may be chosen."""
        return volumes_of(self._viewer)

    def lay_out(self, *widgets: Any, words: tuple[Label, ...], below: Any = None) -> None:
        """Put fields below one another, and something of Qt's below them; long words wrap."""
        self.extend(widgets)
        wrap(self.job.message, *words)
        if below is not None:
            self.native.layout().addWidget(below)
        self.native.layout().addStretch(1)
        scroll(self)

    def add(self, layer: LayerData) -> Any:
        """Show a layer; its temporary file goes with it."""
        data, look, _ = layer
        added = self._viewer.add_image(data, **look)
        made = tomogram_of(added.metadata)
        if made is not None:
            delete_with(added, made.path)
        if grid_of(self._viewer).enabled:
            name_layers([added])
        return added

    def replace(self, layer: LayerData) -> Any:
        """Show a layer in place of one of the same name."""
        self.remove_layer(layer[1]["name"])
        return self.add(layer)

    def remove_layer(self, name: str) -> None:
        """Take a layer away if there is one of this name."""
        if name in self._viewer.layers:
            self._viewer.layers.remove(name)

    def closed(self) -> None:
        """The dock is gone; napari keeps the widget."""
        self.job.cancel()

    def _move(self, parent: Any) -> None:
        if parent is None:
            self.closed()
