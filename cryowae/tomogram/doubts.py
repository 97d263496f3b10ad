"""What speaks against restoring a volume: it was restored already, or it is a tilt series."""

from __future__ import annotations

import math

from cryowae.io.mrc import is_stack
from cryowae.tomogram.measured_range import measure_range
from cryowae.tomogram.opening import Tomogram

_EMPTY = 0.5  # power in the missing wedge over that outside, below which a volume has one


def doubts_of(tomogram: Tomogram) -> list[str]:
    """Reasons why a volume should not be restored, one line each: what was found, what is expected, what to do."""
    return [*_restored(tomogram), *_series(tomogram)]


def _restored(tomogram: Tomogram) -> list[str]:
    """The reason, if a label of the file says that this program restored it."""
    weights = tomogram.header.restored_by
    said = f"{tomogram.path} was restored already, by {weights}, as its label says; expected the original tomogram"
    return [said] if weights else []


def _series(tomogram: Tomogram) -> list[str]:
    """The reason, if a file has the signs of a tilt series and its spectrum not the missing wedge of a volume."""
    sections, angles = tomogram.header.shape[0], len(tomogram.tilts or ())
    named = is_stack(tomogram.path, tomogram.header)
    if not named and not 0 < sections == angles:
        return []
    measured = measure_range(tomogram.data)
    edge = measured.low or measured.high
    if (edge and measured.emptiness < _EMPTY) or (math.isnan(measured.emptiness) and not named):
        return []
    found = f"has {sections} sections" + (f" and there are {angles} tilts" if angles else "")
    return [
        f"{tomogram.path} {found}, and no missing wedge: it looks like a tilt series; expected a volume: make one with "
        "`cryowae reconstruct`"
    ]
