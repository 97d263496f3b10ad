"""What napari has moved from one version to the next: the grid and the scale bar of a viewer's canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def grid_of(viewer: Any) -> Any:
    """The grid in which layers stand side by side (0.9: of the canvas, before: of the viewer)."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.grid if canvas is None else canvas.grid


def show_scale_bar(viewer: Any) -> None:
    """Draw the length of something, in the units of the layers."""
    canvas = getattr(viewer, "canvas", None)
    (viewer if canvas is None else canvas.overlays).scale_bar.visible = True


def side_by_side(viewer: Any, layers: Sequence[Any]) -> None:
    """Show these layers alone, in one row in this order; whatever is done to one view is done to all."""
    for layer in list(viewer.layers):
        layer.visible = layer in layers
    for place, layer in enumerate(layers):
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers) - len(layers) + place)
    hidden = len(viewer.layers) - len(layers)
    grid = grid_of(viewer)
    grid.stride = -1  # the first of them at the left
    grid.shape = (1, len(layers) + (hidden if not _skips_hidden(grid) else 0))
    grid.enabled = True


def stacked(viewer: Any) -> None:
    """Show layers on top of each other again."""
    grid_of(viewer).enabled = False


def _skips_hidden(grid: Any) -> bool:
    return hasattr(grid, "_effective_indices")  # since 0.9: hidden layers leave no empty place
