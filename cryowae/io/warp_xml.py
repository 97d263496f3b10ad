"""Tilt series in the XML of Warp: the elements of the images that are used, and how the sample was levelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryowae.io.text_file import SeriesFile

WARP_SIGN = -1
"""Warp's tilt `t` lies on `kz = -tan(t) kx`: see docs/conventions.md."""

LEAST_X_TILT = 0.5
"""Degrees; smaller rotations about x are not worth a note."""

_WARP = "the XML of a tilt series of Warp"


@dataclass(frozen=True, eq=False)
class WarpSeries:
    """A tilt series of Warp.

    Attributes
    ----------
    angles
        `(tilts,)` degrees with Warp's sign, `LevelAngleY` included.
    values
        `(names, tilts)` numbers of the other elements that were asked for.
    used, images
        `(tilts,)` images that are kept, from 0, and how many the file lists.
    level
        `LevelAngleY`, degrees.
    notes
        Messages for the user about the file, one line each.
    """

    angles: NDArray[np.float64]
    values: NDArray[np.float64]
    used: NDArray[np.int64]
    images: int
    level: float
    notes: tuple[str, ...]


def read_warp(file: SeriesFile, *names: str) -> WarpSeries:
    """Read the images that `UseTilt` keeps.

    Warp projects with `Angles + LevelAngleY` about y, after a rotation by `LevelAngleX` about x, which levels the
    sample (`WarpTools ts_autolevel` writes both and leaves `Angles` alone).

    Parameters
    ----------
    file
        The XML.
    names
        Elements to read besides `Angles`.

    Raises
    ------
    TiltError
        If the text is no such XML, an element is missing, or the elements differ in length.
    """
    root = file.xml(_WARP)
    words = {name: (root.findtext(name) or "").split() for name in ("Angles", *names)}
    missing = [name for name in words if root.tag != "TiltSeries" or not words[name]]
    if missing:
        raise file.error(f"has no {', '.join(missing)} in a TiltSeries", _WARP)
    images = len(words["Angles"])
    file.require_images(images)
    flags = (root.findtext("UseTilt") or "").lower().split() or ["true"] * images
    odd = [f"{len(v)} {name}" for name, v in {**words, "UseTilt": flags}.items() if len(v) != images]
    if odd:
        raise file.error(f"has {images} Angles and {', '.join(odd)}", "the same number of each")
    if unknown := sorted({flag for flag in flags if flag not in ("true", "false", "1", "0")}):
        raise file.error(f"has {unknown[0][:20]!r} in UseTilt", "True or False for each image")
    used = np.flatnonzero([flag in ("true", "1") for flag in flags])
    values = np.array([[file.number(word[i]) for i in used] for word in words.values()])
    about_x, about_y = (file.number(root.get(f"LevelAngle{axis}", "0")) for axis in "XY")
    notes = []
    if len(used) < images:
        notes.append(f"{file.path.name} leaves out {images - len(used)} of {images} tilts (UseTilt)")
    if abs(about_x) >= LEAST_X_TILT:
        notes.append(
            f"{file.path.name} levels the sample by {about_x:.1f} degrees about x (LevelAngleX), which is not taken "
            "into account: the real wedge is turned by this angle about x"
        )
    return WarpSeries(values[0] + about_y, values[1:], used, images, about_y, tuple(notes))
