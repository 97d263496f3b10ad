"""Which column of a table has the tilt angles: by its name, else by its values, and never merely because it is first.

A column is taken for tilt angles if it lies within ±90 degrees, spans more than a series in radians could, and is
ordered as a tilt series is listed or acquired. If other columns could be angles too, the table is refused with a list
of its columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryowae.io.tables import Table, table_of
from cryowae.io.text_file import SeriesFile

LIMIT = 90.0
"""Degrees; tilt angles are smaller."""

LEAST_SPAN = 3.2
"""Degrees; a series in radians is at most 3.15 wide."""

SAME = 0.05
"""Degrees; angles that differ by less are those of one stage position, written by different programs."""

_EVEN = 0.25  # of the median step: deviation of a step from a multiple of it
_ONES = "one angle a line, in degrees"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_TILT, _ANGLE, _UNIT = (
    {"tilt", "tilts", "tiltangle", "tiltangles"},
    {"angle", "angles", "alpha", "theta"},
    {"deg", "degrees"},
)
_REFINED, _NOMINAL = (
    {"refined", "corrected", "aligned", "final", "y"},
    {"nominal", "raw", "stage", "target", "original"},
)
_NOT_TILTS = (
    "axis rot rotation x xtilt z del deltilt delta dose exposure defocus azimuth astigmatism psi phi error err step "
    "increment offset shift order index number no view section frame image mag skew resid residual time intensity"
)
_OTHER = set(_NOT_TILTS.split())
_RADIANS = {"rad", "radian", "radians"}
_NO_ANGLES = {"dose", "doses", "exposure", "order", "defocus"}


@dataclass(frozen=True)
class _Column:
    number: int  # from 1
    name: str
    values: tuple[float, ...]

    @property
    def words(self) -> set[str]:
        return {word.lower() for word in _WORDS.findall(self.name)}

    @property
    def kind(self) -> str:
        """`angles`, or what it is instead."""
        if counts(self.values):
            return "a count"
        if max(map(abs, self.values)) >= LIMIT:
            return "beyond 90"
        low, high = min(self.values), max(self.values)
        if high - low < SAME:
            return "constant"
        if high - low < LEAST_SPAN:
            return f"spans {high - low:.2g}"
        if not (in_order(self.values) or even_steps(self.values)):
            return "in no order"
        return "angles" if low < 0 < high else "angles of one sign"

    def __str__(self) -> str:
        some = ", ".join(f"{value:g}" for value in self.values[:3])
        return f"{self.number}{f' {self.name[:30]!r}' if self.name else ''}: {some}... ({self.kind})"


def angles_of_table(file: SeriesFile) -> tuple[list[tuple[int, float]], tuple[str, ...]]:
    """The line and the angle of every image in a text with columns, and messages for the user.

    Parameters
    ----------
    file
        Numbers in columns with blanks, commas or semicolons between them, with a header or not; or the log of IMOD's
        tiltalign.

    Raises
    ------
    TiltError
        If the text is no such table, or it is not clear which column has the angles.
    """
    table = table_of(file)
    if len(table.rows) == 1:
        raise file.error("has one line", "one angle a line, for a range use --tilt-range LO HI")
    columns = [
        _Column(number, table.names[number - 1] if table.names else "", values)
        for number, values in table.numeric().items()
    ]
    notes = [*table.notes]
    aretomo = file.path.name.lower().endswith("_tlt.txt")  # angle, order and dose
    others = [column for column in columns if column.number > 1 and column.kind == "angles"]
    first = table.width == 1 or (aretomo and not others and columns[0].kind.startswith("angles"))
    chosen = columns[0] if first else _chosen(file, table, columns)
    if table.width > 1 and not first:
        named = f" ({chosen.name})" if chosen.name else ""
        notes.append(f"{file.path.name}: the angles are those of column {chosen.number} of {table.width}{named}")
    elif table.width == 1 and not chosen.words & (_TILT | _ANGLE):
        notes += _doubts(file, chosen)
    return list(zip(table.lines, chosen.values, strict=True)), tuple(notes)


def in_order(values: Sequence[float]) -> bool:
    """Whether angles are listed by angle, or as acquired: outwards from the first, except for a few later views."""
    if list(values) in (sorted(values), sorted(values, reverse=True)):
        return True
    low = high = values[0]
    within = 0
    for before, value in pairwise(values):
        within += low + SAME < value < high - SAME and abs(value - before) > SAME
        low, high = min(low, value), max(high, value)
    return within <= len(values) // 10


def even_steps(values: Sequence[float]) -> bool:
    """Whether the sorted angles have steps that are nearly multiples of one step."""
    ordered = sorted(values)
    steps = sorted(b - a for a, b in pairwise(ordered) if b - a > SAME)
    if len(steps) < 3:
        return False
    step = steps[len(steps) // 2]
    even = sum(abs(s / step - max(1, round(s / step))) < _EVEN for s in steps)
    return even >= 0.85 * len(steps)


def counts(values: Sequence[float]) -> bool:
    """Whether a column numbers its lines, from 0 or 1, in any order."""
    first = min(values)
    return len(values) > 2 and first in (0, 1) and sorted(values) == [first + i for i in range(len(values))]


def _chosen(file: SeriesFile, table: Table, columns: list[_Column]) -> _Column:
    if _is_transform(columns):
        raise file.error("has the six columns of an alignment (.xf)", f"{_ONES}: give it with --align")
    named = [column for column in columns if not column.words & _OTHER]
    for words in (_TILT, _ANGLE, _UNIT):
        found = [column for column in named if column.words & words]
        if not found:
            continue
        if any(column.words & _RADIANS for column in found):
            raise _unclear(file, table, columns, "has its angles in radians")
        refined = [c for c in found if c.words & _REFINED] or [c for c in found if not c.words & _NOMINAL] or found
        if _one(refined):
            return refined[0]
        raise _unclear(file, table, columns, f"has {len(refined)} columns named as tilt angles")
    for kind in ("angles", "angles of one sign"):
        found = [column for column in named if column.kind == kind]
        if len(found) and _one(found) and (kind == "angles" or not _dosed(table, named, found)):
            return found[0]
        if found:
            break
    raise _unclear(file, table, columns, "does not show which of its columns has the tilt angles")


def _is_transform(columns: list[_Column]) -> bool:
    """Whether the columns are those of an `.xf`: a matrix that nearly keeps areas, and a shift."""
    if len(columns) != 6 or columns[-1].number != 6 or any(column.name for column in columns):
        return False
    matrices = list(zip(*(column.values for column in columns[:4]), strict=True))
    return all(0.5 < a * d - b * c < 2 and max(map(abs, (a, b, c, d))) < 2 for a, b, c, d in matrices)


def _one(columns: list[_Column]) -> bool:
    """Whether there is one column, or several of the same angles."""
    first = columns[0].values
    return all(max(abs(a - b) for a, b in zip(first, c.values, strict=True)) < SAME for c in columns)


def _dosed(table: Table, columns: list[_Column], found: list[_Column]) -> bool:
    """Whether a column of one sign could be the dose: without names, if it never falls where the lines are counted."""
    values = found[0].values
    counted = any(column.kind == "a count" for column in columns)
    return not table.names and counted and list(values) == sorted(values)


def _unclear(file: SeriesFile, table: Table, columns: list[_Column], fault: str) -> Exception:
    shown = "; ".join(map(str, columns[:8])) or "none of numbers"
    return file.error(
        f"{fault} (columns {shown})",
        f"{_ONES}: make such a file, for example with `awk {table.awk}'{{print $N}}' {file.path.name} > NAME.tlt`, "
        "where N is the column of the angles",
    )


def _doubts(file: SeriesFile, column: _Column) -> list[str]:
    """Notes on a single column without a name; raises `TiltError` if it has no angles."""
    values = column.values
    one_sign = min(values) >= 0 or max(values) <= 0
    words = {word.lower() for word in re.findall("[A-Za-z]+", file.path.stem)}
    if counts(values):
        low, high = min(values), max(values)
        hint = f"{_ONES}: if these are angles, give --tilt-range {low:g} {high:g}"
        raise file.error(f"counts from {low:g} to {high:g}: numbers of images and not their angles", hint)
    if one_sign and words & _NO_ANGLES:
        raise file.error(f"has the name of a list of {min(words & _NO_ANGLES)} values", _ONES)
    if one_sign and column.kind == "angles of one sign":
        return [f"{file.path.name} has angles of one sign only: are they those of all images?"]
    return []
