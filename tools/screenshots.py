"""Runs the plugin in a real window and saves the pictures of docs/napari.md.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/screenshots.py docs/images

needs a display with OpenGL, the extra `napari`, a Qt binding, and `CRYOWAE_DATA` with the tomogram of EMPIAR-10499. The
fit takes a quarter of an hour.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtTest import QTest

from cryowae._napari.viewing import show_files

_SIZE = (1400, 860)
_NAME = "tomograms/empiar10499_TS01_20A_full.mrc"


def main(folder: Path) -> None:
    """Take all pictures."""
    data = Path(os.environ.get("CRYOWAE_DATA", ".")) / _NAME
    if not data.is_file():
        sys.exit(f"{data} does not exist: CRYOWAE_DATA must name the folder of real data")
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*_SIZE)
    settle()

    viewer.open(str(data), plugin="cryowae")
    viewer.dims.set_current_step(0, 40)
    restore = dock(viewer, "Restore")
    restore.fast.value = True
    click(restore.preview, until=lambda: not restore.job.busy)
    shoot(viewer, folder / "napari_preview.png")

    restore.fast.value = False
    click(restore.restore, until=lambda: not restore.job.busy)
    shoot(viewer, folder / "napari_restored.png")
    restored = viewer.layers[-1]
    result = restored.metadata["cryowae"].path
    viewer.window.remove_dock_widget(restore.native)

    compare = dock(viewer, "Compare")
    click(compare.greys)
    click(compare.beside, until=lambda: not compare.drawing.busy and not compare._timer.isActive())
    shoot(viewer, folder / "napari_compare.png")
    compare.picture.value = "slices"
    click(compare.inferred, until=lambda: not compare.job.busy)
    settle(lambda: not compare.drawing.busy and not compare._timer.isActive())
    shoot(viewer, folder / "napari_inferred.png")
    viewer.close()

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*_SIZE)
    show_files(viewer, [result], show="volume")
    getattr(viewer, "scene", viewer).camera.angles = (0, -25, 65)
    shoot(viewer, folder / "napari_volume.png")
    viewer.close()
    shoot_fit(data, folder / "napari_fit.png", minutes=15)


def shoot_fit(data: Path, path: Path, minutes: float) -> None:
    """Fit weights to a tomogram in a window, and take the picture when it is done."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1240, 1100)
    settle()
    viewer.open(str(data), plugin="cryowae")
    viewer.dims.set_current_step(0, 40)
    getattr(viewer, "scene", viewer).camera.zoom *= 0.8  # noise makes a large file
    fit = dock(viewer, "Fit")
    with tempfile.TemporaryDirectory() as folder:
        fit.minutes.value, fit.output.value = minutes, Path(folder) / "mine.safetensors"
        click(fit.fit, until=lambda: not fit.job.busy)
        shoot(viewer, path)
    viewer.close()


def dock(viewer: Any, name: str) -> Any:
    """Open a widget as the menu does."""
    _, widget = viewer.window.add_plugin_dock_widget("cryowae", name)
    settle()
    return widget


def click(button: Any, until: Callable[[], bool] = lambda: True) -> None:
    """Press a button and wait until a condition holds."""
    button.native.click()
    settle(until)


def settle(until: Callable[[], bool] = lambda: True) -> None:
    """Let the window process events until a condition holds, and a short time longer."""
    QTest.qWait(600)
    while not until():
        QTest.qWait(100)
    QTest.qWait(600)


def shoot(viewer: Any, path: Path) -> None:
    """Save the window."""
    from PIL import Image

    settle()
    Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB").quantize(256).save(
        path, optimize=True
    )
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
