"""Actions of a user: open a file, open a widget, press a button, wait."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np

from cryowae._napari.viewing import grid_of


def save(folder: Path, name: str = "tomo.mrc", shape=(24, 40, 48), seed: int = 0, tilts: bool = True) -> Path:
    """Noise with dark balls in a lattice."""
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=shape)
    z, y, x = (axis % 12 - 6 for axis in np.ogrid[tuple(slice(n) for n in shape)])
    volume -= 4 * np.exp(-(z**2 + y**2 + x**2) / 8)
    with mrcfile.new(folder / name) as file:
        file.set_data((100 + 12 * volume).astype(np.float32))
        file.voxel_size = 10
        file.header.origin = (1, 2, 3)
        file.add_label("made by hand")
    if tilts:
        (folder / f"{Path(name).stem}.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return folder / name


def dock(viewer, name: str):
    """The widget that the plugins menu opens."""
    _, widget = viewer.window.add_plugin_dock_widget("cryowae", name)
    return widget


def open_in(viewer, path: Path):
    return viewer.open(str(path), plugin="cryowae")[0]


def click(widget) -> None:
    widget.native.click()


def wait(qtbot, widget, seconds: float = 60) -> None:
    """Wait until the job of a widget is done."""
    qtbot.waitUntil(lambda: not widget.job.busy, timeout=int(1000 * seconds))


def cells(viewer, layers) -> list[tuple[int, int]]:
    """Row and column of layers in the grid (napari 0.9 asks for the layers, before for their number)."""
    known = viewer.layers if hasattr(viewer, "canvas") else len(viewer.layers)
    return [grid_of(viewer).position(viewer.layers.index(layer), known) for layer in layers]
