"""Text in columns: which character separates them, whether the comma is a decimal one, and where the header ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryowae.io.text_file import NUMBER, SeriesFile

_ANGLE = "an angle in degrees"
_DECIMAL = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_WHOLE = re.compile(r"([+-]?\d+),(\d+)", re.ASCII)
_LOG = re.compile(
    r"^[ \t]*view[ \t]+(rotation[ \t]+)?tilt[ \t]+deltilt\b.*$", re.MULTILINE
)  # tables in the log of tiltalign
_LONGEST_HEADER = 50  # lines


@dataclass(frozen=True)
class Table:
    """Cells of a text.

    Attributes
    ----------
    names
        Of the columns, from a header; empty if there is none.
    rows, lines
        The cells of each line, with decimal points, and the numbers of the lines.
    awk
        Option of awk for the separator, for messages.
    notes
        Messages for the user, one line each.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    awk: str = ""
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def numeric(self) -> dict[int, tuple[float, ...]]:
        """The values of the columns that have numbers alone, by the number of the column, from 1."""
        columns = enumerate(zip(*self.rows, strict=True), 1)
        return {i: tuple(map(float, cells)) for i, cells in columns if all(map(NUMBER.fullmatch, cells))}


def table_of(file: SeriesFile) -> Table:
    """The table in a text, after the lines of a header.

    Raises
    ------
    TiltError
        If a line after the header has another number of cells, or a word where other lines have a number.
    """
    lines = _lines(file)
    notes: list[str] = []
    if log := _LOG.search(file.text):
        return _log_table(file, file.text[: log.start()].count("\n") + 1, log[0])
    file.require_images(len(lines) - _LONGEST_HEADER)  # before all of them are split
    texts = [text for _, text in lines]
    split, awk = _splitter(texts)
    cells = [split(text) for text in texts]
    first = _first_row(cells)
    if first is None or first > _LONGEST_HEADER:
        raise file.error(f"has {texts[0][:20]!r}", _ANGLE, lines[0][0])
    if len(cells) - first > 2 and _is_total(cells, first):
        notes.append(f"{file.path.name} begins with the number of its lines, which is left out")
        first += 1
    rows, numbers = cells[first:], [number for number, _ in lines[first:]]
    numeric = [bool(NUMBER.fullmatch(cell)) for cell in rows[0]]
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != len(numeric):
            raise file.error(f"has {len(row)} columns and not {len(numeric)} as before", _ANGLE, number)
        wrong = [cell for cell, known in zip(row, numeric, strict=True) if known and not NUMBER.fullmatch(cell)]
        if wrong:
            raise file.error(f"has {wrong[0][:20]!r}", _ANGLE, number)
    file.require_images(len(rows))
    names = _names(file, numbers[0], split, len(numeric))
    return Table(names, tuple(map(tuple, rows)), tuple(numbers), awk, tuple(notes))


def _lines(file: SeriesFile) -> list[tuple[int, str]]:
    """Number and text of every line that is neither blank nor a comment."""
    lines = ((number, re.split("[#!%]", line)[0].strip()) for number, line in enumerate(file.text.splitlines(), 1))
    found = [(number, text) for number, text in lines if text.strip(";, ")]
    if not found:
        raise file.error("has no line but comments", "one angle a line, in degrees")
    return found


class _Split:
    """Splits a line at a separator, and writes decimal commas as points."""

    def __init__(self, separator: str, decimal: bool) -> None:
        self._separator, self._decimal = separator, decimal

    def __call__(self, text: str) -> list[str]:
        if self._separator:
            cells = re.split(rf"\s*{self._separator}\s*", text.strip().rstrip(self._separator + " "))
            if not any(" " in cell and not re.search("[A-Za-z]", cell) for cell in cells):
                return [self._point(cell.strip().strip("\"'")) for cell in cells]
        return [self._point(cell.strip("\"'")) for cell in re.split(rf"[\s{self._separator}]+", text.strip())]

    def _point(self, cell: str) -> str:
        return cell.replace(",", ".") if self._decimal and _DECIMAL.fullmatch(cell) else cell


def _splitter(texts: Sequence[str]) -> tuple[_Split, str]:
    """How to split the lines, and the option of awk that does the same."""
    data = [text for text in texts if re.search(r"\d", text)]
    if any(";" in text for text in data):
        return _Split(";", True), "-F';' "
    if any("," in text for text in data):
        return (_Split("", True), "") if _decimal_commas(data) else (_Split(",", False), "-F, ")
    return _Split("", False), ""


def _decimal_commas(data: Sequence[str]) -> bool:
    """Whether the commas are decimal ones and blanks separate the columns.

    `-60,01` alone in a line could also be two columns: so it is if the numbers before the comma count the lines, or if
    those behind it differ in length or are a list of their own, with even steps.
    """
    cells = [cell for text in data for cell in text.split() if re.search(r"\d", cell)]
    with_comma = [cell for cell in cells if "," in cell]
    if any("." in cell for cell in cells) or not all(map(_DECIMAL.fullmatch, with_comma)):
        return False
    if any(len(text.split()) > 1 for text in data):
        return True
    pairs = [found.groups() for cell in with_comma if (found := _WHOLE.fullmatch(cell))]
    if len(pairs) < len(with_comma) or len(with_comma) < len(data) or len({len(b) for _, b in pairs}) > 1:
        return len(pairs) < len(with_comma) or len(with_comma) < len(data)
    before, behind = ([int(pair[i][:9]) for pair in pairs] for i in (0, 1))
    if before[0] in (0, 1) and before == list(range(before[0], before[0] + len(before))):
        return False
    steps = {b - a for a, b in zip(sorted(behind), sorted(behind)[1:], strict=False)}
    return len(steps) > 1 or steps == {0} or len(pairs) < 3


def _first_row(cells: Sequence[Sequence[str]]) -> int | None:
    """The first line of numbers: all its cells are, or the same ones as in the next line."""
    kinds = [[bool(NUMBER.fullmatch(cell)) for cell in row] for row in cells]
    for i, kind in enumerate(kinds):
        if all(kind) or (any(kind) and i + 1 < len(kinds) and kind == kinds[i + 1]):
            return i
    return None


def _is_total(cells: Sequence[Sequence[str]], first: int) -> bool:
    """Whether the first line is the number of those that follow, which are another kind of numbers."""
    head, rest = cells[first], cells[first + 1 :]
    if len(head) != 1 or not re.fullmatch(r"\d{1,4}", head[0]) or int(head[0]) != len(rest):
        return False
    return len(rest[0]) > 1 or any("." in row[0] or "-" in row[0] for row in rest)


def _names(file: SeriesFile, line: int, split: _Split, width: int) -> tuple[str, ...]:
    """The names of the columns in the nearest line above line `line`, a comment or not, that has as many words."""
    for text in reversed(file.text.splitlines()[: line - 1]):
        words = split(re.sub(r"^[\s#!%;]+", "", text)) if text.strip() else []
        if len(words) == width and all(re.search("[A-Za-z]", word) for word in words):
            return tuple(words)
    return ()


def _log_table(file: SeriesFile, line: int, head: str) -> Table:
    """The first table of views in the log of tiltalign, the one of the whole series."""
    names = re.sub(r"\bmean resid", "mean-resid", head).split()
    rows, numbers = [], []
    for number, text in enumerate(file.text.splitlines()[line:], line + 1):
        words = text.split()
        if len(words) != len(names) or not all(map(NUMBER.fullmatch, words)):
            break
        rows.append(tuple(words))
        numbers.append(number)
    if not rows:
        raise file.error("has a table of views without numbers", "the log of tiltalign", line)
    file.require_images(len(rows))
    note = f"{file.path.name} is a log of tiltalign, whose angles are rounded: its .tlt is better"
    return Table(tuple(names), tuple(rows), tuple(numbers), notes=(note,))
