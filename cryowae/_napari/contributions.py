"""What the manifest names besides the widgets: the reader, the writer and the sample data. No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryowae._napari.derived_layers import temporary_folder
from cryowae._napari.layers import (
    LayerData,
    layer_data,
    open_for_viewing,
    require_finite_volume,
    tomogram_of,
    voxel_size_of,
)
from cryowae.io.mrc import SUFFIXES, require_name, write_mrc

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """The reader of these files if all of them are MRC volumes by their names, else None."""
    names = [path] if isinstance(path, str) else list(path)
    return read_volumes if names and all(map(_is_volume, names)) else None


def read_volumes(path: PathOrPaths) -> list[LayerData]:
    """One layer for each file. The files are mapped, not read. Notes about them are shown as warnings."""
    from napari.utils.notifications import show_warning

    layers = []
    for name in [path] if isinstance(path, str) else path:
        tomogram = open_for_viewing(name)
        layers.append(layer_data(tomogram))
        for note in tomogram.notes:
            show_warning(note)
    return layers


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
    opened = tomogram_of(meta.get("metadata") or {})
    write_mrc(
        path,
        volume,
        voxel_size=voxel_size_of(meta.get("scale", (1.0, 1.0, 1.0)), meta.get("units")),
        like=None if opened is None else opened.header,
        axes="zyx" if opened is None else opened.axes,
        float16=volume.dtype.kind == "f" and volume.dtype.itemsize == 2,
        overwrite=True,
        label="saved by napari",
    )
    return [path]


def sample_scene() -> list[LayerData]:
    """The scene of `cryowae demo`: the ground truth, the noisy tomogram with its wedge, and the restored tomogram."""
    from cryowae.demo import run_demo

    done = run_demo(temporary_folder())
    paths = {"truth": done.truth, "tomogram": done.tomogram, "restored": done.restored}
    return [layer_data(open_for_viewing(path), name) for name, path in paths.items()]


def _is_volume(name: str) -> bool:
    stem = Path(name).name.lower().removesuffix(".gz").removesuffix(".bz2")
    return stem.endswith(SUFFIXES)
