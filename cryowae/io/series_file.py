"""Alignments of tilt series, as IMOD, AreTomo and Warp write them.

IMOD's `.xf`, AreTomo's `.aln` and Warp's XML define the position of an image in the volume differently. Here one
definition is used: a point of the aligned image, in which the tilt axis is y and passes through the middle, lies at
`matrix @ point + shift` in the raw image. Points are `(x, y)` from the middle of the image, halfway between its first
and its last pixel. Angles are in `cryowae.io.tilts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError
from cryowae.io.text_file import SeriesFile
from cryowae.io.warp_xml import WARP_SIGN, read_warp

XF_COLUMNS = ("A11", "A12", "A21", "A22", "DX", "DY")
ALN_COLUMNS = ("SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT")

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
    dark = [int(section) for section in re.findall(r"^#\s*DarkFrame\s*=\s*\d+\s+(\d{1,9})\b", file.text, re.MULTILINE)]
    size = re.search(r"^#\s*RawSize\s*=\s*\d+\s+\d+\s+(\d{1,9})\b", file.text, re.MULTILINE)
    images = len(rows) + len(dark)
    file.require_images(images)
    if size and int(size[1]) != images:
        raise file.error(f"has {len(rows)} images and {len(dark)} dark ones", f"the {size[1]} of its RawSize")
    sections = _aln_sections(file, rows[:, 0].astype(np.int64), dark)
    local = f"{file.path.name} has local alignments, which are not applied"
    notes = (local,) if file.has_local_alignments() else ()
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
    series = read_warp(file, "AxisAngle", "AxisOffsetX", "AxisOffsetY")
    axis, x, y = series.values
    shift = np.stack([x, y], axis=1) / pixel_size
    tilts = WARP_SIGN * series.angles
    return Alignment(series.used, _rotations(axis), shift, series.images, tilts, file.path, series.notes)


def _rotations(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, 2, 2)` matrices that rotate x towards y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.stack([c, -s, s, c], axis=-1).reshape(-1, 2, 2)
