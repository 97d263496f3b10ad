"""What a restoration reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RestoreResult:
    """What a restoration wrote and measured.

    Attributes
    ----------
    path
        The restored volume.
    pictures
        The PNGs that were drawn: the restoration, and the correlation of the halves if there are any.
    halves
        The restored halves, if they were asked for.
    inferred
        The part of the result that lies in the missing wedge, if it was asked for.
    notes
        What the user should know, one line each.
    voxel_size
        Angstrom.
    tilt_min, tilt_max, tilt_source
        Degrees, and where they came from.
    contrast
        `dark` or `bright`: contrast of the protein in input and result.
    inferred_share
        Share of the result's power in the missing wedge, where nothing was measured. The rest was denoised.
    measured_correlation
        Correlation with the input over the measured components.
    seconds
        Total time, the pictures included.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the tomogram, over all passes.
    """

    path: Path
    pictures: tuple[Path, ...]
    halves: tuple[Path, ...]
    inferred: Path | None
    notes: tuple[str, ...]
    voxel_size: float
    tilt_min: float
    tilt_max: float
    tilt_source: str
    contrast: str
    inferred_share: float
    measured_correlation: float
    seconds: float
    network_voxels_per_voxel: float
