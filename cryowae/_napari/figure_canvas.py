"""What napari has moved from one version to the next: the grid, the camera and the overlays of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def grid_of(viewer: Any) -> Any:
    """The grid in which layers stand side by side (0.9: of the canvas, before: of the viewer)."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.grid if canvas is None else canvas.grid


def show_scale_bar(viewer: Any) -> None:
    """Draw the length of something, in nanometres where napari lets one choose (not from 0.9 on: kÅ)."""
    canvas = getattr(viewer, "canvas", None)
    bar = (viewer if canvas is None else canvas.overlays).scale_bar
    if not isinstance(getattr(type(getattr(bar, "__wrapped__", bar)), "unit", None), property):
        bar.unit = "0.1 nm"  # of the world, which is in angstrom
    bar.visible = True


def camera_of(viewer: Any) -> Any:
    """The camera (0.9: of the scene, before: of the viewer)."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def draw_as_3dmod(viewer: Any) -> None:
    """The first row at the bottom and the first section at the back, so that x, y and z make a right hand.

    napari by itself draws the first row at the top, which shows the mirror image of a volume in 3-D.
    """
    camera_of(viewer).orientation = ("towards", "up", "right")


def side_by_side(viewer: Any, layers: Sequence[Any]) -> None:
    """Show these layers alone, in one row in this order; whatever is done to one view is done to all."""
    for layer in list(viewer.layers):
        layer.visible = layer in layers
    for layer in layers:  # to the end, one after the other
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    grid = grid_of(viewer)
    grid.stride = 1
    grid.shape = (1, -1)  # as many as there are; before 0.9 hidden layers have a place in the row
    grid.enabled = True


def stacked(viewer: Any) -> None:
    """Show layers on top of each other again, at the same place, or whole if they were seen whole."""
    grid, camera = grid_of(viewer), camera_of(viewer)
    if not grid.enabled:
        return
    place = camera.center, camera.zoom, camera.angles
    viewer.reset_view()
    whole = camera.zoom > 0.99 * place[1]
    grid.enabled = False
    viewer.reset_view()
    if not whole:
        camera.center, camera.zoom = place[:2]
    camera.angles = place[2]


def name_layers(layers: Sequence[Any]) -> None:
    """Write the names of layers into their views, where napari can (0.7)."""
    for layer in layers:
        overlay = getattr(layer, "name_overlay", None)
        if overlay is not None:
            overlay.visible = True
            overlay.font_size = 8  # long names differ at their ends
