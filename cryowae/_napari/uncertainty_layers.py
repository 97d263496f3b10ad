"""Samples of a restored volume and their standard deviation as layers, and where they are uncertain. No Qt here.

All data are mapped from the files that a restoration has written, so that any number of samples takes no memory: only
the slices that are shown are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryowae._napari.layers import (
    AXES,
    TOMOGRAM,
    UNCERTAINTY_OF,
    LayerData,
    percentile_limits,
    tomogram_of,
    write_volume,
)
from cryowae.errors import CryowaeError
from cryowae.io.mrc import in_zyx, read_mrc, require_name, stem_of
from cryowae.io.neighbours import find_samples
from cryowae.io.outputs import check_output
from cryowae.tomogram import Tomogram
from cryowae.tomogram.stack import StackOf
from cryowae.tomogram.uncertain import HALF_CONTRAST, UncertainVoxels, restored_contrast

SAMPLES = "samples"
"""Key of the opened samples, a tuple of tomograms, in the metadata of their layer."""

CONTRAST = "restored_contrast"
"""Key of the contrast of the restored volume in the metadata of the layer of the standard deviation."""

MARKS_OF = "marks_of"
"""Key of the unique identifier of the marked layer in the metadata of its marks."""

SAMPLE_AXIS = "sample"

_STD_LIMITS = (75.0, 99.8)  # percentiles: black adds nothing, so that three quarters of the volume stay as they are
_MARKED = (0.0, 1.0, 1.0)  # cyan: seen on dark and on bright protein, and beside the colours of the deviation
_LEADING = {"scale": 1.0, "units": "pixel", "translate": 0.0, "axis_labels": SAMPLE_AXIS}


def uncertainty_layers(restored: LayerData, *, visible: bool = False) -> list[LayerData]:
    """The layers of the samples and of their standard deviation that lie beside the file of a restored layer.

    Parameters
    ----------
    restored
        A layer with its opened tomogram in the metadata. The layers have its position, scale and units.
    visible
        Whether the samples are shown. The standard deviation is hidden at first: it is a colour on top of the rest.

    Returns
    -------
    layers
        The samples as one array `(sample, z, y, x)`, with the look of the restored layer; and the standard deviation,
        drawn additively, with limits by its percentiles. Files that are missing, have another shape or cannot be read
        are left out; of the samples, all that follow too.
    """
    data, look, _ = restored
    tomogram = look["metadata"][TOMOGRAM]
    spread, numbered = find_samples(tomogram.path)
    std = None if spread is None else _opened_like(tomogram, spread)
    samples = _of_one_run([found for path in numbered if (found := _opened_like(tomogram, path)) is not None], std)
    layers: list[LayerData] = []
    if samples:
        own = {"name": f"{look['name']} samples", "visible": visible, "rgb": False, "multiscale": False}
        own["metadata"] = {**_about(tomogram, *samples), SAMPLES: tuple(samples)}
        layers.append((StackOf([one.data for one in samples]), {**_with_leading_axis(look), **own}, "image"))
    if std is not None:
        own = {"name": f"{look['name']} std", "visible": False, "colormap": "inferno", "blending": "additive"}
        own |= {"contrast_limits": percentile_limits(std.data, _STD_LIMITS), "gamma": 1.0, "rendering": "mip"}
        own["metadata"] = {TOMOGRAM: std, CONTRAST: restored_contrast(data), **_about(tomogram, std)}
        layers.append((std.data, {**look, **own}, "image"))
    return layers


def mask_layer(deviation: Any, fraction: float = HALF_CONTRAST) -> LayerData:
    """The voxels whose standard deviation is above a fraction of the restored contrast, in one colour.

    It is an image of 0 and 1 and not of labels, since its voxels are computed when they are read and cannot be painted.
    The writer of the plugin saves it as a mask.

    Parameters
    ----------
    deviation
        The layer of the standard deviation, from `uncertainty_layers`.
    fraction
        See `UncertainVoxels`.

    Raises
    ------
    TomogramError
        If the restored volume has no contrast.
    """
    from napari.utils import Colormap

    about = deviation.metadata
    found = UncertainVoxels(deviation.data, about[CONTRAST], fraction)
    look = {name: getattr(deviation, name) for name in ("scale", "units", "translate", "rotate", "shear", "affine")}
    look |= {"name": f"{deviation.name.removesuffix(' std')} uncertain", "axis_labels": AXES, "opacity": 0.7}
    look |= {"colormap": Colormap([(*_MARKED, 0.0), (*_MARKED, 1.0)], "cyan marks"), "contrast_limits": (0, 1)}
    look["metadata"] = {UNCERTAINTY_OF: about[UNCERTAINTY_OF], MARKS_OF: deviation.unique_id}
    return found, {**look, "rendering": "mip", "rgb": False, "multiscale": False}, "image"


def deviations_of(viewer: Any) -> list[Any]:
    """The layers of standard deviations in a viewer."""
    return [layer for layer in viewer.layers if CONTRAST in layer.metadata]


def samples_of(restored: Any, viewer: Any) -> list[Any]:
    """The layers in a viewer of the samples of a restored layer, and of their standard deviation."""
    opened = tomogram_of(restored)
    return [layer for layer in viewer.layers if opened and layer.metadata.get(UNCERTAINTY_OF) == str(opened.path)]


def write_with_samples(path: Path, restored: Any, others: Sequence[Any]) -> list[str]:
    """Write a restored layer, and beside it its samples and their standard deviation, by the names of `restore`.

    Raises
    ------
    OutputError
        If a file cannot be written. The user was asked about `path` alone: any other file that exists is not replaced,
        and then nothing is written.
    """
    require_name(path)
    files = {path.with_name(f"{stem_of(path)}{end}.mrc"): one for o in others for end, one in files_of(o).items()}
    for place in files:
        check_output(place, overwrite=False)
    data, look, _ = restored.as_layer_data_tuple()
    written = write_volume(str(path), data, look)
    for place, one in files.items():
        written += write_volume(str(place), one.data, {**look, "metadata": {TOMOGRAM: one}})
    return written


def files_of(layer: Any) -> dict[str, Tomogram]:
    """The volumes that a layer shows, by the ends of the names of their files; empty if it shows no file.

    `{"": tomogram}` for one volume, `{"_std": …}` for a standard deviation, `{"_sample1": …, …}` for samples.
    """
    found = tomogram_of(layer)
    if found is not None:
        return {"_std" if CONTRAST in layer.metadata else "": found}
    return {f"_sample{number}": one for number, one in enumerate(layer.metadata.get(SAMPLES, ()), 1)}


def _opened_like(restored: Tomogram, path: Path) -> Tomogram | None:
    """A volume beside a restored one, opened in the same way; None if it does not fit."""
    try:
        read = read_mrc(path, voxel_size=restored.voxel_size)
    except CryowaeError:
        return None
    data = in_zyx(read.data, restored.axes)
    return replace(restored, data=data, header=read.header, path=path, notes=()) if _fits(data, restored) else None


def _fits(data: Any, restored: Tomogram) -> bool:
    return tuple(data.shape) == tuple(restored.shape)


def _of_one_run(samples: list[Tomogram], std: Tomogram | None) -> list[Tomogram]:
    """The samples that belong to one run: a later run with fewer samples leaves those of an earlier one behind."""
    runs = [re.findall(r"sample \d+ of (seed \d+ by .{0,24})", _label_of(one)) for one in samples]
    counted = re.search(r"deviation of (\d+) samples", _label_of(std)) if std is not None else None
    most = int(counted[1]) if counted else len(samples)
    return [one for one, run in zip(samples[:most], runs, strict=False) if run == runs[0]]


def _label_of(tomogram: Tomogram) -> str:
    """The last label of a header: what has written the file."""
    return tomogram.header.labels[-1] if tomogram.header.labels else ""


def _about(restored: Tomogram, *made: Tomogram) -> dict[str, Any]:
    """From which volume a layer comes, and how its files were made, for users."""
    return {UNCERTAINTY_OF: str(restored.path), "made": [_label_of(one) for one in made]}


def _with_leading_axis(look: dict[str, Any]) -> dict[str, Any]:
    """Look and position of a volume, for an array with one more axis before z, that the volume is not rotated into."""
    changed: dict[str, Any] = {name: (first, *look[name]) for name, first in _LEADING.items() if name in look}
    for name in ("rotate", "affine"):
        if name in look:
            matrix = np.asarray(getattr(look[name], "affine_matrix", look[name]))
            larger = np.eye(len(matrix) + 1)
            larger[1:, 1:] = matrix
            changed[name] = larger
    if "shear" in look:  # the upper triangle, row by row
        changed["shear"] = (0.0,) * len(AXES) + tuple(look["shear"])
    return {**look, **changed}
