"""The table of a run, which gets a row from time to time; a resumed run cuts it back to its first step."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryowae.io.outputs import write_text


class Rows:
    """A CSV file with a column `step`.

    Parameters
    ----------
    path
        The file; it is rewritten whole with every row.
    keep
        Go on with the rows up to this step; None starts a new table.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self._path = path
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._rows: list[dict[str, str]] = []
        if keep is not None and path.exists():
            self._rows = [row for row in read_rows(path) if int(row["step"]) <= keep]

    def add(self, values: Mapping[str, float]) -> None:
        """Note values of one step."""
        for name, value in values.items():
            self._sums[name].append(value)

    def write_means(self, step: int, more: Mapping[str, object]) -> None:
        """Write a row with the means of the values since the last row."""
        self.write(step, {**more, **{name: sum(v) / len(v) for name, v in self._sums.items()}})
        self._sums.clear()

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """Write a row. If the step has one already, its other values are kept."""
        row = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()}
        same = next((r for r in self._rows if r["step"] == str(step)), {})
        self._rows = [r for r in self._rows if r is not same] + [{**same, "step": str(step), **row}]
        write_rows(self._rows, self._path)


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write a CSV file with a column for every name that a row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
