"""Which layers are versions of one volume, and the pictures that compare them. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae._napari.layers import (
    LayerData,
    layer_data,
    open_for_viewing,
    place_of,
    require_volume,
    tomogram_of,
    voxel_size_of,
)
from cryowae._napari.restoring import CUT_FROM, RESTORED_FROM
from cryowae._napari.scratch import scratch_folder
from cryowae._napari.sources import source_of
from cryowae.errors import CryowaeError, TiltError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc
from cryowae.io.neighbours import find_halves, find_versions
from cryowae.progress import Progress

Picture = Literal["spectrum", "slices", "FSC"]


@dataclass(frozen=True)
class Versions:
    """The layers that are compared; None where there is none.

    Attributes
    ----------
    before, after
        Such as a tomogram and its restoration.
    truth
        What both ought to be.
    """

    before: Any = None
    after: Any = None
    truth: Any = None

    def layers(self) -> list[Any]:
        """Those that there are, in this order, each once."""
        found: list[Any] = []
        for layer in (self.before, self.after, self.truth):
            if layer is not None and layer not in found:
                found.append(layer)
        return found


def guess_versions(layers: Sequence[Any]) -> Versions:
    """What was restored or cut from what, by the layers' metadata and by the names of their files; newest first."""
    by_name = {layer.name: layer for layer in layers}
    opened = [(tomogram_of(layer.metadata), layer) for layer in layers]
    by_path: dict[Any, Any] = {found.path: layer for found, layer in opened if found is not None}
    for layer in reversed(layers):
        source = by_name.get(layer.metadata.get(RESTORED_FROM))
        if source is not None and source.data.shape == layer.data.shape:  # not a preview of a part
            return Versions(source, layer, _truth_of(source, by_name, by_path))
    for path, layer in reversed(by_path.items()):
        named = find_versions(path)
        before, after = by_path.get(named.tomogram), by_path.get(named.restored)
        if before is not None and after is not None:
            return Versions(before, after, by_path.get(named.truth))
        if (whole := by_name.get(layer.metadata.get(CUT_FROM))) is not None:
            return Versions(whole, layer, None)
    first = layers[0] if layers else None
    return Versions(first, layers[1] if len(layers) > 1 else first, None)


def tilts_of(versions: Versions) -> tuple[float, float] | None:
    """The tilt range that one of the layers knows, first of all the one that was restored or cut."""
    for layer in (versions.after, versions.before):
        opened = None if layer is None else tomogram_of(layer.metadata)
        if opened is not None and opened.wedge is not None:
            return opened.wedge.tilt_min, opened.wedge.tilt_max
    return None


@dataclass(frozen=True)
class Look:
    """What is looked at.

    Attributes
    ----------
    versions
        The layers.
    picture
        Of them.
    centre
        `(z, y, x)` voxel where the viewer is.
    tilts
        Lowest and highest, degrees.
    width
        Pixels that there are.
    upward
        Whether the viewer draws the first row at the bottom.
    """

    versions: Versions
    picture: Picture
    centre: tuple[int, int, int]
    tilts: tuple[float, float] | None
    width: int = 440
    upward: bool = False


def draw(look: Look, _progress: Progress) -> NDArray[np.uint8]:
    """The picture as `(rows, columns, 4)` values from 0 to 255.

    Raises
    ------
    CryowaeError
        If the layers cannot be compared, or what the picture needs is not there.
    """
    from cryowae.report import compare_spectra
    from cryowae.report import window_panels as panels
    from cryowae.report.style import DPI, as_array

    volumes = _volumes(look.versions)
    size = voxel_size_of(look.versions.before.scale, look.versions.before.units)
    inches = max(look.width, 380) / DPI * 1.28  # letters of 9 points are large enough at 100 pixels an inch
    options: dict[str, Any] = {"width": inches}
    if look.picture == "slices":
        figure = panels.slices_panel(volumes, look.centre, voxel_size=size, upward=look.upward, **options)
    elif look.picture == "spectrum":
        tilts = _tilts(look)
        comparison = compare_spectra(volumes["before"], volumes["after"], *tilts, centre=look.centre)
        figure = panels.spectra_panel(comparison, **options)
    elif look.versions.truth is not None:
        truth = volumes.pop("truth")
        figure = panels.truth_panel(panels.truth_curves(volumes, truth, _tilts(look)), voxel_size=size, **options)
    else:
        figure = panels.halves_panel(*_halves(look.versions), voxel_size=size, **options)
    figure.set_dpi(100)
    return as_array(figure)


def inferred_layer(versions: Versions, tilts: tuple[float, float], progress: Progress) -> LayerData:
    """The restored volume without its measured components, on the greys of the restored one."""
    from cryowae.restore import write_inferred
    from cryowae.tomogram import open_tomogram

    layer = versions.after
    source = source_of(layer)
    opened = open_tomogram(
        source.path, tilt_range=tilts, voxel_size=source.voxel_size, axes=source.axes, need_wedge=False
    )
    path = write_inferred(opened, scratch_folder() / "inferred.mrc", progress=progress)
    shown = replace(open_for_viewing(path, voxel_size=source.voxel_size, axes=source.axes), wedge=Wedge.binary(*tilts))
    data, look, kind = layer_data(shown, f"inferred only: {layer.name}")
    middle = float(np.mean(layer.contrast_limits))
    limits = tuple(float(value) - middle for value in layer.contrast_limits)
    return data, {**look, **place_of(layer), "contrast_limits": limits, "colormap": layer.colormap.name}, kind


def shared_greys(versions: Versions) -> tuple[float, float]:
    """Grey limits in which both the noise of the input and the detail of its restoration are seen."""
    from cryowae.report.slices import central_slices, comparison_greys

    volumes = _volumes(versions)
    limits = comparison_greys(central_slices(volumes["before"]), central_slices(volumes["after"]))
    return limits.low, limits.high


def _volumes(versions: Versions) -> dict[str, NDArray[Any]]:
    """The arrays by the names that pictures give them: those of layers are long and differ at their ends."""
    roles = {"before": versions.before, "after": versions.after, "truth": versions.truth}
    if versions.before is None or versions.after is None or versions.before is versions.after:
        raise CryowaeError("there is nothing to compare: choose two layers, before and after")
    volumes = {role: require_volume(layer.data, layer.name) for role, layer in roles.items() if layer is not None}
    shapes = {role: " x ".join(map(str, volume.shape)) for role, volume in volumes.items()}
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{role} {shape}" for role, shape in shapes.items())
        raise TomogramError(f"the layers have different shapes ({text}); expected versions of one volume")
    return volumes


def _tilts(look: Look) -> tuple[float, float]:
    if look.tilts is None:
        raise TiltError("no tilt range is known: give one above, for example -60 60")
    return look.tilts


def _halves(versions: Versions) -> tuple[NDArray[Any], NDArray[Any]]:
    for layer in (versions.before, versions.after):
        opened = tomogram_of(layer.metadata)
        pair = None if opened is None else find_halves(opened.path)
        if opened is not None and pair is not None:
            first, second = (read_mrc(path, voxel_size=opened.voxel_size).data for path in (pair.half1, pair.half2))
            return first, second
    raise TomogramError(
        "there is neither a ground truth nor a pair of halves beside the file (such as NAME_EVN.mrc and NAME_ODD.mrc); "
        "a correlation with what one network made would be no evidence"
    )


def _truth_of(layer: Any, by_name: dict[str, Any], by_path: dict[Any, Any]) -> Any:
    if (whole := by_name.get(layer.metadata.get(CUT_FROM))) is not None:
        return whole
    opened = tomogram_of(layer.metadata)
    return None if opened is None else by_path.get(find_versions(opened.path).truth)
