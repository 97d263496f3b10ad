"""What of a restored volume nobody measured: the volume without the components outside of its wedge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryowae.consistency import mix_measured
from cryowae.errors import TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import MrcWriter
from cryowae.progress import SILENT, Progress
from cryowae.restore.volumes import slabs
from cryowae.tomogram import Tomogram


def write_inferred(
    restored: Tomogram,
    output: str | Path,
    *,
    wedge: Wedge | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Write what a restored volume has in the missing wedge, and nothing of what was measured.

    The sum of this volume and of the restoration with an empty wedge is the restoration. Its mean is 0, since the mean
    of a volume is measured.

    Parameters
    ----------
    restored
        The restored volume.
    output
        The file to write.
    wedge
        What was measured; that of `restored` if not given.
    overwrite
        Replace an existing file.
    progress
        Told of every slab.

    Raises
    ------
    TiltError
        If the wedge is not known.
    OutputError
        If the file exists or cannot be written.
    """
    wedge = wedge or restored.wedge
    if wedge is None:
        raise TiltError(f"the tilt range of {restored.path} is not known: expected a tomogram opened with its tilts")
    path = Path(output)
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
