"""Reading and writing tilt angles, in the formats of IMOD, AreTomo, SerialEM and Warp.

Formats: `.tlt` (aligned) and `.rawtlt` (nominal), one angle per line; AreTomo's `_TLT.txt`, whose first of three
columns is the angle, and `.aln`, whose column TILT is (aligned); SerialEM's `.mdoc`, one `TiltAngle` a `ZValue`; Warp's
XML, `Angles` of those tilts that `UseTilt` keeps. Other plain text is read like a `.tlt`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cryowae.errors import TiltError
from cryowae.io.outputs import write_text
from cryowae.io.series_file import ALN_COLUMNS, SeriesFile

_LIMIT = 90.0
_LEAST_SPAN = 3.0  # degrees; a series in radians is at most 3.1 wide and nowhere beyond pi / 2
_SAME = 1e-3
_ANGLE, _COLUMN = "an angle in degrees", "one angle a line, in degrees"  # expected content, for messages
_FORMATS = {".tlt": "tlt", ".rawtlt": "rawtlt", ".aln": "aln", ".mdoc": "mdoc", ".xml": "warp-xml"}


@dataclass(frozen=True)
class TiltAngles:
    """The tilt angles of one series.

    Attributes
    ----------
    angles
        Degrees, ascending.
    source
        The file that was read.
    format
        `tlt`, `rawtlt`, `aretomo-tlt`, `aln`, `mdoc`, `warp-xml` or `text`.
    notes
        Messages for the user about the file, one line each.
    listed
        The angles in the order of the file, which is that of the images of the tilt series.
    """

    angles: tuple[float, ...]
    source: Path
    format: str
    notes: tuple[str, ...] = ()
    listed: tuple[float, ...] = ()

    @property
    def tilt_min(self) -> float:
        """The lowest angle, degrees."""
        return self.angles[0]

    @property
    def tilt_max(self) -> float:
        """The highest angle, degrees."""
        return self.angles[-1]

    def __str__(self) -> str:
        return f"{len(self.angles)} angles from {self.tilt_min:.2f} to {self.tilt_max:.2f} degrees in {self.source}"


def read_tilts(path: str | Path) -> TiltAngles:
    """Read the tilt angles of one series.

    The series may be listed by angle or as it was acquired, in steps outwards from its start (dose-symmetric or in two
    branches). Any other order means that the column has other values, or that the order was lost. Only in an
    `.mdoc`, which names each angle, any order and repeated angles are allowed.

    Parameters
    ----------
    path
        `.tlt`, `.rawtlt`, `_TLT.txt`, `.aln`, `.mdoc`, `.xml`, or other text with the angle in its first column.

    Raises
    ------
    TiltError
        If the file is missing, is not such a list, or its angles are impossible.
    """
    file = SeriesFile(path, "tilt file")
    if "\0" in file.text:
        raise file.error("is not a text file", _COLUMN)
    if not file.text.strip():
        raise file.error("is empty", _COLUMN)
    name = file.path.name
    kind = "aretomo-tlt" if name.endswith("_TLT.txt") else _FORMATS.get(file.path.suffix.lower(), "text")
    notes: tuple[str, ...] = ()
    if kind == "warp-xml":
        values, *_, notes = file.warp("Angles")
        found: Iterator[tuple[int, float]] = ((0, angle) for angle in values[0].tolist())
    else:
        found = {"mdoc": _mdoc, "aln": _aln}.get(kind, _columns)(file)
    listed = []
    for line, angle in found:
        if abs(angle) >= _LIMIT:
            raise file.error(f"has the angle {angle:g}", "degrees between -90 and 90", line)
        listed.append(angle)
    angles = sorted(listed)
    if kind == "mdoc":
        if not listed:
            raise file.error("has no TiltAngle in a [ZValue] section", "an .mdoc of SerialEM")
        angles = [a for a, b in pairwise([*angles, math.inf]) if b - a > _SAME]
        if len(angles) < len(listed):
            notes = (f"{name} lists {len(listed) - len(angles)} angles more than once: each is used once",)
    _require_series(file, angles if kind == "mdoc" else listed)
    return TiltAngles(tuple(angles), file.path, kind, notes, tuple(listed))


def write_tilts(path: Path, angles: Sequence[float]) -> None:
    """Write a `.tlt`, one angle in degrees per line; raises `OutputError` if this is not possible."""
    write_text(path, "".join(f"{angle:.4f}\n" for angle in angles))


def require_tilt_range(tilt_min: float, tilt_max: float) -> tuple[float, float]:
    """The two limits of a tilt range, if they are possible; raises `TiltError` if not."""
    wanted = "expected LO HI in degrees with -90 < LO < HI < 90, for example -60 60"
    if not all(math.isfinite(t) and abs(t) < _LIMIT for t in (tilt_min, tilt_max)):
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is impossible; {wanted}")
    if tilt_min >= tilt_max:
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is in the wrong order or empty; {wanted}")
    return float(tilt_min), float(tilt_max)


def _columns(file: SeriesFile) -> Iterator[tuple[int, float]]:
    """The line and the angle of each tilt, as the other readers give them too."""
    rows = file.rows()
    if len(rows) == 1:
        raise file.error("has one line", "one angle a line, for a range use --tilt-range LO HI")
    for line, row in rows:
        yield line, file.number(row[0], line, _ANGLE)
        if len(row) > 3:
            raise file.error(f"has {len(row)} columns", "one angle a line, or the three columns of AreTomo", line)


def _aln(file: SeriesFile) -> Iterator[tuple[int, float]]:
    return ((line, file.number(row[-1], line, _ANGLE)) for line, row in file.rows(ALN_COLUMNS))


def _mdoc(file: SeriesFile) -> Iterator[tuple[int, float]]:
    inside = False
    for line, content in enumerate(file.text.splitlines(), 1):
        if content.startswith("["):
            inside = re.match(r"\[\s*(ZValue|FrameSet)\s*=", content) is not None
        key, _, value = content.partition("=")
        if inside and key.strip() == "TiltAngle":
            yield line, file.number(value.strip(), line, _ANGLE)


def _require_series(file: SeriesFile, angles: list[float]) -> None:
    if len(angles) < 2:
        raise file.error(f"has {len(angles)} angles", "those of a tilt series")
    low = high = angles[0]
    by_angle = angles in (sorted(angles), sorted(angles, reverse=True))
    for number, angle in enumerate(angles[1:], 2):
        if any(abs(angle - other) < _SAME for other in angles[: number - 1]):
            raise file.error(f"has the angle {angle:g} twice", "each tilt once: remove one")
        if low < angle < high and not by_angle:
            raise file.error(
                f"is in the wrong order: angle {number} ({angle:g}) lies between earlier ones",
                "ascending, descending, or outwards as acquired: is this the column of angles?",
            )
        low, high = min(low, angle), max(high, angle)
    if high - low < _LEAST_SPAN or max(map(abs, angles)) < math.pi / 2:
        raise file.error(f"spans only {high - low:.3g} degrees", "a tilt series in degrees")
