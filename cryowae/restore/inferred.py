"""The inferred part of a restored volume: its components in the missing wedge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import MrcWriter
from cryowae.progress import SILENT, Progress
from cryowae.restore.consistency import mix_measured
from cryowae.tomogram import Tomogram
from cryowae.tomogram.volumes import slabs


def write_inferred(
    restored: Tomogram,
    output: str | Path,
    *,
    wedge: Wedge | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Write the components of a restored volume that lie in the missing wedge.

    This volume plus the restoration with an empty wedge is the restoration. Its mean is 0, since the mean of a volume
    is a measured component.

    Parameters
    ----------
    restored
        The restored volume.
    output
        The file to write.
    wedge
        The measured region; that of `restored` if not given.
    overwrite
        Overwrite an existing file.
    progress
        Receives the progress of every slab.

    Raises
    ------
    TiltError
        If the wedge is not known.
    OutputError
        If the file exists or cannot be written.
    """
    wedge, path = wedge or restored.require_wedge(), Path(output)
    with MrcWriter(
        path,
        restored.shape,
        voxel_size=restored.voxel_size,
        like=restored.header,
        overwrite=overwrite,
        axes=restored.axes,
        label="inferred components alone",
    ) as writer:
        for part in slabs(restored.shape):
            writer.data[part] = np.asarray(restored.data[part], dtype=np.float32)
        mix_measured(writer.data, None, wedge, 1.0, scratch_folder=path.parent, progress=progress)
    return path
