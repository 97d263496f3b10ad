"""Options for opening, reconstructing and restoring a tomogram: one dataclass for each step.

Each option is defined once. The command line takes names, types and defaults from the fields, and the text of `--help`
from the docstring. The fields of the napari plugin do the same.
"""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from cryowae.config.sampling_options import SamplingOptions
from cryowae.errors import ConfigError, TiltError

Contrast = Literal["auto", "dark", "bright"]
Consistency = Literal["off", "soft", "hard"]
Filling = Literal["fill", "leave"]


@dataclass(frozen=True, kw_only=True)
class VolumeOptions:
    """How a volume is opened.

    Attributes
    ----------
    axes
        `xzy`: the file has the thickness on its second axis. `zxy`: it has the tilt axis along x.
    voxel_size
        Angstrom; replaces the value of the header.
    """

    axes: Literal["zyx", "xzy", "zxy"] = "zyx"
    voxel_size: float | None = None


@dataclass(frozen=True, kw_only=True)
class TiltOptions:
    """Tilt angles, which define the measured region.

    Attributes
    ----------
    tilts
        File of tilt angles.
    tilt_range
        Lowest and highest tilt in degrees, such as -60 60, in place of a file.
    flip_tilt
        Negate the tilt angles, as volumes of WarpTools and AreTomo may need.
    tilt_offset
        Degrees that are added to the tilt angles, after the negation: for nominal angles of a levelled sample.
    """

    tilts: Path | None = None
    tilt_range: tuple[float, float] | None = None
    flip_tilt: bool = False
    tilt_offset: float = 0.0

    def require_one(self) -> None:
        """Raise `TiltError` unless there is either a file or a range."""
        if (self.tilts is None) == (self.tilt_range is None):
            raise TiltError("expected either --tilts FILE or --tilt-range LO HI: they define the measured region")


@dataclass(frozen=True, kw_only=True)
class TomogramOptions(TiltOptions, VolumeOptions):
    """How a tomogram is opened.

    Attributes
    ----------
    tilts
        File of tilt angles. Without a file and a range, a file is searched for beside the volume, by name.
    """


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """How a tilt series is opened, and the size of a reconstruction of it.

    Attributes
    ----------
    alignment
        Alignment: .xf, .aln or Warp's .xml; without one, the images must be aligned.
    thickness
        Voxels of the result along z; 3000 Å by default.
    bin
        Raw pixels along the edge of a voxel.
    flip_tilt
        Negate the tilt angles, as volumes of WarpTools and AreTomo may need.
    voxel_size
        Size of the raw pixels in angstrom; replaces the value of the header.
    """

    alignment: Path | None = None
    thickness: int | None = None
    bin: int = 1
    flip_tilt: bool = False
    voxel_size: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(SeriesOptions):
    """How a tilt series is reconstructed.

    Attributes
    ----------
    halves
        Reconstruct the even and the odd tilts too.
    device
        Where to back-project: `auto`, `cpu` or `cuda`.
    overwrite
        Overwrite existing files.
    """

    halves: bool = False
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class ItemOptions(TomogramOptions):
    """How a tomogram is opened, and the further files that are read with it.

    Attributes
    ----------
    half1, half2
        Reconstructions from two independent halves of the data, on the grid of the tomogram. Their mean is restored in
        place of it.
    contrast
        Is protein dark or bright in the file? `auto` decides from the grey values, and stops if they do not show it.
    mask
        Volume of values from 0 to 1, or of two values: restored where it is 1, unchanged where it is 0.
    force
        Go on, with a warning, where a check says that the input is wrong: angles or axes contradict the spectrum, or
        the file is a tilt series or a result.
    """

    half1: Path | None = None
    half2: Path | None = None
    contrast: Contrast = "auto"
    mask: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.contrast not in get_args(Contrast):
            raise ConfigError(f"got --contrast {self.contrast}, expected one of: {', '.join(get_args(Contrast))}")
        if (self.half1 is None) != (self.half2 is None):
            raise ConfigError("got one half, expected both: give --half1 and --half2")


@dataclass(frozen=True)
class RestoreOptions(SamplingOptions):
    """Options of `restore_array` and `restore_tomogram`. Those of samples are for `restore_tomogram` alone.

    Attributes
    ----------
    consistency
        Measured components of the result. `off`: restored by the network. `soft`: mixed with those of the input, by
        their signal-to-noise ratio. `hard`: those of the input, with their noise.
    wedge
        `leave`: the missing wedge stays empty (denoising alone).
    fast
        One pass of the network, a quarter of the time, in place of the mean of four.
    device
        Where to compute: `auto`, `cpu`, `cuda` or `mps`.
    window
        Edge of the windows in voxels; planned by the memory if not given.
    overlap
        Overlap of neighbouring windows in voxels; planned if not given.
    float16
        Write half precision (MRC mode 12).
    overwrite
        Overwrite existing output.
    write_halves
        Restore each half too.
    write_inferred
        Write `_inferred` too: the part of the result that lies in the missing wedge.
    report
        Draw a picture beside the result.
    contrast, mask
        Deprecated: they belong to the tomogram. Give them to `Item` or to `restore_tomogram`.
    """

    consistency: Consistency = "off"
    wedge: Filling = "fill"
    fast: bool = False
    device: str = "auto"
    window: int | None = None
    overlap: int | None = None
    float16: bool = False
    overwrite: bool = False
    write_halves: bool = False
    write_inferred: bool = False
    report: bool = True
    contrast: Contrast | None = field(default=None, metadata={"deprecated": True})
    mask: Path | None = field(default=None, metadata={"deprecated": True})

    def __post_init__(self) -> None:
        for name in ("contrast", "mask"):
            if getattr(self, name) is not None:
                text = f"RestoreOptions.{name} is deprecated: give {name} to restore_tomogram or to Item"
                warnings.warn(text, DeprecationWarning, stacklevel=3)
        for name, known in (("consistency", Consistency), ("wedge", Filling)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise ConfigError(f"got --{name} {value}, expected one of: {', '.join(get_args(known))}")
        self.check_samples()

    @property
    def turns(self) -> int:
        """Passes of the network: the tomogram unchanged, and rotated by 180 degrees about z, y and x."""
        return 1 if self.fast else 4


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How weights are adapted to tomograms.

    Attributes
    ----------
    minutes
        Time for the fit; the number of steps is planned from the speed of this machine.
    objective
        What is learned: `rehearsal`, another name of `configs/fit`, or a YAML file.
    from_scratch
        Start from random weights, not from MODEL.
    rotations
        Rotations that leave the specimen as likely as before: `full` for isotropic particles, `about-z` for slabs and
        membranes, or `half-turns`. Only some objectives use them.
    series
        Tilt series of the tomogram: the weights are then judged on images that are left out.
    series_tilts
        Angles of the series, unless its alignment has them.
    alignment
        Alignment of the series: .xf, .aln or Warp's .xml; without one, its images must be aligned.
    seed
        Seed of the scenes and of the random numbers.
    device
        Where to compute: `auto`, `cpu`, `cuda` or `mps`.
    resume
        Continue an interrupted fit; its time, objective and seed stay as they were.
    overwrite
        Overwrite an existing output, and the run in its folder.
    """

    minutes: float = 30.0
    objective: str = "rehearsal"
    from_scratch: bool = False
    rotations: Literal["full", "half-turns", "about-z"] = "about-z"
    series: Path | None = None
    series_tilts: Path | None = None
    alignment: Path | None = None
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.minutes <= 10_000:
            raise ConfigError(f"got --minutes {self.minutes:g}, expected 1 or more: how long may the fit take?")
        if self.series is None and (self.series_tilts or self.alignment):
            raise ConfigError("got the angles or the alignment of a tilt series, and no --series; expected both")


def help_of(owner: Any, name: str) -> str:
    """Description of a name, on one line, from the docstring of a function or of a dataclass and its bases."""
    for one in getattr(owner, "__mro__", (owner,)):
        for names, text in re.findall(r"^(\w+(?:, \w+)*)\n((?:    .*\n?)+)", inspect.getdoc(one) or "", re.MULTILINE):
            if name in names.split(", "):
                return " ".join(text.replace("`", "").split())
    return ""
