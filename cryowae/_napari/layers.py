"""Tomograms as napari layers, and what a layer says of itself: pure functions, without Qt and without a viewer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError, TomogramError
from cryowae.io.header import MrcHeader
from cryowae.io.mrc import stem_of
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.statistics import require_finite, sample_rows

LayerData = tuple[Any, dict[str, Any], str]

TOMOGRAM = "cryowae"
"""Key of the opened tomogram in a layer's metadata."""

AXES = ("z", "y", "x")

_SAMPLE = 500_000  # voxels that the grey limits are taken from
_GREYS = (1.0, 99.0)  # percentiles


def layer_data(tomogram: Tomogram, name: str = "") -> LayerData:
    """What napari needs to show a tomogram; nothing but a sample of the file is read.

    Returns
    -------
    layer
        The mapped array; scale and units in angstrom, labels of the axes, grey limits and the metadata: the tomogram
        itself, by which a widget or the writer knows its file and header, and the header as plain words. In 3-D the
        darkest voxel along a ray is shown, since protein is dark.
    """
    options = {
        "name": name or stem_of(tomogram.path),
        "scale": (tomogram.voxel_size,) * 3,
        "units": ("angstrom",) * 3,
        "axis_labels": AXES,
        "contrast_limits": grey_limits(tomogram.data),
        "colormap": "gray",
        "rendering": "minip",
        "metadata": {TOMOGRAM: tomogram, "header": describe_header(tomogram.header)},
    }
    return tomogram.data, options, "image"


def grey_limits(volume: NDArray[Any], percentiles: tuple[float, float] = _GREYS) -> tuple[float, float]:
    """Percentiles of whole rows that are spread evenly over a volume, `(z, y, x)`; what is not finite is left out."""
    sample = np.asarray(sample_rows(volume, _SAMPLE), np.float32)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, percentiles) if sample.size else (0.0, 0.0)
    return (float(low), float(high)) if high > low else (float(low) - 1.0, float(low) + 1.0)


def describe_header(header: MrcHeader) -> dict[str, Any]:
    """What a person may want to know of a header, in plain types."""
    return {
        "mode": header.mode,
        "shape": header.shape,
        "cell": tuple(float(header.record["cella"][axis]) for axis in "xyz"),
        "origin": header.origin,
        "nstart": header.nstart,
        "labels": header.labels,
        "extended": len(header.extended),
    }


def open_for_viewing(path: str | Path, **options: Any) -> Tomogram:
    """Open a volume that is to be looked at: what only a restoration must know may be missing.

    Parameters
    ----------
    path
        As in `open_tomogram`.
    options
        Of `open_tomogram`. Unknown tilts are no error; a damaged file of tilts that was found by name, and a header
        without a voxel size, become notes.

    Raises
    ------
    TomogramError
        If the file is no volume.
    """
    try:
        return open_tomogram(path, need_wedge=False, **options)
    except TiltError as error:
        if options.get("tilts") or options.get("tilt_range"):
            raise
        opened = open_tomogram(path, **{**options, "tilt_range": (-60, 60)})  # no more than this keeps it from looking
        notes = (*opened.notes, str(error))
        return replace(opened, wedge=None, tilts=None, tilt_source="no tilt angles known", notes=notes)
    except TomogramError as error:
        if options.get("voxel_size") or "voxel" not in str(error):
            raise
        opened = open_tomogram(path, need_wedge=False, **{**options, "voxel_size": 1.0})
        return replace(opened, notes=(*opened.notes, f"{error}; it is shown as if it were 1 Å"))


def volumes_of(viewer: Any) -> list[Any]:
    """The layers of a viewer that may be volumes: images of three axes, none of them colours."""
    from napari.layers import Image

    return [layer for layer in viewer.layers if isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb]


def look_of(layer: Any) -> dict[str, Any]:
    """The look of a layer, for another one of the same values."""
    return {
        "contrast_limits": tuple(layer.contrast_limits),
        "colormap": layer.colormap.name,
        "gamma": layer.gamma,
        "rendering": str(layer.rendering),
    }


def place_of(layer: Any, start: tuple[int, ...] = (0, 0, 0)) -> dict[str, Any]:
    """The place of a layer, in its own units, for another one on its grid that begins at the voxel `start`."""
    moved = np.subtract(layer.data_to_world(start), layer.data_to_world((0, 0, 0)))
    return {
        "scale": layer.scale,
        "units": layer.units,
        "translate": layer.translate + np.linalg.solve(layer.affine.linear_matrix, moved),
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
    }


def tomogram_of(metadata: dict[str, Any]) -> Tomogram | None:
    """The opened tomogram that a layer's metadata hold, if they do."""
    found = metadata.get(TOMOGRAM)
    return found if isinstance(found, Tomogram) else None


def voxel_size_of(scale: Any, units: Any = None) -> float:
    """Angstrom a voxel, of a layer's scale and units; a scale without units of length counts as angstrom.

    Raises
    ------
    TomogramError
        If the voxels are no cubes.
    """
    sizes = [float(value) for value in scale]
    if units is not None:
        sizes = [size * _angstrom(unit) for size, unit in zip(sizes, units, strict=True)]
    if len(sizes) != 3 or min(sizes) <= 0 or max(sizes) > 1.01 * min(sizes):
        raise TomogramError(
            f"the layer has voxels of {' x '.join(f'{size:g}' for size in sizes)} Å; expected three equal edges: "
            "set its scale"
        )
    return float(f"{sum(sizes) / 3:.6g}")


def require_volume(data: Any, name: str) -> NDArray[Any]:
    """A layer's data as an array `(z, y, x)`; raises `TomogramError` if they are something else."""
    if hasattr(data, "shapes"):  # as an array, it would be the coarsest level
        raise TomogramError(
            f"the layer {name!r} is a pyramid; expected one volume: add its finest level as a layer of its own"
        )
    if getattr(data, "ndim", 0) != 3 or not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        shape = " x ".join(map(str, getattr(data, "shape", ())))
        raise TomogramError(f"the layer {name!r} holds {shape} values; expected a volume of real numbers, (z, y, x)")
    return data if isinstance(data, np.ndarray) else np.asarray(data)


def require_finite_volume(data: Any, name: str) -> NDArray[Any]:
    """The same, of which every value is read; raises `TomogramError` if one is NaN or infinite."""
    volume = require_volume(data, name)
    for section in volume if volume.dtype.kind == "f" else ():
        require_finite(section, f"the layer {name!r}")
    return volume


def _angstrom(unit: Any) -> float:
    """Length of a unit, which is a name or what pint makes of it; 1 if it is none of length."""
    from pint import Unit
    from pint.errors import PintError

    try:
        return float((1 * Unit(unit)).to("angstrom").magnitude)
    except (PintError, TypeError):
        return 1.0
