"""Command files of IMOD's tilt (`tilt.com`): which views are left out, and what is added to the angles.

`tilt` reads the angles of all views from TILTFILE, adds OFFSET (its first number) to each, leaves out the views of
EXCLUDE, EXCLUDELIST and EXCLUDELIST2, numbered from 1 (IMOD, `man tilt`), and turns the volume by XAXISTILT about x.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryowae.io.text_file import MOST_IMAGES, SeriesFile

_NAMES = ("tilt.com", "tilta.com", "tiltb.com")
_EXCLUDE, _INCLUDE = ("EXCLUDE", "EXCLUDELIST", "EXCLUDELIST2"), ("INCLUDE",)


@dataclass(frozen=True)
class TiltCom:
    """Settings of IMOD's tilt.

    Attributes
    ----------
    file
        The command file.
    tilt_file
        The file of the angles; of no use if `angles` are given.
    angles
        Degrees, if the command file has them itself.
    excluded, included
        Numbers of views from 1; all are included if the second is empty.
    offset, x_tilt
        Degrees.
    """

    file: SeriesFile
    tilt_file: Path
    angles: tuple[float, ...]
    excluded: frozenset[int]
    included: frozenset[int]
    offset: float
    x_tilt: float

    @property
    def changes(self) -> bool:
        """Whether the angles that were used differ from those of the tilt file."""
        return bool(self.excluded or self.included or self.offset)

    def kept(self, views: int) -> list[int]:
        """The views that are used, from 0; raises `TiltError` if one that is named does not exist."""
        named = self.excluded | self.included
        if named and max(named) > views:
            raise self.file.error(f"names view {max(named)}", f"one of the {views} views of its tilt file")
        wanted = self.included or range(1, views + 1)
        return sorted(view - 1 for view in set(wanted) - self.excluded)


def read_com(file: SeriesFile) -> TiltCom:
    """Read a command file of IMOD's tilt.

    Raises
    ------
    TiltError
        If it names no angles, or has an entry that cannot be understood.
    """
    entries: dict[str, list[str]] = {}
    for line in file.text.splitlines():
        words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        if words[0] and words[0][0] not in "#$":
            entries.setdefault(words[0].upper(), []).append(words[1] if len(words) > 1 else "")
    angles = [word for text in entries.get("ANGLES", []) for word in re.split(r"[\s,]+", text.strip()) if word]
    file.require_images(len(angles))
    names = [name.strip() for name in entries.get("TILTFILE", []) if name.strip()]
    if not angles and not names:
        raise file.error("has no TILTFILE", "a command file of IMOD's tilt, such as tilt.com")
    return TiltCom(
        file,
        file.path.parent / (names[-1] if names else ""),
        tuple(file.number(word) for word in angles),
        _views(file, entries, _EXCLUDE),
        _views(file, entries, _INCLUDE),
        _degrees(file, entries, "OFFSET"),
        _degrees(file, entries, "XAXISTILT"),
    )


def com_beside(tilt_file: Path) -> TiltCom | None:
    """The command file in the folder of a tilt file that names it as its TILTFILE, if there is one.

    Raises
    ------
    TiltError
        If it has an entry that cannot be understood.
    """
    for name in _NAMES:
        path = tilt_file.with_name(name)
        if not os.path.isfile(path):
            continue
        file = SeriesFile(path, "command file")
        if any(
            Path(found.strip()).name == tilt_file.name for found in re.findall(r"(?im)^\s*TILTFILE\s(.*)$", file.text)
        ):
            return read_com(file)
    return None


def _views(file: SeriesFile, entries: dict[str, list[str]], names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in (part for name in names for text in entries.get(name, []) for part in re.split(r"[\s,]+", text)):
        if not part:
            continue
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is None:
            raise file.error(f"has {part[:20]!r} in a list of views", "numbers from 1 and ranges, such as 1-4,40")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last or last - first >= MOST_IMAGES:
            raise file.error(f"has the views {part[:20]}", "numbers from 1 and ranges, such as 1-4,40")
        found.update(range(first, last + 1))
    return frozenset(found)


def _degrees(file: SeriesFile, entries: dict[str, list[str]], name: str) -> float:
    """The first number of an entry, 0 if there is none; the last of several entries counts."""
    texts = entries.get(name, [])
    return file.number(re.split(r"[\s,]+", texts[-1].strip())[0], 0, f"degrees after {name}") if texts else 0.0
