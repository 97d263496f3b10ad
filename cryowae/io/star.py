"""Particle tables in STAR format (Hall, Allen and Cook, 1991) with the columns of RELION.

Written here and not by the starfile package, which puts the time of day into every file: the same particles give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


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
