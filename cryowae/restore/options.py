"""What a user may choose when a tomogram is restored, and what is told afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cryowae.errors import ConfigError

Contrast = Literal["auto", "dark", "bright"]
Consistency = Literal["off", "soft", "hard"]
Filling = Literal["fill", "leave"]


@dataclass(frozen=True)
class RestoreOptions:
    """Choices for `restore_tomogram`.

    Attributes
    ----------
    contrast
        What protein is in the file; `auto` asks the grey values.
    consistency
        `off`: the network's answer. `soft`: measured components mixed with the input's by their signal-to-noise ratio.
        `hard`: measured components put back as they were, noise and all.
    wedge
        `leave` empties the missing wedge of the result: denoising alone.
    mask
        MRC volume of values from 0 to 1; the result is the restored volume where it is 1 and the input where it is 0.
    fast
        One pass of the network in place of the mean of four, see `turns`.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    window, overlap
        Lengths in voxels that overrule the plan of `cryowae.tiling`.
    float16
        Write half-precision MRC (mode 12).
    overwrite
        Replace what exists.
    write_halves
        Restore each half too.
    write_inferred
        Write `_inferred` too: what the result has in the wedge, and nothing of what was measured.
    report
        Draw the picture.
    """

    contrast: Contrast = "auto"
    consistency: Consistency = "off"
    wedge: Filling = "fill"
    mask: Path | None = None
    fast: bool = False
    device: str = "auto"
    window: int | None = None
    overlap: int | None = None
    float16: bool = False
    overwrite: bool = False
    write_halves: bool = False
    write_inferred: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        for name, known in (("contrast", Contrast), ("consistency", Consistency), ("wedge", Filling)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise ConfigError(f"got --{name} {value}, expected one of: {', '.join(get_args(known))}")

    @property
    def turns(self) -> int:
        """Passes of the network: the tomogram as it is, and turned by 180 degrees about z, y and x."""
        return 1 if self.fast else 4


@dataclass(frozen=True)
class RestoreResult:
    """What came out of a restoration.

    Attributes
    ----------
    path
        The restored volume.
    pictures
        The PNGs that were drawn: the restoration, and the correlation of the halves if there are any.
    halves
        The restored halves, if they were asked for.
    inferred
        What of the result was not measured, if it was asked for.
    notes
        What the user should know, one line each.
    voxel_size
        Angstrom.
    tilt_min, tilt_max, tilt_source
        Degrees, and where they are from.
    contrast
        `dark` or `bright`: what protein is in the input and the result.
    inferred_share
        Share of the result's power that lies in the wedge, where nothing was measured.
    measured_correlation
        Correlation with the input over what was measured.
    seconds
        Time of it all.
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
