"""What `cryowae view` does: files into a viewer, side by side where they are of one specimen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from cryowae._napari.comparing import guess_versions, shared_greys
from cryowae._napari.figure_canvas import draw_as_3dmod, name_layers, show_scale_bar, side_by_side
from cryowae._napari.layers import grey_limits, layer_data, open_for_viewing
from cryowae.errors import ConfigError, CryowaeError
from cryowae.io.neighbours import find_versions

Show = Literal["slices", "volume", "plane"]
Contrast = Literal["dark", "bright"]

_DEPTH = (0.02, 5.0)  # percentiles between which a volume of dark protein goes from bright to black


def show_files(
    viewer: Any,
    files: Sequence[str | Path],
    *,
    show: Show = "slices",
    contrast: Contrast = "dark",
    **opening: Any,
) -> list[str]:
    """Open files in a viewer, and what belongs to a single one: its restoration or its input, and its truth.

    Parameters
    ----------
    viewer
        napari's `Viewer`, or its model alone.
    files
        MRC volumes.
    show
        `slices`, or 3-D: `volume` shows the densest voxel along each ray, `plane` a plane that can be dragged.
    contrast
        What protein is in the files: in 3-D dark protein is drawn bright, since the canvas is black.
    opening
        Options of `open_tomogram`.

    Returns
    -------
    notes
        What the user should know, one line each.

    Raises
    ------
    CryowaeError
        If a file cannot be opened.
    """
    for got, known in ((show, get_args(Show)), (contrast, get_args(Contrast))):
        if got not in known:
            raise ConfigError(f"got {got!r}, expected one of: {', '.join(known)}")
    paths = [Path(name) for name in files]
    asked = len(paths)
    if asked == 1:
        related = find_versions(paths[0]).paths()
        paths = list(related) if paths[0] in related else paths
    notes: list[str] = []
    layers = []
    for path in paths:
        try:
            tomogram = open_for_viewing(path, **opening)
        except CryowaeError:
            if asked > 1 or path == Path(files[0]):
                raise
            continue  # what was not asked for is no error
        notes += [note for note in tomogram.notes if note not in notes]
        data, options, _ = layer_data(tomogram)
        depiction = "plane" if show == "plane" else "volume"
        rendering = "minip" if contrast == "dark" else "mip"
        layers.append(viewer.add_image(data, **{**options, "rendering": rendering, "depiction": depiction}))
    if len(layers) > 1 and len({layer.data.shape for layer in layers}) == 1:
        side_by_side(viewer, layers)
        name_layers(layers)
        if len(paths) > asked:
            _share_greys(layers)
    for layer in layers:
        layer.plane.position = tuple(n // 2 for n in layer.data.shape)
    show_scale_bar(viewer)
    draw_as_3dmod(viewer)
    _colour_by_depth(viewer, layers, contrast, show)
    viewer.dims.ndisplay = 2 if show == "slices" else 3
    return notes


def _share_greys(layers: list[Any]) -> None:
    """The same limits before and after, where names tell that they are of one tomogram."""
    versions = guess_versions(layers)
    if versions.before is not versions.after:
        limits = shared_greys(versions)
        for layer in layers:
            layer.contrast_limits = limits


def _colour_by_depth(viewer: Any, layers: list[Any], contrast: Contrast, show: Show) -> None:
    """Slices have the greys of the file; in a volume protein is bright and ice, through which one looks, is black."""
    if show == "plane":
        return
    flat = [tuple(layer.contrast_limits) for layer in layers]
    deep = [
        grey_limits(layer.data, _DEPTH if contrast == "dark" else (100 - _DEPTH[1], 100 - _DEPTH[0]))
        for layer in layers
    ]

    def recolour() -> None:
        inside = viewer.dims.ndisplay == 3
        for layer, limits in zip(layers, deep if inside else flat, strict=True):
            layer.colormap = "gray_r" if inside and contrast == "dark" else "gray"
            layer.contrast_limits = limits

    viewer.dims.events.ndisplay.connect(lambda _event: recolour())
    recolour()
