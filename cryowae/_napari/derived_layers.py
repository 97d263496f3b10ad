"""Layers made from other layers: restored, a preview, the inferred part, a wedge cut out. No Qt here.

Whole volumes are written to a temporary file and mapped, since they may be larger than the memory. The file is deleted
with its layer, or when Python ends.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cryowae._napari.layers import AXES, LayerData, layer_data, open_for_viewing, tomogram_from, tomogram_of
from cryowae._napari.uncertainty_layers import uncertainty_layers
from cryowae.config.options import ItemOptions, RestoreOptions
from cryowae.errors import TomogramError
from cryowae.io.mrc import stem_of
from cryowae.progress import Progress
from cryowae.restore.tomograms import RestoreResult
from cryowae.tomogram import Item, Tomogram
from cryowae.tomogram.opening import with_tilts
from cryowae.tomogram.volumes import Region

RESTORED_FROM = "restored_from"
"""Key of the input's name in the metadata of a restored layer."""

CUT_FROM = "cut_from"
"""Key of the original's name in the metadata of a layer from which a wedge was removed."""


def restore_layer(
    layer: Any, make_item: Callable[[], Item], options: RestoreOptions, model: str | Path, progress: Progress
) -> tuple[list[LayerData], RestoreResult]:
    """Restore a whole layer. The result has the look of its input and is mapped from the file that was written.

    With two or more samples, the layers of `uncertainty_layers` follow. After a cancel, the samples that are complete
    stay in their temporary folder: the next restoration of the layer with the same options goes on with them.

    Parameters
    ----------
    layer
        The tomogram, or its first half.
    make_item
        Creates the `Item` of this layer, see `item_from`; called here, since it may read the whole layer. Without an
        output, the result is a temporary file without a picture.
    options, model, progress
        As in `restore_tomogram`.
    """
    from cryowae.restore import restore_tomogram

    item = make_item()
    options = replace(options, report=item.output is not None, write_samples=options.samples > 1)
    folder = _unfinished.pop(layer, None) or temporary_folder()
    item = replace(item, output=item.output or folder / item.target.name)
    try:
        result = restore_tomogram(item, model=model, options=options, progress=progress)
    except BaseException:
        if not item.target.exists() and any(folder.iterdir()):
            _unfinished[layer] = folder
            weakref.finalize(layer, _delete_hidden, folder)
        raise
    restored = _mapped(result.path, item.tomogram)
    inverted = result.contrast == "bright" and layer.rendering == "minip"  # the default, for dark protein
    changes = {"rendering": "mip"} if inverted else {}
    made = _layer_like(layer, restored, f"{layer.name} restored", RESTORED_FROM, **changes)
    return [made, *(uncertainty_layers(made, visible=True) if options.samples > 1 else [])], result


def preview_layer(
    layer: Any,
    make_item: Callable[[], Item],
    options: RestoreOptions,
    model: str | Path,
    region: Region,
    progress: Progress,
) -> LayerData:
    """Restore a region of a layer, shown at its place in the layer; one pass of the network, to save time."""
    from cryowae.restore import restore_region

    options = replace(options, fast=True)
    restored = restore_region(make_item(), region, model=model, options=options, progress=progress)
    look = look_of(layer, tuple(part.start for part in region))
    own = {"name": preview_name(layer.name), "axis_labels": AXES, "metadata": {RESTORED_FROM: layer.name}}
    return restored, {**look, **own}, "image"


def preview_name(name: str) -> str:
    """Name of the preview of a layer."""
    return f"{name} preview"


def inferred_layer(layer: Any, tilts: tuple[float, float], progress: Progress) -> LayerData:
    """A restored layer without its measured components, with grey limits of the same width about 0."""
    from cryowae.restore import write_inferred

    restored = with_tilts(tomogram_from(layer), tilt_range=tilts)
    path = write_inferred(restored, temporary_folder() / "inferred.mrc", progress=progress)
    limits = tuple(np.subtract(layer.contrast_limits, np.mean(layer.contrast_limits)).tolist())
    return _layer_like(layer, _mapped(path, restored), f"inferred only: {layer.name}", contrast_limits=limits)


def cut_layer(layer: Any, tilts: tuple[float, float], soft: bool, noise: float | None, progress: Progress) -> LayerData:
    """Cut a wedge out of a layer. The result has the look of the layer and stores its tilt range."""
    from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of

    whole = with_tilts(tomogram_from(layer), tilt_range=tilts)
    output = temporary_folder() / f"{stem_of(whole.path)}_wedge.mrc"
    simulate_wedge(whole, output, wedge=wedge_of(whole, soft=soft), noise=noise, progress=progress)
    cut = _mapped(output, replace(whole, tilt_source="as it was cut"))
    changes = {"contrast_limits": layer_data(cut)[1]["contrast_limits"]} if noise else {}
    return _layer_like(layer, cut, f"{layer.name}, {tilts[0]:+g} to {tilts[1]:+g}°", CUT_FROM, **changes)


def item_from(layer: Any, other: Any = None, given: ItemOptions | None = None, output: Path | None = None) -> Item:
    """The `Item` of a layer with its tilts, its contrast and its other half.

    Parameters
    ----------
    layer
        The tomogram, or its first half.
    other
        The layer of the other half: the mean of both is restored.
    given
        Tilts and contrast from the fields of a widget. Without a tilt file or a tilt range: the tilts of the layer,
        or those beside its file.
    output
        The file to write.

    Raises
    ------
    TomogramError
        If a layer is not one volume of cubic voxels and finite values, or the halves differ in the order of their axes.
    TiltError
        If the tilts cannot be used.
    """
    given = given or ItemOptions()
    halves: dict[str, Any] = {}
    tomogram = tomogram_from(layer)
    if other is not None:
        second = tomogram_from(other)
        if second.axes != tomogram.axes:
            raise TomogramError(
                f"the halves have their axes in different orders ({tomogram.axes} and {second.axes}); expected one "
                "order: open both again with the same axes"
            )
        halves = {"open_halves": (tomogram.data, second.data), "half1": tomogram.path, "half2": second.path}
    has_file = tomogram_of(layer) is not None
    if given.tilts or given.tilt_range or (tomogram.wedge is None and has_file):
        tomogram = with_tilts(tomogram, tilts=given.tilts, tilt_range=given.tilt_range)
    if given.flip_tilt:
        tomogram = tomogram.negated()
    return Item(tomogram, output, contrast=given.contrast, flip_tilt=given.flip_tilt, force=given.force, **halves)


def look_of(layer: Any, start: tuple[int, ...] = (0, 0, 0)) -> dict[str, Any]:
    """Look and position of a layer, in its own units, for a layer on its grid that begins at the voxel `start`."""
    look = {name: getattr(layer, name) for name in ("contrast_limits", "colormap", "gamma", "rendering")}
    place = {name: getattr(layer, name) for name in ("scale", "units", "rotate", "shear", "affine")}
    moved = np.subtract(layer.data_to_world(start), layer.data_to_world((0, 0, 0)))
    return {**look, **place, "translate": layer.translate + np.linalg.solve(layer.affine.linear_matrix, moved)}


def sample_scene() -> list[LayerData]:
    """The scene of `cryowae demo`: the ground truth, the noisy tomogram with its wedge, and the restored tomogram."""
    from cryowae.demo import run_demo

    done = run_demo(temporary_folder())
    paths = {"truth": done.truth, "tomogram": done.tomogram, "restored": done.restored}
    return [layer_data(open_for_viewing(path), name) for name, path in paths.items()]


def temporary_folder() -> Path:
    """A new folder for temporary files, in `TMPDIR`; it is deleted when Python ends."""
    folder = Path(_root().name) / secrets.token_hex(4)
    folder.mkdir()
    return folder


def is_temporary(path: Path) -> bool:
    """Whether a file is deleted when Python ends."""
    return path.is_relative_to(_root().name)


def delete_with(owner: Any, *paths: Path) -> None:
    """Delete temporary files when `owner` is no longer in use, and their folder with the last file that has an owner.

    Other files are not changed.
    """
    for path in filter(is_temporary, paths):
        _owned.setdefault(path.parent, set()).add(path)
        weakref.finalize(owner, _delete, path)


_unfinished: weakref.WeakKeyDictionary[Any, Path] = weakref.WeakKeyDictionary()
"""The folders of restorations of layers that were cancelled, with the samples that are complete."""


_owned: dict[Path, set[Path]] = {}
"""The files of a folder that are shown by layers."""


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    left = _owned.get(path.parent, set())
    left.discard(path)
    if not left:
        _owned.pop(path.parent, None)
        shutil.rmtree(path.parent, ignore_errors=True)


def _delete_hidden(folder: Path) -> None:
    for path in folder.glob(".*"):
        shutil.rmtree(path, ignore_errors=True)


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cryowae-", ignore_cleanup_errors=True)


def _mapped(path: Path, source: Tomogram) -> Tomogram:
    """An output file, opened with the voxel size, the axes and the tilts of its source."""
    opened = open_for_viewing(path, voxel_size=source.voxel_size, axes=source.axes)
    return replace(opened, wedge=source.wedge, tilts=source.tilts, tilt_source=source.tilt_source)


def _layer_like(layer: Any, tomogram: Tomogram, name: str, origin: str = "", **changes: Any) -> LayerData:
    """A tomogram at the position of a layer, with its look, except `changes`; `origin`: key of the layer's name."""
    data, look, kind = layer_data(tomogram, name)
    if origin:
        look["metadata"][origin] = layer.name
    return data, {**look, **look_of(layer), **changes}, kind
