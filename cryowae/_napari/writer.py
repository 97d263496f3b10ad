"""Layers into MRC volumes, with the header that the layer came with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryowae._napari.layers import require_finite_volume, tomogram_of, voxel_size_of
from cryowae.io.mrc import require_name, write_mrc


def write_volume(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer: its values, its scale as the voxel size, and origin, labels and all else of its header.

    Half precision stays so (mode 12); everything else becomes float32 (mode 2). An existing file is replaced, since
    napari has asked, but only when the new one is complete.

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
