"""The tilt angles in a file beside a tomogram, found by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from cryowae.errors import TiltError
from cryowae.io.imod_com import com_beside
from cryowae.io.mrc import SUFFIXES, stem_of
from cryowae.io.names import Place, places_of, stems_of
from cryowae.io.text_file import SeriesFile
from cryowae.io.tilts import TiltAngles, read_tilts

# aligned angles, those given to AreTomo, nominal ones; within each, the order in which they are preferred
_ENDINGS = (
    (".tlt", ".aln", *(f"{suffix}.aln" for suffix in SUFFIXES), ".xml", ".star"),
    ("_TLT.txt",),
    (".rawtlt", ".mdoc", *(f"{suffix}.mdoc" for suffix in SUFFIXES), ".tomostar"),
)
_MARKS = {".xml": ("<TiltSeries",), ".star": ("rlnTomoYTilt", "rlnTomoNominalStageTiltAngle")}
_DIFFERENT = 1.0  # degrees, at either end of the range


def find_tilts(tomogram: str | Path) -> TiltAngles | None:
    """The tilt angles in a file beside a tomogram, found by name.

    Tried are the name of the tomogram, and the same name without words that programs add to it (`_full`, `_rec`,
    `_EVN_Vol`, `_bin4`, `_10.00Apx`, `rec_` and the like). The folders are that of the tomogram, AreTomo's `_Imod`
    folder, for Warp the folders above `reconstruction`, `even` and `odd`, and for RELION the folder `tilt_series`
    beside `tomograms`; if the tomogram is a link, those of its target too. Aligned angles are preferred to nominal
    ones, and longer names to shorter ones. A `tilt.com` that names a `.tlt` is read in its place.

    Raises
    ------
    TiltError
        If the file that was found is damaged, or two files of equal rank have different angles.
    """
    places = places_of(tomogram)
    for endings in _ENDINGS:
        found = dict.fromkeys(chain.from_iterable(_nearest(place, endings) for place in places))
        if found:
            return _agreed(Path(tomogram), sorted(found, key=lambda path: _rank(path, endings)))
    return None


def is_name_of(tilts: str | Path, tomogram: str | Path) -> bool:
    """Whether a file of tilt angles has a name under which `find_tilts` searches for those of a tomogram."""
    stems = chain.from_iterable(stems_of(stem_of(tomogram)))
    return Path(tilts).name in {stem + ending for stem in stems for endings in _ENDINGS for ending in endings}


def _nearest(place: Place, endings: tuple[str, ...]) -> list[Path]:
    """The files with the longest name that there is."""
    steps = (list(_candidates(place, stems, endings)) for stems in place.stems)
    return next((found for found in steps if found), [])


def _candidates(place: Place, stems: tuple[str, ...], endings: tuple[str, ...]) -> Iterator[Path]:
    for stem in stems:
        for folder in place.folders:
            for ending in endings:
                path = folder / (stem + ending)
                if os.path.isfile(path) and _is_series(path, ending):
                    yield path
        inner = place.folders[0] / f"{stem}_Imod"  # where AreTomo writes the files of IMOD, named after its input
        if ".tlt" in endings and os.path.isdir(inner) and os.access(inner, os.R_OK):
            yield from (path for path in sorted(inner.glob("*.tlt")) if os.path.isfile(path))


def _is_series(path: Path, ending: str) -> bool:
    """Whether an XML or a STAR file is of a tilt series: other programs write such files too."""
    if ending not in _MARKS:
        return True
    try:
        text = SeriesFile(path, "tilt file").text
    except TiltError:
        return ending == ".xml"  # reported when it is read
    return any(mark in text for mark in _MARKS[ending])


def _rank(path: Path, endings: tuple[str, ...]) -> int:
    return next((i for i, ending in enumerate(endings) if path.name.endswith(ending)), len(endings))


def _agreed(tomogram: Path, paths: list[Path]) -> TiltAngles:
    """The angles of the first file; raises `TiltError` if another one has a different range."""
    best, unread = _read(paths[0]), []
    for path in paths[1:]:
        if os.path.samefile(path, paths[0]):
            continue
        try:
            other = _read(path)
        except TiltError as error:
            unread.append(f"not used beside {best.source.name}: {error}")
            continue
        ends = zip((best.measured[0], best.measured[-1]), (other.measured[0], other.measured[-1]), strict=True)
        if max(abs(a - b) for a, b in ends) > _DIFFERENT:
            one, two = (f"{t.source} ({t.measured[0]:g} to {t.measured[-1]:g} degrees)" for t in (best, other))
            raise TiltError(
                f"two files have different angles for {tomogram}: {one} and {two}; expected one: give the right one "
                "with --tilts"
            )
    return replace(best, notes=(*best.notes, *unread))


def _read(path: Path) -> TiltAngles:
    if path.suffix == ".tlt":
        try:
            settings = com_beside(path)
        except TiltError:
            return read_tilts(path)  # whose notes say so
        if settings is not None and settings.changes:
            return read_tilts(settings.file.path)
    return read_tilts(path)
