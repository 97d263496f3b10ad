"""Tables in STAR format (Hall, Allen and Cook, 1991): particles are written with the columns of RELION, any are read.

Written here and not by the starfile package, which puts the time of day into every file: the same particles give the
same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryowae.io.text_file import SeriesFile

_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|\S+""")


@dataclass(frozen=True)
class StarTable:
    """One block of a STAR file.

    Attributes
    ----------
    name
        Of the block, without `data_`.
    columns
        The words of each label, which is without its underscore.
    lines
        Numbers of the lines of the rows.
    """

    name: str
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]


def star_tables(file: SeriesFile) -> list[StarTable]:
    """All blocks of a STAR file, loops or not.

    Raises
    ------
    TiltError
        If a row has fewer or more words than its table has labels.
    """
    tables: list[StarTable] = []
    name, looped = "", False
    labels: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []

    def close() -> None:
        if labels and rows:
            columns = dict(zip(labels, zip(*rows, strict=True), strict=True))
            tables.append(StarTable(name, columns, tuple(lines)))
        for part in (labels, rows, lines):
            part.clear()

    for number, text in enumerate(file.text.splitlines(), 1):
        words = _QUOTED.findall(re.sub(r"(^|\s)#.*", "", text))
        if not words:
            continue
        if words[0].startswith("data_"):
            close()
            name, looped = words[0][5:], False
        elif words[0] == "loop_":
            close()
            looped = True
        elif words[0].startswith("_") and looped and not rows:
            labels.append(words[0][1:])
        elif words[0].startswith("_") and not looped and len(words) == 2:  # one value
            labels.append(words[0][1:])
            if not rows:
                rows.append([])
                lines.append(number)
            rows[0].append(words[1].strip("\"'"))
        elif looped and len(words) == len(labels):
            rows.append([word.strip("\"'") for word in words])
            lines.append(number)
        else:
            raise file.error(f"has {len(words)} words", f"the {len(labels)} of its table in STAR format", number)
    close()
    return tables


def relion_angles(rotation: NDArray[np.floating]) -> tuple[float, float, float]:
    """Euler angles of RELION for a rotation of the reference into the tomogram.

    Parameters
    ----------
    rotation
        `(3, 3)` proper rotation of `(z, y, x)` column vectors: density at `centre + R p` is the reference's at `p`.

    Returns
    -------
    rot, tilt, psi
        Degrees; tilt within 0..180. RELION's matrix `A = Rz(-psi) Ry(-tilt) Rz(-rot)` of `(x, y, z)` vectors takes the
        reference to the particle (Heymann, Chagoyen and Belnap, J. Struct. Biol. 151, 2005).
    """
    a = np.asarray(rotation, dtype=np.float64)[::-1, ::-1]  # of (x, y, z)
    side = float(np.hypot(a[2, 0], a[2, 1]))
    tilt = np.arctan2(side, a[2, 2])
    if side > 1e-7:
        rot, psi = np.arctan2(a[2, 1], a[2, 0]), np.arctan2(a[1, 2], -a[0, 2])
    else:  # only their sum (or difference) is defined: it is assigned to psi
        rot, psi = 0.0, np.arctan2(a[0, 1], a[1, 1])
    first, second, third = np.degrees([rot, tilt, psi])
    return float(first), float(second), float(third)


def star_table(name: str, columns: Mapping[str, Sequence[str | int | float]]) -> str:
    """Text of one `data_NAME` block with a loop, floats to six decimals.

    Parameters
    ----------
    name
        Name of the block.
    columns
        Label, without its underscore, and one value per row.
    """
    head = [f"data_{name}", "", "loop_", *(f"_{label} #{i}" for i, label in enumerate(columns, 1))]
    rows = ["\t".join(map(_word, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join(["", *head, *rows, "", ""])


def _word(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value + 0.0:.6f}"
    text = str(value)
    return f'"{text}"' if not text or any(c.isspace() for c in text) or text[0] in "_#\"'" else text
