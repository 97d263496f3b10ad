"""Options of `cryowae validate`; see `cryowae.config.options`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from cryowae.config.options import Consistency, Contrast, SeriesOptions
from cryowae.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ValidateOptions(SeriesOptions):
    """How a restoration is checked against data that it was not made from.

    Attributes
    ----------
    tilts
        Tilt angles: one for each section of the series, or those of the halves.
    tilt_range
        Of the halves: lowest and highest tilt in degrees, such as -60 60, in place of a file.
    tilt_offset
        Of the halves: degrees that are added to the tilt angles.
    drop
        Tilts that are left out. `every:5`: each fifth, which tests the denoising. `beyond:42`: all above +42 degrees
        in your file of angles (`beyond:-42`: below -42), which tests the filled wedge.
    half1, half2
        In place of a series: reconstructions from two independent halves of the data.
    axes
        Of the halves: `xzy` if the files have the thickness on the second axis, `zxy` if the tilt axis is along x.
    contrast
        Is protein dark or bright? `auto` decides from the grey values.
    consistency
        `off`, `soft` or `hard`, as for `restore`; may be given several times. `off` and `soft` by default.
    keep_beads
        Compare beads and contaminants too.
    fast
        One pass of the network in place of the mean of four.
    device
        Where to compute: `auto`, `cpu`, `cuda` or `mps`.
    overwrite
        Overwrite existing output.
    force
        Go on, with a warning, if the angles or the axes of the halves contradict the spectrum.
    """

    tilts: Path | None = None
    tilt_range: tuple[float, float] | None = None
    tilt_offset: float = 0.0
    drop: str = "every:5"
    half1: Path | None = None
    half2: Path | None = None
    axes: Literal["zyx", "xzy", "zxy"] = "zyx"
    contrast: Contrast = "auto"
    consistency: list[str] | None = None
    keep_beads: bool = False
    fast: bool = False
    device: str = "auto"
    overwrite: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if (self.half1 is None) != (self.half2 is None):
            raise ConfigError("got one half, expected both: give --half1 and --half2")
        if self.contrast not in get_args(Contrast):
            raise ConfigError(f"got --contrast {self.contrast}, expected one of: {', '.join(get_args(Contrast))}")
        for value in self.consistency or ():
            if value not in get_args(Consistency):
                raise ConfigError(f"got --consistency {value}, expected one of: {', '.join(get_args(Consistency))}")

    @property
    def settings(self) -> tuple[Consistency, ...]:
        """The settings of `consistency`, each once."""
        return cast(tuple[Consistency, ...], tuple(dict.fromkeys(self.consistency or ("off", "soft"))))
