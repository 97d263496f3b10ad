"""The file behind a layer: its own, or a copy of values that are in memory alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cryowae._napari.layers import require_finite_volume, tomogram_of, voxel_size_of
from cryowae._napari.scratch import delete_with, scratch_folder
from cryowae.errors import TomogramError
from cryowae.io.mrc import in_zyx, read_mrc, write_mrc
from cryowae.tomogram.statistics import sample_rows

_SAMPLE = 500_000  # voxels by which a mapped file is known again
_COPIES: WeakKeyDictionary[Any, Path] = WeakKeyDictionary()


@dataclass(frozen=True)
class Source:
    """The file of a layer, and how it is to be opened.

    Attributes
    ----------
    path
        The file that the layer shows, or a copy that was written because there was none.
    voxel_size
        Angstrom.
    axes
        Order of the axes in the file.
    """

    path: Path
    voxel_size: float
    axes: str = "zyx"


def source_of(layer: Any) -> Source:
    """The file behind an image layer.

    Values that no file holds, or no longer, are copied to one in the temporary folder: once, and again only when they
    have changed. The copy goes with the layer.

    Raises
    ------
    TomogramError
        If the layer is not one volume of cubic voxels and finite values.
    """
    size = voxel_size_of(layer.scale, layer.units)
    opened = tomogram_of(layer.metadata)
    if (
        opened is not None
        and opened.data is layer.data
        and _holds(opened.path, opened.data, opened.axes, _same_sample)  # mapped, so that nobody can change it in place
    ):
        return Source(opened.path, size, opened.axes)
    data = require_finite_volume(layer.data, layer.name)
    path = _COPIES.get(layer)
    if path is None or not _holds(path, data, "zyx", _same):
        path = path or scratch_folder() / f"{_file_name(layer.name)}.mrc"
        write_mrc(path, data, voxel_size=size, like=None if opened is None else opened.header, overwrite=True)
        if layer not in _COPIES:
            delete_with(layer, path)
        _COPIES[layer] = path
    return Source(path, size)


def _holds(path: Path, data: NDArray[Any], axes: str, same: Callable[[NDArray[Any], NDArray[Any]], bool]) -> bool:
    """Whether a file holds what is shown: another program may have put another one in its place."""
    try:
        there = in_zyx(read_mrc(path, voxel_size=1.0).data, axes)
    except TomogramError:
        return False
    return there.shape == data.shape and same(there, data)


def _same_sample(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return np.array_equal(sample_rows(one, _SAMPLE), sample_rows(other, _SAMPLE), equal_nan=True)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return all(np.array_equal(a, np.asarray(b, np.float32)) for a, b in zip(one, other, strict=True))


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) or "layer"
