"""Reading and writing tilt angles, in the formats of IMOD, AreTomo, SerialEM, Warp, RELION and EMAN2.

Formats: `.tlt` (aligned) and `.rawtlt` (nominal), one angle a line; IMOD's `tilt.com`, with the views that it leaves
out and its offset, and the log of tiltalign; AreTomo's `.aln` (column TILT) and `_TLT.txt`; SerialEM's `.mdoc`, one
`TiltAngle` a `ZValue`; Warp's XML, `Angles` of those tilts that `UseTilt` keeps, with `LevelAngleY`, and its
`.tomostar`; the STAR file of a tilt series of RELION-5; EMAN2's info file; tables, see `cryowae.io.angle_columns`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cryowae.errors import TiltError
from cryowae.io.angle_columns import LEAST_SPAN, LIMIT, even_steps, in_order
from cryowae.io.imod_com import com_beside
from cryowae.io.outputs import write_text
from cryowae.io.tilt_formats import Listed, format_of, read_listed

_SAME = 1e-3  # degrees


@dataclass(frozen=True)
class TiltAngles:
    """The tilt angles of one series.

    Attributes
    ----------
    angles
        Degrees, ascending, each once, with the sign of the file.
    source
        The file that was read.
    format
        `tlt`, `rawtlt`, `tilt-com`, `aretomo-tlt`, `aln`, `mdoc`, `warp-xml`, `tomostar`, `star`, `eman-json` or
        `text`.
    notes
        Messages for the user about the file, one line each.
    listed
        The angles in the order of the file, which is that of the images of the tilt series; repeated angles included.
    sections
        `(len(listed),)` numbers of these images in the series, from 0.
    images
        Number of images in the series, with those that the file leaves out.
    sign
        1, or -1 if the file is of a program whose tilts have the other sign (Warp).
    """

    angles: tuple[float, ...]
    source: Path
    format: str
    notes: tuple[str, ...] = ()
    listed: tuple[float, ...] = ()
    sections: tuple[int, ...] = ()
    images: int = 0
    sign: int = 1

    @property
    def measured(self) -> tuple[float, ...]:
        """`angles` with the sign of `kz = +tan(t) kx`, ascending."""
        return self.angles if self.sign > 0 else tuple(-angle for angle in reversed(self.angles))

    @property
    def tilt_min(self) -> float:
        """The lowest angle, degrees, with the sign of the file."""
        return self.angles[0]

    @property
    def tilt_max(self) -> float:
        """The highest angle, degrees, with the sign of the file."""
        return self.angles[-1]

    def __str__(self) -> str:
        return f"{len(self.angles)} angles from {self.tilt_min:.2f} to {self.tilt_max:.2f} degrees in {self.source}"


def read_tilts(path: str | Path) -> TiltAngles:
    """Read the tilt angles of one series.

    An angle may be repeated, as 0 is where a series in two branches starts again: for the measured region, only the
    range and the steps matter.

    Parameters
    ----------
    path
        In any of the formats of this module.

    Raises
    ------
    TiltError
        If the file is missing, is no such list, or its angles are impossible; if it is a table and it is not clear
        which column has the angles.
    """
    path = Path(path)
    listed = read_listed(path)
    kind = format_of(path)
    notes = [*listed.notes, *_checked(path, listed)]
    values = tuple(angle for _, angle in listed.found)
    ordered = sorted(values)
    angles = tuple(a for a, b in pairwise([*ordered, math.inf]) if b - a > _SAME)
    if len(angles) < len(values):
        notes.append(f"{path.name} lists {len(values) - len(angles)} angles more than once: each is used once")
    if kind == "tlt":
        notes += _left_out(path)
    sections = listed.sections or tuple(range(len(values)))
    images = listed.images or len(values)
    return TiltAngles(angles, path, kind, tuple(notes), values, sections, images, listed.sign)


def write_tilts(path: Path, angles: Sequence[float]) -> None:
    """Write a `.tlt`, one angle in degrees per line; raises `OutputError` if this is not possible."""
    write_text(path, "".join(f"{angle:.4f}\n" for angle in angles))


def require_tilt_range(tilt_min: float, tilt_max: float) -> tuple[float, float]:
    """The two limits of a tilt range, if they are possible; raises `TiltError` if not."""
    wanted = "expected LO HI in degrees with -90 < LO < HI < 90, for example -60 60"
    if not all(math.isfinite(t) and abs(t) < LIMIT for t in (tilt_min, tilt_max)):
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is impossible; {wanted}")
    if tilt_min >= tilt_max:
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is in the wrong order or empty; {wanted}")
    return float(tilt_min), float(tilt_max)


def _checked(path: Path, listed: Listed) -> list[str]:
    """Notes on the angles of a file; raises `TiltError` if they are not those of a tilt series in degrees."""

    def error(got: str, expected: str) -> TiltError:
        return TiltError(f"tilt file {path} {got}; expected {expected}")

    values = [angle for _, angle in listed.found]
    for line, angle in listed.found:
        if abs(angle) >= LIMIT:
            raise error(f"has the angle {angle:g}{f' in line {line}' if line else ''}", "degrees between -90 and 90")
    if len(values) < 2:
        raise error(f"has {len(values)} angles", "those of a tilt series")
    span = max(values) - min(values)
    if span < LEAST_SPAN or max(map(abs, values)) < math.pi / 2:
        raise error(f"spans only {span:.3g} degrees", "a tilt series in degrees")
    if in_order(values) or format_of(path) in ("mdoc", "warp-xml", "star", "tomostar"):
        return []
    if even_steps(values):
        return [f"{path.name} lists the angles neither by angle nor as acquired: only their range is used"]
    raise error(
        "is in the wrong order, with uneven steps",
        "ascending, descending, or outwards as acquired: is this the column of angles?",
    )


def _left_out(path: Path) -> list[str]:
    """A note if a `tilt.com` beside a tilt file says that other angles were used for the reconstruction."""
    try:
        settings = com_beside(path)
        if settings is None or not settings.changes:
            return []
    except TiltError as error:
        return [f"it is not known which views were left out: {error}"]
    name = settings.file.path.name
    changed = f"leaves out {len(settings.excluded)} views" if settings.excluded else "selects views"
    added = f"adds {settings.offset:g} degrees" if settings.offset else ""
    what = " and ".join(part for part in (changed if settings.excluded or settings.included else "", added) if part)
    return [f"{name} beside {path.name} {what}: --tilts {name} takes this into account"]
