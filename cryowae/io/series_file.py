"""Text files about a tilt series, as IMOD, AreTomo and Warp write them: their lines, columns, numbers and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError

ALN_COLUMNS = ("SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT")
"""Columns of AreTomo's `.aln`."""

_WARP = "the XML of a tilt series of Warp"


@dataclass(frozen=True)
class WarpSeries:
    """A tilt series in Warp's XML.

    Attributes
    ----------
    used
        `(tilts,)` the images that `UseTilt` keeps, from 0.
    images
        How many images the file lists.
    values
        Name of an element and its `(tilts,)` numbers.
    level
        `LevelAngleY`, degrees.
    notes
        What the user should know about the file, one line each.
    """

    used: NDArray[np.int64]
    images: int
    values: dict[str, NDArray[np.float64]]
    level: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SeriesFile:
    """A text file; its errors name the file and the line.

    Attributes
    ----------
    kind
        What the file is, for the error messages.
    path, text
        The file, and its content.
    """

    kind: str
    path: Path
    text: str

    @classmethod
    def read(cls, path: str | Path, kind: str) -> SeriesFile:
        """Read the whole file; raises `TiltError` if this is not possible."""
        try:
            return cls(kind, Path(path), Path(path).read_bytes().decode("utf-8-sig", "replace"))
        except OSError as error:
            raise TiltError(f"{kind} {path} cannot be read ({error.strerror}); check the name") from None

    def error(self, got: str, expected: str, line: int = 0) -> TiltError:
        """The error that says what the file has, in a line if given, and what was expected."""
        where = f" in line {line}" if line else ""
        return TiltError(f"{self.kind} {self.path} {got}{where}; expected {expected}")

    def number(self, word: str, line: int = 0, expected: str = "a number") -> float:
        """A finite number; raises `TiltError` if `word` is none."""
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"has {word[:20]!r}", expected, line)
        return value

    def rows(self, columns: Sequence[str] = ()) -> list[tuple[int, list[str]]]:
        """Number and words of every line that is not blank and not a comment.

        Parameters
        ----------
        columns
            Names of the columns that every line must have; any number of columns if not given.

        Raises
        ------
        TiltError
            If a line has another number of columns.
        """
        lines = ((number, line.split("#")[0].strip()) for number, line in enumerate(self.text.splitlines(), 1))
        rows = [(number, re.split(r"[\s,;]+", line)) for number, line in lines if line]
        for number, row in rows:
            if columns and len(row) != len(columns):
                raise self.error(f"has {len(row)} columns", f"{len(columns)}: {' '.join(columns)}", number)
        return rows

    def before_local(self) -> SeriesFile:
        """The part of AreTomo's `.aln` before its local alignments."""
        head = re.split(r"^#\s*Local Alignment", self.text, maxsplit=1, flags=re.MULTILINE)[0]
        return SeriesFile(self.kind, self.path, head)

    def warp(self, *names: str) -> WarpSeries:
        """A tilt series in Warp's XML: `Angles` and other elements, of those images that `UseTilt` keeps.

        Raises
        ------
        TiltError
            If the text is no such XML, an element is missing, or the elements differ in length.
        """
        try:
            root = ElementTree.fromstring(self.text.strip())
        except ElementTree.ParseError as error:
            raise self.error(f"is no valid XML ({error})", _WARP) from None
        words = {name: (root.findtext(name) or "").split() for name in ("Angles", *names)}
        missing = [name for name in words if root.tag != "TiltSeries" or not words[name]]
        if missing:
            raise self.error(f"has no {', '.join(missing)} in a TiltSeries", _WARP)
        images = len(words["Angles"])
        flags = (root.findtext("UseTilt") or "").lower().split() or ["true"] * images
        lists = {**words, "UseTilt": flags}
        odd = [f"{len(value)} {name}" for name, value in lists.items() if len(value) != images]
        if odd:
            raise self.error(f"has {images} Angles and {', '.join(odd)}", "as many of each")
        used = np.array([i for i, flag in enumerate(flags) if flag == "true"], dtype=np.int64)
        values = {name: np.array([self.number(words[name][i]) for i in used]) for name in words}
        dropped = images - len(used)
        notes = (f"{self.path.name} leaves out {dropped} of {images} tilts (UseTilt)",) if dropped else ()
        return WarpSeries(used, images, values, self.number(root.get("LevelAngleY", "0")), notes)
