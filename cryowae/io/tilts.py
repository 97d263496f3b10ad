"""Tilt angles in, from the files that IMOD, AreTomo, SerialEM and Warp leave beside a tomogram, and out.

Formats: `.tlt` (aligned) and `.rawtlt` (nominal), one angle a line; AreTomo's `_TLT.txt`, whose first of three columns
is the angle, and `.aln`, whose column TILT is (aligned); SerialEM's `.mdoc`, one `TiltAngle` a `ZValue`; Warp's XML,
`Angles` of those tilts that `UseTilt` keeps. Other plain text is read like a `.tlt`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from cryowae.errors import TiltError
from cryowae.io.text import write_text

_LIMIT = 90.0
_LEAST_SPAN = 3.0  # degrees; a series in radians is at most 3.1 wide and nowhere beyond pi / 2
_SAME = 1e-3
_ALN_COLUMNS = ["SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT"]


@dataclass(frozen=True)
class TiltAngles:
    """The tilt angles of one series.

    Attributes
    ----------
    angles
        Degrees, ascending.
    source
        The file they came from.
    format
        `tlt`, `rawtlt`, `aretomo-tlt`, `aln`, `mdoc`, `warp-xml` or `text`.
    notes
        What the user should know about the file, one line each.
    listed
        The angles in the order of the file: those of the images of a tilt series, one after the other.
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
    branches). Any other order means that the column holds something else, or that the list was shuffled. Only an
    `.mdoc`, which names each angle, may list them in any order and twice.

    Parameters
    ----------
    path
        `.tlt`, `.rawtlt`, `_TLT.txt`, `.aln`, `.mdoc`, `.xml`, or other text with the angle in its first column.

    Raises
    ------
    TiltError
        If the file is missing, is not such a list, or its angles are impossible.
    """
    path = Path(path)
    kind = _format(path)
    text = _text(path)
    notes: list[str] = []
    if kind == "mdoc":
        angles = listed = _mdoc(path, text)
        unique = [a for a, b in pairwise([*sorted(angles), math.inf]) if b - a > _SAME]
        if len(unique) < len(angles):
            notes.append(f"{path.name} lists {len(angles) - len(unique)} angles more than once: each is used once")
        angles = sorted(unique)
    elif kind == "warp-xml":
        angles = listed = _warp(path, text, notes)
    elif kind == "aln":
        angles = listed = _aln(path, text)
    else:
        angles = listed = _columns(path, text)
    _require_series(path, angles)
    return TiltAngles(tuple(sorted(angles)), path, kind, tuple(notes), tuple(listed))


def write_tilts(path: Path, angles: Sequence[float]) -> None:
    """Write a `.tlt`, one angle in degrees a line; raises `OutputError` if that cannot be."""
    write_text(path, "".join(f"{angle:.4f}\n" for angle in angles))


def require_tilt_range(tilt_min: float, tilt_max: float) -> tuple[float, float]:
    """The two limits of a tilt range, if they are possible; raises `TiltError` if not."""
    wanted = "expected LO HI in degrees with -90 < LO < HI < 90, for example -60 60"
    if not all(math.isfinite(t) and abs(t) < _LIMIT for t in (tilt_min, tilt_max)):
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is impossible; {wanted}")
    if tilt_min >= tilt_max:
        raise TiltError(f"tilt range {tilt_min:g} {tilt_max:g} is in the wrong order or empty; {wanted}")
    return float(tilt_min), float(tilt_max)


def _format(path: Path) -> str:
    if path.name.endswith("_TLT.txt"):
        return "aretomo-tlt"
    kinds = {".tlt": "tlt", ".rawtlt": "rawtlt", ".aln": "aln", ".mdoc": "mdoc", ".xml": "warp-xml"}
    return kinds.get(path.suffix.lower(), "text")


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise TiltError(f"tilt file {path} cannot be read ({error.strerror}); check the name") from None
    if "\0" in text:
        raise TiltError(f"tilt file {path} is not a text file; expected one angle a line, in degrees")
    if not text.strip():
        raise TiltError(f"tilt file {path} is empty; expected one angle a line, in degrees")
    return text


def _columns(path: Path, text: str) -> list[float]:
    rows = _rows(text)
    if len(rows) == 1:
        raise TiltError(f"tilt file {path} has one line; expected one angle a line, for a range use --tilt-range LO HI")
    angles = []
    for line, row in rows:
        angles.append(_angle(path, line, row[0]))
        if len(row) > 3:
            raise TiltError(
                f"tilt file {path} has {len(row)} columns in line {line}; expected one angle a line, or the three "
                "columns of AreTomo"
            )
    return angles


def _aln(path: Path, text: str) -> list[float]:
    rows = _rows(re.split(r"^#\s*Local Alignment", text, maxsplit=1, flags=re.MULTILINE)[0])
    for line, row in rows:
        if len(row) != len(_ALN_COLUMNS):
            raise TiltError(
                f"tilt file {path} has {len(row)} columns in line {line}; expected the {len(_ALN_COLUMNS)} of an "
                f"AreTomo alignment ({' '.join(_ALN_COLUMNS)})"
            )
    return [_angle(path, line, row[-1]) for line, row in rows]


def _mdoc(path: Path, text: str) -> list[float]:
    angles = []
    inside = False
    for line, content in enumerate(text.splitlines(), 1):
        if content.startswith("["):
            inside = re.match(r"\[\s*(ZValue|FrameSet)\s*=", content) is not None
        key, _, value = content.partition("=")
        if inside and key.strip() == "TiltAngle":
            angles.append(_angle(path, line, value.strip()))
    if not angles:
        raise TiltError(f"tilt file {path} has no TiltAngle in a [ZValue] section; expected an .mdoc of SerialEM")
    return angles


def _warp(path: Path, text: str, notes: list[str]) -> list[float]:
    try:
        root = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as error:
        raise TiltError(
            f"tilt file {path} is no valid XML ({error}); expected the XML of a tilt series of Warp"
        ) from None
    angles = (root.findtext("Angles") or "").split()
    if root.tag != "TiltSeries" or not angles:
        raise TiltError(f"tilt file {path} has no TiltSeries with Angles; expected the XML of a tilt series of Warp")
    flags = [flag.lower() for flag in (root.findtext("UseTilt") or "").split()] or ["true"] * len(angles)
    if len(flags) != len(angles):
        raise TiltError(f"tilt file {path} has {len(angles)} Angles and {len(flags)} UseTilt flags; expected as many")
    used = [_angle(path, 0, angle) for angle, flag in zip(angles, flags, strict=True) if flag == "true"]
    if len(used) < len(angles):
        notes.append(f"{path.name} leaves out {len(angles) - len(used)} of {len(angles)} tilts (UseTilt)")
    return used


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The numbered lines that are neither blank nor a comment, split into columns."""
    lines = enumerate(text.splitlines(), 1)
    return [(n, re.split(r"[\s,;]+", line.strip())) for n, line in lines if line.strip() and line.strip()[0] != "#"]


def _angle(path: Path, line: int, word: str) -> float:
    where = f" in line {line}" if line else ""
    try:
        angle = float(word)
    except ValueError:
        shown = word if len(word) <= 20 else word[:20] + "..."
        raise TiltError(f"tilt file {path} has {shown!r}{where}; expected an angle in degrees") from None
    if not abs(angle) < _LIMIT:  # also NaN
        raise TiltError(f"tilt file {path} has the angle {angle:g}{where}; expected degrees between -90 and 90")
    return angle


def _require_series(path: Path, angles: list[float]) -> None:
    if len(angles) < 2:
        raise TiltError(f"tilt file {path} has {len(angles)} angles; expected those of a tilt series")
    low = high = angles[0]
    by_angle = angles in (sorted(angles), sorted(angles, reverse=True))
    for number, angle in enumerate(angles[1:], 2):
        if any(abs(angle - other) < _SAME for other in angles[: number - 1]):
            raise TiltError(f"tilt file {path} has the angle {angle:g} twice; expected each tilt once: remove one")
        if low < angle < high and not by_angle:
            raise TiltError(
                f"tilt file {path} is in the wrong order: angle {number} ({angle:g}) lies between earlier ones; "
                "expected ascending, descending, or outwards as acquired: is this the column of angles?"
            )
        low, high = min(low, angle), max(high, angle)
    if high - low < _LEAST_SPAN or max(map(abs, angles)) < math.pi / 2:
        raise TiltError(f"tilt file {path} spans only {high - low:.3g} degrees; expected a tilt series in degrees")
