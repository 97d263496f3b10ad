"""Which layers are versions of one volume, and the pictures that compare them. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae._napari.derived_layers import CUT_FROM, RESTORED_FROM
from cryowae._napari.layers import require_volume, tomogram_of, voxel_size_of
from cryowae.errors import CryowaeError, TiltError, TomogramError
from cryowae.io.mrc import read_mrc
from cryowae.io.neighbours import find_halves, find_versions
from cryowae.progress import Progress

Picture = Literal["spectrum", "slices", "FSC"]


@dataclass(frozen=True)
class ComparedLayers:
    """The layers that are compared; None where there is none.

    Attributes
    ----------
    before, after
        For example a tomogram and its restoration.
    truth
        The ground truth of both.
    """

    before: Any = None
    after: Any = None
    truth: Any = None

    def layers(self) -> list[Any]:
        """The layers that are given, in this order, each once."""
        return list(dict.fromkeys(one for one in (self.before, self.after, self.truth) if one is not None))

    def require_two(self) -> ComparedLayers:
        """The same; raises `CryowaeError` unless there are a layer before and another one after."""
        if self.before is None or self.after is None or self.before is self.after:
            raise CryowaeError("there is nothing to compare: choose two layers, before and after")
        return self

    def tilt_range(self) -> tuple[float, float] | None:
        """The tilt range of one of the layers; the layer that was restored or cut has priority."""
        opened = [one for one in map(tomogram_of, (self.after, self.before)) if one is not None]
        return next(((one.wedge.tilt_min, one.wedge.tilt_max) for one in opened if one.wedge is not None), None)

    def volumes(self) -> dict[str, NDArray[Any]]:
        """The arrays by their roles; raises `CryowaeError` unless they are at least two, of one shape."""
        self.require_two()
        roles = {role: layer for role, layer in vars(self).items() if layer is not None}
        volumes = {role: require_volume(layer.data, layer.name) for role, layer in roles.items()}
        shapes = {role: " x ".join(map(str, volume.shape)) for role, volume in volumes.items()}
        if len(set(shapes.values())) > 1:
            text = ", ".join(f"{role} {shape}" for role, shape in shapes.items())
            raise TomogramError(f"the layers have different shapes ({text}); expected versions of one volume")
        return volumes


def guess_compared(layers: Sequence[Any]) -> ComparedLayers:
    """Which layer was restored or cut from which, by metadata and by the names of files; the newest first."""
    by_name = {layer.name: layer for layer in layers}
    by_path: dict[Any, Any] = {found.path: layer for layer in layers if (found := tomogram_of(layer)) is not None}
    for layer in reversed(layers):
        source = by_name.get(layer.metadata.get(RESTORED_FROM))
        if source is not None and source.data.shape == layer.data.shape:  # not the preview of a region
            return ComparedLayers(source, layer, _truth_of(source, by_name, by_path))
    for path, layer in reversed(by_path.items()):
        named = find_versions(path)
        before, after = by_path.get(named.tomogram), by_path.get(named.restored)
        if before is not None and after is not None:
            return ComparedLayers(before, after, by_path.get(named.truth))
        if (whole := by_name.get(layer.metadata.get(CUT_FROM))) is not None:
            return ComparedLayers(whole, layer)
    first = layers[0] if layers else None
    return ComparedLayers(first, layers[1] if len(layers) > 1 else first)


def draw(
    compared: ComparedLayers,
    picture: Picture,
    progress: Progress,
    *,
    point: tuple[float, ...],
    tilts: tuple[float, float] | None,
    width: int = 440,
    upward: bool = False,
) -> NDArray[np.uint8]:
    """A picture that compares layers, as `(rows, columns, 4)` values from 0 to 255.

    Parameters
    ----------
    compared
        The layers.
    picture
        Kind of the picture.
    progress
        Not used.
    point
        Position of the viewer, in its world coordinates.
    tilts
        Lowest and highest, degrees.
    width
        Available pixels for the picture.
    upward
        Whether the viewer draws the first row at the bottom.

    Raises
    ------
    CryowaeError
        If the layers cannot be compared, or data that the picture needs are missing.
    """
    from cryowae.report.correlations import halves_panel, truth_curves, truth_panel
    from cryowae.report.slices import slices_panel
    from cryowae.report.spectra import compare_spectra, spectra_panel
    from cryowae.report.style import DPI, as_array

    volumes, before = compared.volumes(), compared.before
    place = before.world_to_data(point)[-3:]
    z, y, x = (min(max(round(float(p)), 0), n - 1) for p, n in zip(place, before.data.shape, strict=True))
    inches = max(width, 380) / DPI * 1.28  # letters of 9 points are large enough at 100 pixels an inch
    options: dict[str, Any] = {"voxel_size": voxel_size_of(before.scale, before.units), "width": inches}
    if picture == "slices":
        figure = slices_panel(volumes, (z, y, x), upward=upward, **options)
    elif picture == "spectrum":
        tilts = require_known(tilts)
        comparison = compare_spectra(volumes["before"], volumes["after"], *tilts, centre=(z, y, x))
        figure = spectra_panel(comparison, width=inches)
    elif compared.truth is not None:
        truth = volumes.pop("truth")
        figure = truth_panel(truth_curves(volumes, truth, require_known(tilts)), **options)
    else:
        figure = halves_panel(*_halves(compared), **options)
    figure.set_dpi(100)
    return as_array(figure)


def share_greys(compared: ComparedLayers) -> None:
    """Give all layers the same grey limits, that show the noise of the input and the detail of the result."""
    from cryowae.report.slices import central_slices, comparison_greys

    volumes = compared.volumes()
    limits, _ = comparison_greys(central_slices(volumes["before"]), central_slices(volumes["after"]))
    for layer in compared.layers():
        layer.contrast_limits = limits


def require_known(tilts: tuple[float, float] | None) -> tuple[float, float]:
    """The tilt range; raises `TiltError` if it is None."""
    if tilts is None:
        raise TiltError("no tilt range is known: give one above, for example -60 60")
    return tilts


def _halves(compared: ComparedLayers) -> tuple[NDArray[Any], NDArray[Any]]:
    for layer in (compared.before, compared.after):
        opened = tomogram_of(layer)
        pair = None if opened is None else find_halves(opened.path)
        if opened is not None and pair is not None:
            first, second = (read_mrc(path, voxel_size=opened.voxel_size).data for path in (pair.half1, pair.half2))
            return first, second
    raise TomogramError(
        "there is neither a ground truth nor a pair of halves beside the file (such as NAME_EVN.mrc and NAME_ODD.mrc); "
        "a correlation with the output of the same network would be no evidence"
    )


def _truth_of(layer: Any, by_name: dict[str, Any], by_path: dict[Any, Any]) -> Any:
    if (whole := by_name.get(layer.metadata.get(CUT_FROM))) is not None:
        return whole
    opened = tomogram_of(layer)
    return None if opened is None else by_path.get(find_versions(opened.path).truth)
