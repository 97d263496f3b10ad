"""`cryowae view FILE...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cryowae.cli.opening import Axes, FlipTilt, TiltRange, Tilts, VoxelSize
from cryowae.errors import ConfigError


def view(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="MRC volumes.")],
    show: Annotated[  # not --display: Qt reads the arguments too, and has an option of that name
        Literal["slices", "volume", "plane"],
        typer.Option(help="slices; 3-D, the densest voxel along each ray; 3-D, a plane to drag."),
    ] = "slices",
    contrast: Annotated[Literal["dark", "bright"], typer.Option(help="What protein is in the files.")] = "dark",
    tilts: Tilts = None,
    tilt_range: TiltRange = None,
    flip_tilt: FlipTilt = False,
    axes: Axes = "zyx",
    voxel_size: VoxelSize = None,
) -> None:
    """Look at volumes in napari.

    A single file brings what belongs to it by name: X_restored.mrc and X_truth.mrc come beside X.mrc, linked.
    """
    try:
        import napari

        require_display()
        viewer = napari.Viewer(title="cryowae", show=False)
    except ImportError as error:  # of napari, or of any binding of Qt
        raise ConfigError(
            f"napari cannot be started ({str(error).splitlines()[0]}): install it and a Qt binding, for example "
            "pip install 'cryowae[napari]' pyqt6"
        ) from None
    from cryowae._napari.view import show_files

    notes = show_files(
        viewer,
        files,
        show=show,
        contrast=contrast,
        tilts=tilts,
        tilt_range=tilt_range,
        flip_tilt=flip_tilt,
        axes=axes,
        voxel_size=voxel_size,
    )
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if len(viewer.layers) > 1:
        viewer.window.add_plugin_dock_widget("cryowae", "Compare")
    from qtpy.QtCore import QTimer
    from qtpy.QtGui import QGuiApplication

    screen = QGuiApplication.primaryScreen().availableGeometry()
    _, _, width, height = viewer.window.geometry()
    viewer.window.resize(max(width, min(1400, screen.width())), max(height, min(900, screen.height())))
    viewer.show()
    QTimer.singleShot(500, viewer.reset_view)  # once the window and its docks have their sizes
    napari.run()


def require_display() -> None:
    """Raise `ConfigError` where a window cannot be shown: Qt would end the program without a word that helps."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in known):
        raise ConfigError(
            "no display found (DISPLAY is not set): sit at a screen, use ssh -X, or run it under xvfb-run"
        )
