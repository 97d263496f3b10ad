"""Readers of tilt angles, one for each format; `cryowae.io.tilts` chooses among them.

Every reader gives the angles in the order of the file with the file's own sign, and the images that they belong to.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryowae.errors import TiltError
from cryowae.io.angle_columns import angles_of_table
from cryowae.io.imod_com import read_com
from cryowae.io.series_file import ALN_COLUMNS
from cryowae.io.star import StarTable, star_tables
from cryowae.io.text_file import SeriesFile
from cryowae.io.warp_xml import LEAST_X_TILT, WARP_SIGN, read_warp

_ANGLE = "an angle in degrees"
_FORMATS = {
    ".tlt": "tlt", ".rawtlt": "rawtlt", ".aln": "aln", ".mdoc": "mdoc", ".xml": "warp-xml", ".star": "star",
    ".tomostar": "tomostar", ".com": "tilt-com", ".json": "eman-json",
}  # fmt: skip
_OTHERS = {
    ".xf": "an alignment, without angles: give it with --align",
    ".tltxf": "an alignment, without angles: give it with --align",
    ".prexf": "an alignment, without angles: give it with --align",
    ".xtilt": "angles about the x axis",
    ".edf": "settings of etomo: give the .tlt or tilt.com beside it",
    **dict.fromkeys((".mrc", ".rec", ".st", ".ali", ".map", ".mrcs"), "a volume or a stack of images"),
    **dict.fromkeys((".hdf", ".h5", ".pkl", ".xls", ".xlsx", ".tif", ".eer"), "no text"),
}
_KNOWN = "a .tlt, .rawtlt, tilt.com, .aln, _TLT.txt, .mdoc, .xml of Warp, .tomostar, .star of RELION, or a table"


@dataclass(frozen=True)
class Listed:
    """Angles as a file lists them.

    Attributes
    ----------
    found
        Line (0 if it has none) and angle of each image, in degrees.
    sections
        Number of each image in the series, from 0; if empty, they count the angles.
    images
        Images of the whole series; 0 if these are all.
    sign
        1, or -1 if the program that wrote the file has the other sign.
    notes
        Messages for the user, one line each.
    """

    found: list[tuple[int, float]]
    sections: tuple[int, ...] = ()
    images: int = 0
    sign: int = 1
    notes: tuple[str, ...] = ()


def format_of(path: Path) -> str:
    """The format of a file, by its name: one of `_FORMATS`, `aretomo-tlt`, or `text` for every other ending."""
    return "aretomo-tlt" if path.name.lower().endswith("_tlt.txt") else _FORMATS.get(path.suffix.lower(), "text")


def read_listed(path: str | Path) -> Listed:
    """Read a file in the format that its name has.

    Raises
    ------
    TiltError
        If it cannot be read, or is of another kind than its name.
    """
    path = Path(path)
    if (other := _OTHERS.get(path.suffix.lower())) is not None and os.path.exists(path):
        raise TiltError(f"tilt file {path} is {other}; expected {_KNOWN}")
    file = SeriesFile(path, "tilt file")
    if not file.text.strip():
        raise file.error("is empty", "one angle a line, in degrees")
    readers: dict[str, Callable[[SeriesFile], Listed]] = {
        "aln": _aln, "mdoc": _mdoc, "warp-xml": _warp, "star": _star, "tomostar": _star, "tilt-com": _com,
        "eman-json": _eman,
    }  # fmt: skip
    kind = format_of(path)
    if kind == "text" and file.text.lstrip().startswith("<"):
        kind = "warp-xml"
    elif kind == "text" and re.search(r"^loop_\s*$", file.text, re.MULTILINE):
        kind = "star"
    listed = readers.get(kind, _table)(file)
    if not listed.notes or all(note.isprintable() for note in listed.notes):
        return listed
    return replace(listed, notes=tuple("".join(c if c.isprintable() else "?" for c in note) for note in listed.notes))


def _table(file: SeriesFile) -> Listed:
    found, notes = angles_of_table(file)
    return Listed(found, notes=notes)


def _com(file: SeriesFile) -> Listed:
    settings = read_com(file)
    inner: Listed | None = None
    if settings.angles:
        angles = list(settings.angles)
    else:
        if format_of(settings.tilt_file) == "tilt-com":
            raise file.error(f"names {settings.tilt_file.name} as its TILTFILE", "a list of angles")
        inner = read_listed(settings.tilt_file)
        angles = [angle for _, angle in inner.found]
    kept = settings.kept(len(angles))
    dropped = len(angles) - len(kept)
    notes = [] if inner is None else list(inner.notes)
    if dropped:
        notes.append(f"{file.path.name} leaves out {dropped} of {len(angles)} views (EXCLUDELIST)")
    if settings.offset:
        notes.append(f"{file.path.name} adds {settings.offset:g} degrees to the angles (OFFSET)")
    if abs(settings.x_tilt) >= LEAST_X_TILT:
        notes.append(
            f"{file.path.name} turns the volume by {settings.x_tilt:g} degrees about x (XAXISTILT), which is not taken "
            "into account: the real wedge is turned by this angle about x"
        )
    found = [(0, angles[i] + settings.offset) for i in kept]
    return Listed(found, tuple(kept), len(angles), 1 if inner is None else inner.sign, tuple(notes))


def _aln(file: SeriesFile) -> Listed:
    return Listed([(line, file.number(row[-1], line, _ANGLE)) for line, row in file.rows(ALN_COLUMNS)])


def _warp(file: SeriesFile) -> Listed:
    series = read_warp(file)
    level = f", with {series.level:g} degrees of LevelAngleY" if series.level else ""
    notes = (*series.notes, f"{file.path.name} is of Warp, whose tilts have the other sign: they are negated{level}")
    found = [(0, angle) for angle in series.angles.tolist()]
    return Listed(found, tuple(series.used.tolist()), series.images, WARP_SIGN, notes)


def _mdoc(file: SeriesFile) -> Listed:
    """One `TiltAngle` for each `[ZValue = N]`, where N is the number of the image in the stack."""
    sections: list[tuple[int | None, tuple[int, float] | None]] = []
    inside = False
    for line, content in enumerate(file.text.splitlines(), 1):
        if content.startswith("["):
            header = re.match(r"\[\s*(ZValue|FrameSet)\s*=\s*(\d{1,9})?", content)
            inside = header is not None
            if header is not None:
                sections.append((int(header[2]) if header[1] == "ZValue" and header[2] else None, None))
        key, _, value = content.partition("=")
        if inside and key.strip() == "TiltAngle":
            sections[-1] = (sections[-1][0], (line, file.number(value.strip(), line, _ANGLE)))
    file.require_images(len(sections))
    notes = []
    numbers = [number for number, _ in sections]
    if None not in numbers and sorted(set(numbers)) == list(range(len(numbers))):  # type: ignore[type-var]
        sections.sort(key=lambda section: section[0] or 0)
    found = [(i, angle) for i, (_, angle) in enumerate(sections) if angle is not None]
    if not found:
        raise file.error("has no TiltAngle in a [ZValue] section", "an .mdoc of SerialEM")
    if missing := len(sections) - len(found):
        notes.append(f"{file.path.name} has no TiltAngle for {missing} of {len(sections)} images, which are left out")
    return Listed([angle for _, angle in found], tuple(i for i, _ in found), len(sections), notes=tuple(notes))


def _star(file: SeriesFile) -> Listed:
    """RELION-5 (`rlnTomoYTilt`, aligned, or `rlnTomoNominalStageTiltAngle`) and Warp (`wrpAngleTilt`)."""
    labels = ("rlnTomoYTilt", "rlnTomoNominalStageTiltAngle", "wrpAngleTilt")
    tables = star_tables(file)
    with_angles = [table for table in tables if set(table.columns) & set(labels)]
    if len(with_angles) != 1:
        raise file.error(*_other_star(tables, with_angles))
    table = with_angles[0]
    file.require_images(len(table.lines))

    def values(label: str) -> list[tuple[int, float]]:
        words = table.columns.get(label, ())
        return [(line, file.number(word, line, _ANGLE)) for line, word in zip(table.lines, words, strict=False)]

    name = next(label for label in labels if label in table.columns)
    found, notes = values(name), []
    if name == labels[0] and len({angle for _, angle in found}) < 2 and labels[1] in table.columns:
        name, found = labels[1], values(labels[1])
    if name == labels[1]:
        notes.append(f"{file.path.name} has nominal angles and none of an alignment")
    about_x = [abs(angle) for _, angle in values("rlnTomoXTilt")]
    if max(about_x, default=0) >= LEAST_X_TILT:
        notes.append(
            f"{file.path.name} has tilts about x (rlnTomoXTilt), up to {max(about_x):.1f} degrees, not used here"
        )
    if name == labels[2]:
        notes.append(f"{file.path.name} is of Warp, whose tilts have the other sign: they are negated")
    return Listed(found, sign=WARP_SIGN if name == labels[2] else 1, notes=tuple(notes))


def _other_star(tables: list[StarTable], with_angles: list[StarTable]) -> tuple[str, str]:
    wanted = "the STAR file of one tilt series, with rlnTomoYTilt or rlnTomoNominalStageTiltAngle"
    if with_angles:
        names = ", ".join(table.name or "(no name)" for table in with_angles[:4])
        return f"has {len(with_angles)} tilt series ({names}...)", wanted
    for table in tables:
        if files := table.columns.get("rlnTomoTiltSeriesStarFile"):
            return f"lists {len(files)} tilt series", f"{wanted}, such as {files[0]}"
    names = ", ".join([name for table in tables for name in table.columns][:6]) or "none"
    return f"has no column of tilt angles (columns {names}...)", wanted


def _eman(file: SeriesFile) -> Listed:
    """`tlt_params` of EMAN2: x, y, rotation of the axis, tilt about y, tilt about x for each image."""
    wanted = "the info file of a tilt series of EMAN2, with tlt_params"
    try:
        content = json.loads(file.text)
    except (ValueError, RecursionError):
        raise file.error("is no valid JSON", wanted) from None
    rows = content.get("tlt_params") if isinstance(content, dict) else None
    if not (isinstance(rows, list) and rows and all(isinstance(row, list) and len(row) > 3 for row in rows)):
        raise file.error("has no tlt_params", wanted)
    file.require_images(len(rows))
    note = f"{file.path.name} is of EMAN2; compare the sign of its angles with the spectrum by `cryowae info`"
    return Listed([(0, file.number(str(row[3]), 0, _ANGLE)) for row in rows], notes=(note,))
