"""A tilt series from files: raw images, alignment and angles; and its aligned images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.options import SeriesOptions
from cryowae.errors import TiltError, TomogramError
from cryowae.imaging.alignment import align_image, aligned_shape
from cryowae.io.mrc import MrcVolume, read_mrc
from cryowae.io.series_file import Alignment, read_alignment
from cryowae.io.tilts import TiltAngles, read_tilts
from cryowae.progress import SILENT, Progress

SMALLEST = 16
"""Pixels along an edge of the binned images; smaller images are refused."""

THICKNESS = 3000.0
"""Default thickness of a reconstruction along z in angstrom: more than the thickness of most lamellae."""

_THICKEST = 2**16  # voxels
_SAME = 0.05  # degrees; angles in tilt files are rounded


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """An open tilt series. Images are read only when they are needed.

    Attributes
    ----------
    stack
        The raw images, mapped: `(sections, y, x)` in `stack.data`.
    alignment
        Sections, positions and angles of the images that are used, in increasing order of the angles.
    sign
        1, or -1 if the user's file lists the angles with the other sign.
    inputs
        The files that were read.
    notes
        Messages for the user, one line each.
    """

    stack: MrcVolume
    alignment: Alignment
    sign: int
    inputs: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file of the raw images."""
        return self.stack.path

    @property
    def voxel_size(self) -> float:
        """Size of the raw pixels, angstrom."""
        return self.stack.voxel_size

    @property
    def angles(self) -> tuple[float, ...]:
        """`(tilts,)` degrees, increasing, with the sign of `kz = +tan(t) kx`."""
        return tuple(np.asarray(self.alignment.tilts, np.float64).tolist())

    @property
    def listed(self) -> tuple[float, ...]:
        """The same angles in the same order, with the sign that the user's file gives them."""
        return tuple(self.sign * angle for angle in self.angles)

    def depth(self, thickness: int | None, factor: int = 1) -> int:
        """Voxels of a reconstruction along z: `thickness`, or `THICKNESS` if it is None.

        Raises `TomogramError` if that is more than any tomogram has.
        """
        if thickness is not None and thickness > _THICKEST:
            raise TomogramError(
                f"got a thickness of {thickness} voxels; expected at most {_THICKEST}: give --thickness"
            )
        return max(SMALLEST, round(THICKNESS / (self.voxel_size * factor))) if thickness is None else thickness

    def binned_shape(self, factor: int = 1) -> tuple[int, int]:
        """`(y, x)` of the aligned images, binned by `factor`; raises `TomogramError` if they are too small."""
        y, x = self.stack.data.shape[1:]
        shape = aligned_shape((y, x), self.alignment.matrix, factor)
        if min(shape) < SMALLEST:
            smaller = f"which --bin {factor} makes smaller than {SMALLEST}; expected a smaller --bin"
            raise TomogramError(f"{self.path} has images of {x} x {y} pixels, {smaller}")
        return shape

    def images(self, factor: int = 1, progress: Progress = SILENT) -> Tensor:
        """The images on the grid of the tomogram: the tilt axis is y and passes through the middle.

        Only the mean of every image is subtracted. The area outside an image is then neither bright nor dark, and
        contrast keeps its sign and its scale.

        Parameters
        ----------
        factor
            Raw pixels along the edge of a pixel of the result.

        Returns
        -------
        images
            `(tilts, y, x)` float32 with mean 0.

        Raises
        ------
        TomogramError
            If an image is too small or has values that are not finite.
        """
        shape, alignment = self.binned_shape(factor), self.alignment
        images = torch.empty((len(alignment.sections), *shape))
        for i, section in enumerate(progress.track("align", alignment.sections.tolist(), "images")):
            raw = torch.from_numpy(self.stack.data[section].astype(np.float32))
            if not bool(raw.isfinite().all()):
                fault = f"has values in image {section} that are not finite; repair or remove it"
                raise TomogramError(f"{self.path} {fault}")
            images[i] = align_image(raw - raw.mean(), alignment.matrix[i], alignment.shift[i], shape, factor)
        return images

    def common_field(self, columns: int, factor: int = 1) -> tuple[int, int]:
        """The largest rectangle about the middle of the aligned images that lies inside every raw image.

        Parameters
        ----------
        columns
            Its largest width, in binned pixels.
        factor
            As in `images`.

        Returns
        -------
        rows, columns
            Even numbers of binned pixels; 0 if an image does not reach the middle.
        """
        height, width = self.binned_shape(factor)
        limit = (np.array(self.stack.data.shape[:0:-1]) - 1) / 2 + 0.5  # (x, y), from the middle to the faces
        corners = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) * factor / 2

        def inside(y: int, x: int) -> bool:
            points = np.einsum("nij,cj->nci", self.alignment.matrix, corners * (x, y))
            return bool((np.abs(points + self.alignment.shift[:, None]) <= limit).all())

        best = (0, 0)
        for x in range(min(columns, width) // 2 * 2, 0, -2):
            low, high = 0, height // 2  # the rectangle of 2 * low rows fits
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if inside(2 * middle, x) else (low, middle - 1)
            best = max(best, (2 * low, x), key=lambda field: field[0] * field[1])
        return best


def open_series(series: str | Path, tilts: str | Path | None, options: SeriesOptions | None = None) -> TiltSeries:
    """Open a tilt series with its alignment and angles.

    Parameters
    ----------
    series
        MRC stack, one section a tilt. The tilt axis is y unless an alignment gives another one.
    tilts
        The angles, in the order of the sections. May be None if the alignment has angles, which take precedence.
    options
        Alignment, sign and pixel size.

    Raises
    ------
    TomogramError, TiltError
        If the files cannot be read or do not belong together.
    """
    how = options or SeriesOptions()
    stack = read_mrc(series, voxel_size=how.voxel_size)
    listed = None if tilts is None else read_tilts(tilts)
    alignment, sign = _geometry(stack, listed, how.alignment, how.flip_tilt)
    inputs = tuple(Path(source) for source in (stack.path, tilts, how.alignment) if source is not None)
    return TiltSeries(stack, alignment, sign, inputs, (*stack.notes, *alignment.notes))


def same_angles(angles: Sequence[float] | NDArray[np.float64], listed: Sequence[float]) -> bool:
    """Whether two lists of angles agree, up to the rounding of tilt files."""
    return len(angles) == len(listed) and bool(np.abs(np.subtract(angles, listed)).max() < _SAME)


def _geometry(stack: MrcVolume, tilts: TiltAngles | None, path: str | Path | None, flip: bool) -> tuple[Alignment, int]:
    """The alignment of the images that are used, with their angles, in increasing order of the angles, and notes.

    The second is the sign of the angles in the user's file: of the tilt file if there is one, else of the alignment.
    """
    images = stack.data.shape[0]
    if path is None:
        identity = np.tile(np.eye(2), (images, 1, 1))
        found = Alignment(np.arange(images), identity, np.zeros((images, 2)), images, None, stack.path)
    else:
        found = read_alignment(path, stack.voxel_size).of_stack(images)
    notes = list(found.notes)
    if found.tilts is not None:
        angles = found.tilts
        sign = -1 if found.source.suffix.lower() == ".xml" else 1
        given = [] if tilts is None else [tilts.sign * angle for angle in tilts.listed]
        if tilts is not None and not same_angles(angles, given):
            notes.append(f"the angles of {found.source.name} are used, not those of {tilts.source.name}, which differ")
        if tilts is not None and len(tilts.listed) == len(angles):
            sign = 1 if np.dot(angles, tilts.listed) >= 0 else -1
    elif tilts is None:
        missing = "" if path is None else f": {found.source.name} has none"
        raise TiltError(f"no angles for {stack.path}{missing}; give a tilt file with --tilts")
    elif images not in (tilts.images, len(tilts.listed)):
        got = f"{stack.path} has {images} images and {tilts.source} {len(tilts.listed)} angles"
        raise TiltError(f"{got}; expected one angle an image, in the order of the images")
    else:
        notes += tilts.notes
        sign = tilts.sign
        angles = np.array(tilts.listed) * sign
        kept = np.array(tilts.sections) if images == tilts.images else np.arange(images)
        found = replace(found, sections=found.sections[kept], matrix=found.matrix[kept], shift=found.shift[kept])
    if flip:
        angles, sign = -angles, -sign
    order = np.argsort(angles, kind="stable")
    used = {name: getattr(found, name)[order] for name in ("sections", "matrix", "shift")}
    return replace(found, **used, tilts=angles[order], notes=tuple(notes)), sign
