"""Text files about a tilt series, as IMOD, AreTomo and Warp write them: their lines and errors, and the alignments.

IMOD's `.xf`, AreTomo's `.aln` and Warp's XML define the position of an image in the volume differently. Here one
definition is used: a point of the aligned image, in which the tilt axis is y and passes through the middle, lies at
`matrix @ point + shift` in the raw image. Points are `(x, y)` from the middle of the image, halfway between its first
and its last pixel. Angles are in `cryowae.io.tilts`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError

XF_COLUMNS = ("A11", "A12", "A21", "A22", "DX", "DY")
ALN_COLUMNS = ("SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT")

_LOCAL = re.compile(r"^#\s*Local Alignment", re.MULTILINE)  # the lines after it in an `.aln` describe patches
_WARP = "the XML of a tilt series of Warp"
_LEAST_DETERMINANT = 0.1


@dataclass(frozen=True, eq=False)
class Alignment:
    """Alignment of a tilt series: the positions of aligned points in the raw images.

    Attributes
    ----------
    sections
        `(tilts,)` number of the image in the stack, from 0; without the images that the file leaves out.
    matrix
        `(tilts, 2, 2)` acts on `(x, y)` column vectors.
    shift
        `(tilts, 2)` along x and y, in pixels of the raw images.
    images
        Number of images in the raw stack.
    tilts
        `(tilts,)` degrees with the sign of `kz = +tan(t) kx`; None if the file has none.
    source
        The file.
    notes
        Messages for the user about the file, one line each.
    """

    sections: NDArray[np.int64]
    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    images: int
    tilts: NDArray[np.float64] | None
    source: Path
    notes: tuple[str, ...] = ()

    def of_stack(self, images: int) -> Alignment:
        """The alignment of a stack with this many images: all raw images, or only those that the file keeps.

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
        Size of the raw pixels in angstrom, to convert Warp's offsets; the other formats use raw pixels.

    Raises
    ------
    TiltError
        If the file is missing, is none of these, or its numbers are impossible.
    """
    file = SeriesFile(path, "alignment")
    readers: dict[str, Callable[[SeriesFile, float], Alignment]] = {".xf": _xf, ".aln": _aln, ".xml": _warp}
    if (ending := file.path.suffix.lower()) not in readers:
        raise file.error("has an unknown ending", ".xf of IMOD, .aln of AreTomo or .xml of Warp")
    found = readers[ending](file, pixel_size)
    if len(found.sections) < 2:
        raise file.error(f"has {len(found.sections)} images", "those of a tilt series")
    return found


class SeriesFile:
    """A text file, read as a whole; its errors name the file and the line.

    Parameters
    ----------
    path
        The file.
    kind
        Kind of the file, for the error messages.

    Raises
    ------
    TiltError
        If it cannot be read.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path, self.kind = Path(path), kind
        try:
            self.text = self.path.read_bytes().decode("utf-8-sig", "replace")
        except OSError as error:
            raise TiltError(f"{kind} {path} cannot be read ({error.strerror}); check the name") from None

    def error(self, got: str, expected: str, line: int = 0) -> TiltError:
        """The error with the value found in the file, its line if given, and the expected value."""
        where = f" in line {line}" if line else ""
        return TiltError(f"{self.kind} {self.path} {got}{where}; expected {expected}")

    def number(self, word: str, line: int = 0, expected: str = "a number") -> float:
        """`word` as a finite number; raises `TiltError` if it is none."""
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"has {word[:20]!r}", expected, line)
        return value

    def rows(self, columns: Sequence[str] = ()) -> list[tuple[int, list[str]]]:
        """Number and words of every line that is not blank, not a comment and not about a local alignment.

        Parameters
        ----------
        columns
            Names of the columns that every line must have; any number of columns if not given.

        Raises
        ------
        TiltError
            If the number of columns of a line is different.
        """
        text = _LOCAL.split(self.text)[0]
        lines = ((number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
        rows = [(number, re.split(r"[\s,;]+", line)) for number, line in lines if line]
        for number, row in rows:
            if columns and len(row) != len(columns):
                raise self.error(f"has {len(row)} columns", f"{len(columns)}: {' '.join(columns)}", number)
        return rows

    def table(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """`(lines, columns)` numbers; raises `TiltError` as `rows` and `number` do."""
        numbers = [[self.number(word, line) for word in row] for line, row in self.rows(columns)]
        return np.array(numbers).reshape(-1, len(columns))

    def warp(self, *names: str) -> tuple[NDArray[np.float64], NDArray[np.int64], int, tuple[str, ...]]:
        """A tilt series in Warp's XML: elements, of those images that `UseTilt` keeps.

        Parameters
        ----------
        names
            The elements; `Angles`, which counts the images, is among them.

        Returns
        -------
        values, used, images, notes
            `(names + 1, tilts)` numbers, the last `LevelAngleY` in degrees; the images that are kept, from 0; how many
            the file lists; messages for the user about the file, one line each.

        Raises
        ------
        TiltError
            If the text is no such XML, an element is missing, or the elements differ in length.
        """
        try:
            root = ElementTree.fromstring(self.text.strip())
        except ElementTree.ParseError as error:
            raise self.error(f"is no valid XML ({error})", _WARP) from None
        words = {name: (root.findtext(name) or "").split() for name in names}
        missing = [name for name in words if root.tag != "TiltSeries" or not words[name]]
        if missing:
            raise self.error(f"has no {', '.join(missing)} in a TiltSeries", _WARP)
        images = len(words["Angles"])
        flags = (root.findtext("UseTilt") or "").lower().split() or ["true"] * images
        odd = [f"{len(v)} {name}" for name, v in {**words, "UseTilt": flags}.items() if len(v) != images]
        if odd:
            raise self.error(f"has {images} Angles and {', '.join(odd)}", "the same number of each")
        used = np.flatnonzero(np.array(flags) == "true")
        values = np.array([[self.number(word[i]) for i in used] for word in words.values()])
        level = np.full((1, len(used)), self.number(root.get("LevelAngleY", "0")))
        dropped = images - len(used)
        notes = (f"{self.path.name} leaves out {dropped} of {images} tilts (UseTilt)",) if dropped else ()
        return np.concatenate([values, level]), used, images, notes


def _xf(file: SeriesFile, _: float) -> Alignment:
    """Six numbers per line: `aligned = A raw + d`, A row by row, then d (IMOD, `man xf`)."""
    rows = file.table(XF_COLUMNS)
    forward, offset = rows[:, :4].reshape(-1, 2, 2), rows[:, 4:]
    size = np.abs(np.linalg.det(forward))
    if size.min(initial=np.inf) < _LEAST_DETERMINANT:
        number = int(size.argmin()) + 1
        raise file.error(f"has a transform that collapses the image (number {number})", "a rotation: align it again")
    matrix = np.linalg.inv(forward).astype(np.float64)
    shift = -np.einsum("nij,nj->ni", matrix, offset)
    return Alignment(np.arange(len(rows)), matrix, shift, len(rows), None, file.path)


def _aln(file: SeriesFile, _: float) -> Alignment:
    """The raw image, shifted by -(TX, TY) and then rotated by -ROT, is the aligned one, as in AreTomo's own `.xf`."""
    rows = file.table(ALN_COLUMNS)
    dark = [int(section) for section in re.findall(r"^#\s*DarkFrame\s*=\s*\d+\s+(\d+)", file.text, re.MULTILINE)]
    size = re.search(r"^#\s*RawSize\s*=\s*\d+\s+\d+\s+(\d+)", file.text, re.MULTILINE)
    images = len(rows) + len(dark)
    if size and int(size[1]) != images:
        raise file.error(f"has {len(rows)} images and {len(dark)} dark ones", f"the {size[1]} of its RawSize")
    sections = _aln_sections(file, rows[:, 0].astype(np.int64), dark)
    local = f"{file.path.name} has local alignments, which are not applied"
    notes = (local,) if _LOCAL.search(file.text) else ()
    return Alignment(sections, _rotations(rows[:, 1]), rows[:, 3:5], images, rows[:, 9], file.path, notes)


def _aln_sections(file: SeriesFile, named: NDArray[np.int64], dark: list[int]) -> NDArray[np.int64]:
    """Sections of the raw stack, from 0. Newer files count it from 1, older ones count it without the dark images.

    Raises
    ------
    TiltError
        If the numbers are neither.
    """
    images = len(named) + len(dark)
    for first in (0, 1):
        if sorted([*named, *dark]) == list(range(first, images + first)):
            return named - first
        left = [section for section in range(images) if section + first not in dark]
        if sorted(named) == list(range(first, len(named) + first)) and len(left) == len(named):
            return np.array(left)[named - first]
    raise file.error(f"has sections that do not count its {images} images", "each one once")


def _warp(file: SeriesFile, pixel_size: float) -> Alignment:
    """Raw point = R(AxisAngle) (x cos t - z sin t, y) + AxisOffset: the tilt has the sign opposite to ours."""
    values, used, images, notes = file.warp("Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
    angle, axis, x, y, level = values
    shift = np.stack([x, y], axis=1) / pixel_size
    return Alignment(used, _rotations(axis), shift, images, -(angle + level), file.path, notes)


def _rotations(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, 2, 2)` matrices that rotate x towards y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.stack([c, -s, s, c], axis=-1).reshape(-1, 2, 2)
