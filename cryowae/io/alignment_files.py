"""Alignments of tilt series in: IMOD's `.xf`, AreTomo's `.aln`, Warp's XML.

All three say how an image lies against the volume. Here it is always said in one way: a point of the aligned image, in
which the tilt axis is y and passes through the middle, lies at `matrix @ point + shift` in the raw image. Points are
`(x, y)` from the middle of the image, halfway between its first and its last pixel.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError

_ALN_COLUMNS = 10
_LEAST_DETERMINANT = 0.1


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the points of aligned images lie in the raw images of a tilt series.

    Attributes
    ----------
    sections
        `(tilts,)` which image of the stack, from 0; images that the file leaves out are not among them.
    matrix
        `(tilts, 2, 2)` acts on `(x, y)` column vectors.
    shift
        `(tilts, 2)` along x and y, in pixels of the raw images.
    images
        How many images the raw stack has.
    tilts
        `(tilts,)` degrees with the sign of `kz = +tan(t) kx`; None if the file has none.
    source
        The file.
    notes
        What the user should know about the file, one line each.
    """

    sections: NDArray[np.int64]
    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    images: int
    tilts: NDArray[np.float64] | None
    source: Path
    notes: tuple[str, ...] = ()

    def of_stack(self, images: int) -> Alignment:
        """The alignment of a stack with this many images: the raw one, or one without what the file leaves out.

        Raises
        ------
        TiltError
            If it is neither.
        """
        kept = len(self.sections)
        if images == self.images:
            return self
        if images == kept:
            return replace(self, sections=np.argsort(np.argsort(self.sections)), images=images)
        expected = f"{kept} images" if kept == self.images else f"{self.images} images, {kept} of them used"
        raise TiltError(
            f"alignment {self.source} is of {expected}, but the tilt series has {images}: do they belong together?"
        )


def read_alignment(path: str | Path, pixel_size: float) -> Alignment:
    """Read the alignment of a tilt series.

    Parameters
    ----------
    path
        IMOD `.xf`, AreTomo `.aln` or Warp `.xml`.
    pixel_size
        Of the raw images in angstrom, to which Warp's offsets are converted; the others count in raw pixels.

    Raises
    ------
    TiltError
        If the file is missing, is none of these, or its numbers are impossible.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise TiltError(f"alignment {path} cannot be read ({error.strerror}); check the name") from None
    readers = {".xf": _read_xf, ".aln": _read_aln}
    if path.suffix.lower() == ".xml":
        found = _read_warp(path, text, pixel_size)
    elif path.suffix.lower() in readers:
        found = readers[path.suffix.lower()](path, text)
    else:
        raise TiltError(
            f"alignment {path} has an unknown ending; expected .xf of IMOD, .aln of AreTomo or .xml of Warp"
        )
    if len(found.sections) < 2:
        raise TiltError(f"alignment {path} has {len(found.sections)} images; expected those of a tilt series")
    return found


def _read_xf(path: Path, text: str) -> Alignment:
    """Six numbers a line: `aligned = A raw + d`, A row by row, then d (IMOD, `man xf`)."""
    rows = np.array(_table(path, text, 6, "A11 A12 A21 A22 DX DY")).reshape(-1, 6)
    forward, offset = rows[:, :4].reshape(-1, 2, 2), rows[:, 4:]
    if len(rows) and np.abs(np.linalg.det(forward)).min() < _LEAST_DETERMINANT:
        line = int(np.abs(np.linalg.det(forward)).argmin()) + 1
        raise TiltError(f"alignment {path} has a transform that collapses the image (number {line}); align it again")
    matrix = np.linalg.inv(forward)
    shift = -np.einsum("nij,nj->ni", matrix, offset)
    return Alignment(np.arange(len(rows)), matrix, shift, len(rows), None, path)


def _read_aln(path: Path, text: str) -> Alignment:
    """The raw image, shifted by -(TX, TY) and then turned by -ROT, is the aligned one, as AreTomo's own `.xf` say."""
    head, *local = re.split(r"^#\s*Local Alignment", text, maxsplit=1, flags=re.MULTILINE)
    rows = np.array(_table(path, head, _ALN_COLUMNS, "SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT"))
    rows = rows.reshape(-1, _ALN_COLUMNS)
    dark = [int(section) for section in re.findall(r"^#\s*DarkFrame\s*=\s*\d+\s+(\d+)", head, re.MULTILINE)]
    size = re.search(r"^#\s*RawSize\s*=\s*\d+\s+\d+\s+(\d+)", head, re.MULTILINE)
    images = len(rows) + len(dark)
    if size and int(size[1]) != images:
        raise TiltError(
            f"alignment {path} has {len(rows)} images and {len(dark)} dark ones; expected the {size[1]} that its "
            "RawSize tells"
        )
    sections = _aln_sections(path, rows[:, 0].astype(np.int64), dark, images)
    notes = (f"{path.name} has local alignments, which are not applied",) if local else ()
    return Alignment(sections, _rotations(rows[:, 1]), rows[:, 3:5], images, rows[:, 9], path, notes)


def _aln_sections(path: Path, named: NDArray[np.int64], dark: list[int], images: int) -> NDArray[np.int64]:
    """Sections of the raw stack, from 0: newer files count it from 1, older ones count what is left without the dark.

    Raises
    ------
    TiltError
        If the numbers are neither.
    """
    for first in (0, 1):
        if sorted([*named, *dark]) == list(range(first, images + first)):
            return named - first
        left = [section for section in range(images) if section + first not in dark]
        if sorted(named) == list(range(first, len(named) + first)) and len(left) == len(named):
            return np.array(left)[named - first]
    raise TiltError(f"alignment {path} has sections that do not count its {images} images; expected each one once")


def _read_warp(path: Path, text: str, pixel_size: float) -> Alignment:
    """Raw point = R(AxisAngle) (x cos t - z sin t, y) + AxisOffset: the tilt has the sign opposite to ours."""
    try:
        root = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as error:
        raise TiltError(
            f"alignment {path} is no valid XML ({error}); expected the XML of a tilt series of Warp"
        ) from None
    names = ("Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
    words = {name: (root.findtext(name) or "").split() for name in names}
    missing = [name for name in names if not words[name]]
    if root.tag != "TiltSeries" or missing:
        raise TiltError(
            f"alignment {path} has no {', '.join(missing) or 'TiltSeries'}; expected the XML of a tilt series of Warp"
        )
    images = len(words["Angles"])
    flags = (root.findtext("UseTilt") or "").lower().split() or ["true"] * images
    odd = [f"{len(value)} {name}" for name, value in (*words.items(), ("UseTilt", flags)) if len(value) != images]
    if odd:
        raise TiltError(f"alignment {path} has {images} Angles and {', '.join(odd)}; expected as many of each")
    used = np.array([i for i, flag in enumerate(flags) if flag == "true"], dtype=np.int64)
    angle, axis, x, y = (np.array([_number(path, 0, word) for word in words[name]])[used] for name in names)
    angle = angle + _number(path, 0, root.get("LevelAngleY", "0"))
    notes = [f"{path.name} leaves out {images - len(used)} of {images} tilts (UseTilt)"] if len(used) < images else []
    shift = np.stack([x, y], axis=1) / pixel_size
    return Alignment(used, _rotations(axis), shift, images, -angle, path, tuple(notes))


def _rotations(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, 2, 2)` matrices that turn x towards y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.stack([c, -s, s, c], axis=-1).reshape(-1, 2, 2)


def _table(path: Path, text: str, columns: int, names: str) -> list[list[float]]:
    """Numbers of the lines that are neither blank nor a comment."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if words and len(words) != columns:
            raise TiltError(f"alignment {path} has {len(words)} columns in line {number}; expected {columns}: {names}")
        if words:
            rows.append([_number(path, number, word) for word in words])
    return rows


def _number(path: Path, line: int, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        where = f" in line {line}" if line else ""
        raise TiltError(f"alignment {path} has {word[:20]!r}{where}; expected a number")
    return value
