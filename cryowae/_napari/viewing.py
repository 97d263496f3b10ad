"""Display of volumes in a viewer: files side by side, grid, camera, scale bar, and the visible region. No Qt here.

napari has moved the grid, the camera and the overlays between its versions; only this module depends on their places.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from cryowae._napari.comparing import guess_compared, share_greys
from cryowae._napari.layers import AXES, layer_data, open_for_viewing, percentile_limits
from cryowae._napari.uncertainty_layers import SAMPLE_AXIS, SAMPLES, uncertainty_layers
from cryowae.errors import ConfigError, CryowaeError
from cryowae.io.neighbours import find_versions
from cryowae.tomogram.volumes import Region

Show = Literal["slices", "volume", "plane"]
Protein = Literal["dark", "bright"]

_THICKNESS, _MOST = 8, 256  # voxels of a previewed slab: across it, and along its other axes
_DEPTH = (0.02, 5.0)  # percentiles between which a volume of dark protein goes from bright to black


def show_files(
    viewer: Any, files: Sequence[str | Path], *, show: Show = "slices", contrast: Protein = "dark", **opening: Any
) -> list[str]:
    """Open files in a viewer. With a single file its restoration or its input, its truth and samples are opened too.

    Parameters
    ----------
    viewer
        napari's `Viewer` or `ViewerModel`.
    files
        MRC volumes.
    show
        `slices`, or 3-D: `volume` shows the densest voxel along each ray, `plane` a plane that can be dragged.
    contrast
        Is protein dark or bright in the files? In 3-D dark protein is drawn bright, since the canvas is black.
    opening
        Options of `open_tomogram`.

    Returns
    -------
    notes
        Messages for the user, one line each.

    Raises
    ------
    CryowaeError
        If a file cannot be opened.
    """
    for got, known in ((show, get_args(Show)), (contrast, get_args(Protein))):
        if got not in known:
            raise ConfigError(f"got {got!r}, expected one of: {', '.join(known)}")
    asked = tuple(map(Path, files))
    related = find_versions(asked[0]).paths() if len(asked) == 1 else ()
    notes: list[str] = []
    layers, samples = [], []
    for path in related if set(asked) & set(related) else asked:
        try:
            tomogram = open_for_viewing(path, **opening)
        except CryowaeError:
            if path in asked:
                raise
            continue  # a related file that cannot be opened is not an error
        notes += [note for note in tomogram.notes if note not in notes]
        data, options, _ = layer_data(tomogram)
        options["rendering"] = "minip" if contrast == "dark" else "mip"
        depiction = "plane" if show == "plane" else "volume"
        layers.append(viewer.add_image(data, **options, depiction=depiction))
        if len(asked) == 1:
            beside = uncertainty_layers((data, {**options, "depiction": depiction}, "image"))
            added = [viewer.add_image(values, **look) for values, look, _ in beside]
            samples += link_samples(viewer, layers[-1], added)
    row = [*layers, *samples]
    if len(row) > 1 and len({layer.data.shape[-3:] for layer in row}) == 1:
        side_by_side(viewer, row)
        name_layers(row)
        if len(asked) == 1 and len(layers) > 1:
            share_greys(guess_compared(layers))
    for layer in viewer.layers:
        layer.plane.position = tuple(n // 2 for n in layer.data.shape[-3:])
    show_scale_bar(viewer)
    draw_as_3dmod(viewer)
    if show != "plane":
        _colour_by_depth(viewer, layers, contrast)
    viewer.dims.ndisplay = 2 if show == "slices" else 3
    return notes


def region_in_view(
    shape: tuple[int, int, int], point: tuple[float, ...], displayed: tuple[int, ...], corners: Any
) -> Region:
    """The visible part of the slab of `_THICKNESS` voxels around the current slice.

    Along each axis that is shown it has at most `_MOST` voxels, around the middle of the visible part.

    Parameters
    ----------
    shape
        `(z, y, x)` of the layer.
    point
        Position of the viewer, in voxels.
    displayed
        Axes that are shown.
    corners
        `(2, 3)` first and last visible voxel, as `layer.corner_pixels` gives them.
    """
    parts = []
    for axis, n in enumerate(shape):
        low, high = 0, n
        if axis not in displayed or len(displayed) != 2:
            length = _THICKNESS if axis not in displayed else _MOST // 2
            low = round(point[axis]) - length // 2
            high = low + length
        elif corners[1][axis] > corners[0][axis]:
            low, high = int(corners[0][axis]), int(corners[1][axis]) + 1
        if high - low > _MOST:
            low, high = (low + high - _MOST) // 2, (low + high + _MOST) // 2
        length = min(high - low, n)
        low = min(max(low, 0), n - length)
        parts.append(slice(low, low + length))
    return parts[0], parts[1], parts[2]


def grid_of(viewer: Any) -> Any:
    """The grid in which layers are shown side by side (napari 0.9: of the canvas; before: of the viewer)."""
    return getattr(viewer, "canvas", viewer).grid


def camera_of(viewer: Any) -> Any:
    """The camera (napari 0.9: of the scene; before: of the viewer)."""
    return getattr(viewer, "scene", viewer).camera


def show_scale_bar(viewer: Any) -> None:
    """Show a scale bar, in nanometres where napari has a choice (from 0.9 on it writes kÅ)."""
    bar = (viewer.canvas.overlays if hasattr(viewer, "canvas") else viewer).scale_bar
    if not isinstance(getattr(type(getattr(bar, "__wrapped__", bar)), "unit", None), property):
        bar.unit = "0.1 nm"  # the unit of the scale is angstrom
    bar.visible = True


def draw_as_3dmod(viewer: Any) -> None:
    """The first row at the bottom and the first section at the back, so that x, y and z are right-handed.

    By default napari draws the first row at the top, which shows the mirror image of a volume in 3-D.
    """
    camera_of(viewer).orientation = ("towards", "up", "right")


def side_by_side(viewer: Any, layers: Sequence[Any]) -> None:
    """Show only these layers, in one row in this order, with linked zoom, position and slice."""
    for layer in list(viewer.layers):
        layer.visible = layer in layers
    for layer in layers:  # one after the other to the end of the list
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    grid = grid_of(viewer)
    grid.stride = 1
    grid.shape = (1, -1)  # as many columns as layers; before 0.9 hidden layers take a column too
    grid.enabled = True


def link_samples(viewer: Any, restored: Any, added: Sequence[Any]) -> list[Any]:
    """Link the grey limits of the layer of samples among `added`, if there is one, to those of the restored layer.

    Returns it in a list. The slider is named after its axis; napari 0.6 does not do it.
    """
    samples = [layer for layer in added if SAMPLES in layer.metadata]
    if not samples:
        return []
    viewer.layers.link_layers([restored, *samples], ("contrast_limits", "gamma", "colormap"))
    linked = weakref.WeakSet([restored, *samples])

    def unlink(event: Any) -> None:
        if event.value in linked:  # napari 0.6 keeps linked layers, and so their files, after they are removed
            viewer.layers.unlink_layers([event.value])
            viewer.layers.events.removed.disconnect(unlink)

    viewer.layers.events.removed.connect(unlink)
    if viewer.dims.ndim == samples[0].ndim:
        viewer.dims.axis_labels = (SAMPLE_AXIS, *AXES)
    return samples


def stacked(viewer: Any) -> None:
    """Show layers on top of each other again, at the same position, or completely if they were completely visible."""
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
    """Write the names of layers into their views, where napari can (from 0.7 on)."""
    for layer in layers:
        overlay = getattr(layer, "name_overlay", None)
        if overlay is not None:
            overlay.visible = True
            overlay.font_size = 8  # small enough for long names


def _colour_by_depth(viewer: Any, layers: list[Any], contrast: Protein) -> None:
    """Slices have the greys of the file; in 3-D protein is bright and ice is black."""
    dark = contrast == "dark"
    flat = [tuple(layer.contrast_limits) for layer in layers]
    deep = [percentile_limits(layer.data, _DEPTH if dark else (100 - _DEPTH[1], 100 - _DEPTH[0])) for layer in layers]

    def recolour(*_: Any) -> None:
        inside = viewer.dims.ndisplay == 3
        for layer, limits in zip(layers, deep if inside else flat, strict=True):
            layer.colormap = "gray_r" if inside and dark else "gray"
            layer.contrast_limits = limits

    viewer.dims.events.ndisplay.connect(recolour)
    recolour()
