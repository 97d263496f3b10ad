"""A small text file about a tilt series: read as a whole within limits, with errors that name the file and the line.

Only regular files of a few megabytes are read: a pipe would wait for ever, a device has no end. UTF-8, UTF-16 and
UTF-32 are decoded, UTF-32 only with a byte order mark. XML is parsed without entities, which could grow without limit.
"""

from __future__ import annotations

import codecs
import math
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""A number as programs write it; `float` takes more, such as `1_0` and `nan`."""

MOST_IMAGES = 1000
"""Images of a tilt series; more are refused."""

_MOST_BYTES = 4 * 2**20
_MOST_STRUCTURED = 16 * 2**20  # a refined XML of Warp has grids of deformations, an mdoc describes every frame
_STRUCTURED = (".xml", ".mdoc", ".star", ".json", ".log")
_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOCAL = re.compile(r"^#\s*Local Alignment", re.MULTILINE)  # the lines after it in an `.aln` describe patches
_DECLARATION = re.compile(r"\s*<\?xml(.*?)\?>", re.DOTALL)
_ENCODING = re.compile(r"""encoding\s*=\s*["']([^"']*)""")
_KNOWN = re.compile(
    r"utf-?(8|16(le|be)?|32(le|be)?)|(us-)?ascii|(iso-?8859|latin)-?1|windows-1252|cp1252", re.IGNORECASE
)


class SeriesFile:
    """A text file, read as a whole; its errors name the file and the line.

    Parameters
    ----------
    path
        The file.
    kind
        Kind of the file, for the error messages.

    Attributes
    ----------
    path, kind, text
        As given, and the decoded text.

    Raises
    ------
    TiltError
        If it cannot be read, is no regular file, is too large, or is no text.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path, self.kind = Path(path), kind
        self.text = self._decoded(self._content())

    def error(self, got: str, expected: str, line: int = 0) -> TiltError:
        """The error with the value found in the file, its line if given, and the expected value."""
        where = f" in line {line}" if line else ""
        return TiltError(f"{self.kind} {self.path} {got}{where}; expected {expected}")

    def number(self, word: str, line: int = 0, expected: str = "a number") -> float:
        """`word` as a finite number; raises `TiltError` if it is none."""
        value = float(word) if NUMBER.fullmatch(word) else math.nan
        if not math.isfinite(value):
            raise self.error(f"has {word[:20]!r}", expected, line)
        return value

    def rows(self, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
        """Number and words of every line that is not blank, not a comment and not about a local alignment.

        Parameters
        ----------
        columns
            Names of the columns that every line must have.

        Raises
        ------
        TiltError
            If the number of columns of a line is different.
        """
        text = _LOCAL.split(self.text)[0]
        lines = ((number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
        rows = [(number, re.split(r"[\s,;]+", line)) for number, line in lines if line]
        for number, row in rows:
            if len(row) != len(columns):
                raise self.error(f"has {len(row)} columns", f"{len(columns)}: {' '.join(columns)}", number)
        self.require_images(len(rows))
        return rows

    def table(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """`(lines, columns)` numbers; raises `TiltError` as `rows` and `number` do."""
        numbers = [[self.number(word, line) for word in row] for line, row in self.rows(columns)]
        return np.array(numbers).reshape(-1, len(columns))

    def has_local_alignments(self) -> bool:
        """Whether an `.aln` goes on with alignments of patches, which `rows` leaves out."""
        return _LOCAL.search(self.text) is not None

    def require_images(self, count: int) -> None:
        """Raise `TiltError` if these are more images than a tilt series has."""
        if count > MOST_IMAGES:
            raise self.error(f"has {count} images", f"those of one tilt series, at most {MOST_IMAGES}")

    def xml(self, expected: str) -> ElementTree.Element:
        """The root element of the text as XML.

        Parameters
        ----------
        expected
            What the file should be, for the error messages.

        Raises
        ------
        TiltError
            If it is no XML, has entities, or declares an encoding that is not known.
        """
        head = _DECLARATION.match(self.text)
        declared = _ENCODING.search(head[1]) if head else None
        if declared and not _KNOWN.fullmatch(declared[1]):
            raise self.error(f"declares the encoding {declared[1][:20]!r}", f"{expected} in UTF-8: save it again")
        if "<!DOCTYPE" in self.text or "<!ENTITY" in self.text:
            raise self.error("has a document type or entities", f"{expected}, which has neither")
        try:  # already decoded: whatever the declaration says no longer counts
            return ElementTree.fromstring(self.text[head.end() if head else 0 :].strip())
        except (ElementTree.ParseError, ValueError) as error:
            raise self.error(f"is no valid XML ({error})", expected) from None

    def _content(self) -> bytes:
        most = _MOST_STRUCTURED if self.path.suffix.lower() in _STRUCTURED else _MOST_BYTES
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode):
                kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
                raise self.error(f"is {kind}", "a file of text")
            with self.path.open("rb") as stream:
                content = stream.read(most + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TiltError(f"{self.kind} {self.path} cannot be read ({reason}); check the name") from None
        if len(content) > most:
            size = max(found.st_size, len(content)) / 2**20
            raise self.error(f"has {size:.1f} MB", f"a text of a tilt series, at most {most // 2**20} MB")
        return content

    def _decoded(self, content: bytes) -> str:
        if content[:2] == b"\x1f\x8b" or content[:3] == b"BZh":
            raise self.error("is compressed", "a text: unpack it")
        encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
        if not encoding and b"\0" in content[:1000]:  # UTF-16 without a mark: every second byte of ASCII is zero
            even, odd = (content[start:1000:2].count(0) for start in (0, 1))
            encoding = "utf-16-le" if odd > 4 * even else "utf-16-be" if even > 4 * odd else ""
        try:
            text = content.decode(encoding) if encoding else content.decode("utf-8", "replace")
        except UnicodeError:
            text = "\0"
        if "\0" in text:
            raise self.error("is not a text file", "angles in degrees as text")
        return text
