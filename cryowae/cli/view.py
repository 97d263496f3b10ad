"""`cryowae view FILE...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cryowae.cli.terminal import print_results
from cryowae.config.options import TomogramOptions
from cryowae.errors import ConfigError

_SIZE = (1400, 900)  # pixels of a window in which two volumes and a dock have their places


def view(
    files: Annotated[list[Path], typer.Argument(metavar="FILE")],
    opening: TomogramOptions,
    show: Literal["slices", "volume", "plane"] = "slices",  # not --display: Qt has an option of that name
    contrast: Literal["dark", "bright"] = "dark",
) -> None:
    """Look at volumes in napari.

    A single file brings what belongs to it by name: X_restored.mrc and X_truth.mrc come beside X.mrc, linked.

    Parameters
    ----------
    files
        MRC volumes.
    show
        slices; 3-D, the densest voxel along each ray; 3-D, a plane to drag.
    contrast
        Is protein dark or bright in the files?
    """
    try:
        import napari
        from qtpy.QtCore import QTimer  # napari by itself does not say that there is no binding

        require_display()
        viewer = napari.Viewer(title="cryowae", show=False)
    except ImportError as error:  # of napari, or of any binding of Qt
        raise ConfigError(
            f"napari cannot be started ({str(error).splitlines()[0]}): install it and a Qt binding, for example "
            "pip install 'cryowae[napari]' pyqt6"
        ) from None
    from cryowae._napari.viewing import show_files

    print_results(notes=show_files(viewer, files, show=show, contrast=contrast, **vars(opening)))
    if len(viewer.layers) > 1:
        viewer.window.add_plugin_dock_widget("cryowae", "Compare")
    viewer.show()
    give_room(viewer.window)
    QTimer.singleShot(500, viewer.reset_view)  # once the window and its docks have their sizes
    napari.run()


def give_room(window: Any) -> None:
    """Make a window large enough to compare volumes in, and no larger than its screen."""
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QGuiApplication

    left, top, width, height = window.geometry()
    screen = QGuiApplication.screenAt(QPoint(left, top)) or QGuiApplication.primaryScreen()
    room = screen.availableGeometry()
    size = min(max(width, _SIZE[0]), room.width()), min(max(height, _SIZE[1]), room.height())
    if size != (width, height):
        window.resize(*size)


def require_display() -> None:
    """Raise `ConfigError` where a window cannot be shown: Qt would end the program without a word that helps."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in known):
        raise ConfigError(
            "no display found (DISPLAY is not set): sit at a screen, use ssh -X, or run it under xvfb-run"
        )
