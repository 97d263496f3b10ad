"""Files as napari layers, layers as tomograms and as files: functions without Qt and without a viewer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryowae.errors import TiltError, TomogramError
from cryowae.io.header import MrcHeader
from cryowae.io.mrc import require_name, stem_of, write_mrc
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.statistics import require_finite, sample_rows

LayerData = tuple[Any, dict[str, Any], str]

TOMOGRAM = "cryowae"
"""Key of the opened tomogram in a layer's metadata."""

UNCERTAINTY_OF = "uncertainty_of"
"""Key of a restored volume in the metadata of layers of its samples, their standard deviation and its mask."""

AXES = ("z", "y", "x")

_SAMPLE = 500_000  # voxels from which the grey limits are calculated
_GREYS = (1.0, 99.0)  # percentiles


def layer_data(tomogram: Tomogram, name: str = "") -> LayerData:
    """The data of a napari layer for a tomogram; only a sample of the file is read.

    Returns
    -------
    layer
        The mapped array; scale and units in angstrom, labels of the axes, grey limits, and the metadata: the tomogram
        itself, from which widgets and the writer take file and header, and the header in plain types. In 3-D the
        darkest voxel along a ray is shown, since protein is dark.
    """
    options = {
        "name": name or stem_of(tomogram.path),
        "scale": (tomogram.voxel_size,) * 3,
        "units": ("angstrom",) * 3,
        "axis_labels": AXES,
        "contrast_limits": percentile_limits(tomogram.data),
        "colormap": "gray",
        "rendering": "minip",
        "metadata": {TOMOGRAM: tomogram, "header": describe_header(tomogram.header)},
    }
    return tomogram.data, options, "image"


def percentile_limits(volume: NDArray[Any], percentiles: tuple[float, float] = _GREYS) -> tuple[float, float]:
    """Grey limits: percentiles of the finite values in rows that are spread evenly over a volume, `(z, y, x)`."""
    sample = np.asarray(sample_rows(volume, _SAMPLE), np.float32)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, percentiles) if sample.size else (0.0, 0.0)
    return (float(low), float(high)) if high > low else (float(low) - 1.0, float(low) + 1.0)


def describe_header(header: MrcHeader) -> dict[str, Any]:
    """The header fields for users, in plain types."""
    fields = {name: getattr(header, name) for name in ("mode", "shape", "origin", "nstart", "labels")}
    return {**fields, "cell": header.record["cella"].item(), "extended": len(header.extended)}


def open_for_viewing(path: str | Path, **options: Any) -> Tomogram:
    """Open a volume for display: tilts and voxel size, which a restoration needs, may be missing.

    Parameters
    ----------
    path
        As in `open_tomogram`.
    options
        Options of `open_tomogram`. Unknown tilts are no error. A damaged tilt file that was found by its name, or a
        header without a voxel size, becomes a note.

    Raises
    ------
    TomogramError
        If the file is not a volume.
    """
    try:
        return open_tomogram(path, need_wedge=False, **options)
    except TiltError as error:
        if options.get("tilts") or options.get("tilt_range"):
            raise
        opened = open_tomogram(path, **{**options, "tilt_range": (-60, 60)})  # so that no tilt file is searched for
        notes = (*opened.notes, str(error))
        return replace(opened, wedge=None, tilts=None, tilt_source="no tilt angles known", notes=notes)
    except TomogramError as error:
        if options.get("voxel_size") or "voxel" not in str(error):
            raise
        opened = open_tomogram(path, need_wedge=False, **{**options, "voxel_size": 1.0})
        return replace(opened, notes=(*opened.notes, f"{error}; it is shown as if it were 1 Å"))


def write_volume(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer as an MRC volume: its values, its scale as the voxel size, and the header of its file.

    Half precision is kept (mode 12); every other type becomes float32 (mode 2). An existing file is overwritten, since
    napari has asked the user, but only when the new file is complete.

    Raises
    ------
    TomogramError
        If the layer is not one volume of cubic voxels and finite values.
    OutputError
        If the file cannot be written.
    """
    require_name(Path(path))
    volume = require_finite_volume(data, str(meta.get("name", "")))
    opened = (meta.get("metadata") or {}).get(TOMOGRAM)
    like, axes = (None, "zyx") if opened is None else (opened.header, opened.axes)
    size, half = voxel_size_of(meta.get("scale", (1.0, 1.0, 1.0)), meta.get("units")), volume.dtype.type is np.float16
    write_mrc(
        path, volume, voxel_size=size, like=like, axes=axes, float16=half, overwrite=True, label="saved by napari"
    )
    return [path]


def volumes_of(viewer: Any) -> list[Any]:
    """The layers of a viewer that may be tomograms: images of three axes, no colours and no standard deviations."""
    from napari.layers import Image

    images = [layer for layer in viewer.layers if isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb]
    return [layer for layer in images if UNCERTAINTY_OF not in layer.metadata]


def tomogram_from(layer: Any) -> Tomogram:
    """The tomogram of a layer: its present values and voxel size, with the header of its file.

    The array is that of the layer, not a copy. A file that the layer shows unchanged is not read.

    Raises
    ------
    TomogramError
        If the layer is not one volume of cubic voxels and finite values.
    """
    size, opened = voxel_size_of(layer.scale, layer.units), tomogram_of(layer)
    shown = opened is not None and opened.data is layer.data
    data = layer.data if shown else require_finite_volume(layer.data, layer.name)
    if opened is not None:
        return replace(opened, data=data, voxel_size=size, notes=())
    name = re.sub(r"[^\w-]+", "_", layer.name) or "layer"
    return Tomogram(data, size, MrcHeader(np.zeros((), HEADER_DTYPE), b"", "<"), Path(name), None)


def tomogram_of(layer: Any) -> Tomogram | None:
    """The opened tomogram that a layer shows, if there is one; a layer of None has none."""
    found = getattr(layer, "metadata", {}).get(TOMOGRAM)
    return found if isinstance(found, Tomogram) else None


def voxel_size_of(scale: Any, units: Any = None) -> float:
    """Voxel size in angstrom, from the scale and the units of a layer; a scale without a unit of length is angstrom.

    Raises
    ------
    TomogramError
        If the voxels are not cubes.
    """
    sizes = [float(value) for value in scale]
    if units is not None:
        sizes = [size * _angstrom(unit) for size, unit in zip(sizes, units, strict=True)]
    if len(sizes) != 3 or min(sizes) <= 0 or max(sizes) > 1.01 * min(sizes):
        edges = " x ".join(f"{size:g}" for size in sizes)
        raise TomogramError(f"the layer has voxels of {edges} Å; expected three equal edges: set its scale")
    return float(f"{sum(sizes) / 3:.6g}")


def require_volume(data: Any, name: str) -> NDArray[Any]:
    """The data of a layer as an array `(z, y, x)`; raises `TomogramError` if they are not one volume."""
    if hasattr(data, "shapes"):  # np.asarray would give the coarsest level
        raise TomogramError(
            f"the layer {name!r} is a pyramid; expected one volume: add its finest level as a layer of its own"
        )
    if getattr(data, "ndim", 0) != 3 or not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        shape = " x ".join(map(str, getattr(data, "shape", ())))
        raise TomogramError(f"the layer {name!r} holds {shape} values; expected a volume of real numbers, (z, y, x)")
    return data if isinstance(data, np.ndarray) else np.asarray(data)


def require_finite_volume(data: Any, name: str) -> NDArray[Any]:
    """The same array, after reading all values; raises `TomogramError` if one is NaN or infinite."""
    volume = require_volume(data, name)
    for section in volume if volume.dtype.kind == "f" else ():
        require_finite(section, f"the layer {name!r}")
    return volume


def _angstrom(unit: Any) -> float:
    """Length of a unit, given by its name or as an object of pint; 1 if it is not a unit of length."""
    from pint import Unit
    from pint.errors import PintError

    try:
        return float((1 * Unit(unit)).to("angstrom").magnitude)
    except (PintError, TypeError):
        return 1.0
