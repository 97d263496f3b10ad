"""A layer restored, whole or in part: what the restore widget asks for, and the layer that comes back. No Qt here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryowae._napari.layers import AXES, LayerData, layer_data, look_of, open_for_viewing, place_of, tomogram_of
from cryowae._napari.scratch import scratch_folder
from cryowae._napari.sources import source_of
from cryowae.config.options import RestoreOptions
from cryowae.errors import TiltError, TomogramError
from cryowae.io.mrc import stem_of
from cryowae.io.tilts import require_tilt_range
from cryowae.progress import Progress
from cryowae.restore.result import RestoreResult
from cryowae.tomogram import Tomogram, open_tomogram

RESTORED_FROM = "restored_from"
"""Key of the input's name in the metadata of a restored layer."""

CUT_FROM = "cut_from"
"""Key of the original's name in the metadata of a layer out of which a wedge was cut."""

Region = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Request:
    """What a user has asked for.

    Attributes
    ----------
    layer
        The tomogram, or its first half.
    other
        The layer of the other half: the mean of both is restored.
    tilts, tilt_range, flip_tilt
        As in `open_tomogram`; without the first two, what the layer knows or what lies beside its file.
    model
        Weights by name or path.
    options
        As in `restore_tomogram`.
    output
        The file to write; None for a temporary one.
    """

    layer: Any
    other: Any = None
    tilts: Path | None = None
    tilt_range: tuple[float, float] | None = None
    flip_tilt: bool = False
    model: str | Path = "default"
    options: RestoreOptions = field(default_factory=RestoreOptions)
    output: Path | None = None


def restore_layer(request: Request, progress: Progress) -> tuple[LayerData, RestoreResult]:
    """Restore a whole layer; the result looks as its input does, and is mapped from the file that was written."""
    from cryowae.restore import restore_tomogram

    tomogram, halves = _open(request)
    model = _stoppable(request, progress)
    output = request.output or scratch_folder() / f"{stem_of(tomogram.path)}_restored.mrc"
    options = replace(request.options, report=request.output is not None)
    result = restore_tomogram(tomogram, output, model=model, options=options, progress=progress, **halves)
    opened = open_for_viewing(result.path, voxel_size=tomogram.voxel_size, axes=tomogram.axes)
    opened = replace(opened, wedge=tomogram.wedge, tilts=tomogram.tilts, tilt_source=tomogram.tilt_source)
    data, look, kind = layer_data(opened, f"{request.layer.name} restored")
    metadata = {**look["metadata"], RESTORED_FROM: request.layer.name}
    return (data, {**look, **look_of(request.layer), **place_of(request.layer), "metadata": metadata}, kind), result


def preview_layer(request: Request, region: Region, progress: Progress) -> LayerData:
    """Restore a part of a layer, which lies in its place; by one pass of the network, for the sake of time."""
    from cryowae.restore import restore_region

    tomogram, halves = _open(request)
    model = _stoppable(request, progress)
    options = replace(request.options, fast=True)
    restored = restore_region(tomogram, region, model=model, options=options, progress=progress, **halves)
    look = {
        "name": preview_name(request.layer.name),
        "axis_labels": AXES,
        "metadata": {RESTORED_FROM: request.layer.name},
        **look_of(request.layer),
        **place_of(request.layer, tuple(part.start for part in region)),
    }
    return restored, look, "image"


def preview_name(name: str) -> str:
    """What the preview of a layer of this name is called."""
    return f"{name} preview"


def region_in_view(
    shape: tuple[int, int, int],
    point: tuple[float, ...],
    displayed: tuple[int, ...],
    corners: Any,
    *,
    thickness: int = 8,
    most: int = 256,
) -> Region:
    """The slab about the slice that is looked at, as far as it is seen.

    Parameters
    ----------
    shape
        `(z, y, x)` of the layer.
    point
        Where the viewer is, in voxels.
    displayed
        Axes that are shown.
    corners
        `(2, 3)` first and last voxel that are seen, as `layer.corner_pixels` gives them.
    thickness
        Voxels along the axis that is not shown.
    most
        Voxels along those that are, about the middle of what is seen.
    """
    parts = []
    for axis, n in enumerate(shape):
        low, high = 0, n
        if axis not in displayed or len(displayed) != 2:
            length = thickness if axis not in displayed else most // 2
            low = round(point[axis]) - length // 2
            high = low + length
        elif corners[1][axis] > corners[0][axis]:
            low, high = int(corners[0][axis]), int(corners[1][axis]) + 1
        if high - low > most:
            low = (low + high - most) // 2
            high = low + most
        length = min(high - low, n)
        low = min(max(low, 0), n - length)
        parts.append(slice(low, low + length))
    return parts[0], parts[1], parts[2]


def parse_tilt_range(text: str) -> tuple[float, float] | None:
    """Two numbers as people write them (`-60 60`, `-60..60`, `-60 to 60`, `±60`), None for nothing at all.

    Raises
    ------
    TiltError
        If it is something else, or impossible.
    """
    text = text.strip().replace("−", "-").replace("°", "")
    if not text:
        return None
    numbers = re.findall(r"[-+]?\d+(?:\.\d+)?", text)
    if len(numbers) == 1 and text[0] in "±" and not numbers[0].startswith("-"):
        numbers = [f"-{numbers[0]}", numbers[0]]
    if len(numbers) != 2:
        raise TiltError(
            f"got {text!r} for the tilt range; expected the lowest and the highest tilt, for example -60 60"
        )
    return require_tilt_range(float(numbers[0]), float(numbers[1]))


def _open(request: Request) -> tuple[Tomogram, dict[str, Any]]:
    """The tomogram with its wedge, and its halves by name if there are any."""
    source = source_of(request.layer)
    known = tomogram_of(request.layer.metadata)
    given: dict[str, Any] = {"tilts": request.tilts, "tilt_range": request.tilt_range, "flip_tilt": request.flip_tilt}
    place: dict[str, Any] = {"voxel_size": source.voxel_size, "axes": source.axes}
    if request.tilts is None and request.tilt_range is None and known is not None and known.wedge is not None:
        tilt_range = known.wedge.tilt_min, known.wedge.tilt_max
        tomogram = open_tomogram(source.path, **{**given, "tilt_range": tilt_range}, **place)
        source_of_tilts = f"{known.tilt_source}, negated" if request.flip_tilt else known.tilt_source
        tomogram = replace(tomogram, tilt_source=source_of_tilts)
    else:
        tomogram = open_tomogram(source.path, **given, **place)
    if request.other is None:
        return tomogram, {}
    other = source_of(request.other)
    if other.axes != source.axes:
        raise TomogramError(
            f"the halves have their axes in different orders ({source.axes} and {other.axes}); expected one order: "
            "open both anew with the same axes"
        )
    return tomogram, {"half1": source.path, "half2": other.path}


class _Stoppable:
    """A model that asks before each pass whether it is still wanted: a window can take a minute."""

    def __init__(self, model: Any, progress: Progress) -> None:
        self._model, self._progress = model, progress

    def __call__(self, window: Any, /) -> Any:
        self._progress.advance(0)
        return self._model(window)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _stoppable(request: Request, progress: Progress) -> Any:
    from cryowae.models.weights import load_model

    return _Stoppable(load_model(request.model, request.options.device), progress)
