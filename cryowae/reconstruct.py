"""From a raw tilt series to a tomogram: aligned, weighted, back-projected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, OutputError, TiltError, TomogramError
from cryowae.imaging.alignment import align_image, aligned_shape
from cryowae.imaging.projection import TiltGeometry, back_project
from cryowae.io.alignment_files import Alignment, read_alignment
from cryowae.io.mrc import MrcVolume, MrcWriter, read_mrc, require_name, stem_of
from cryowae.io.space import check_output
from cryowae.io.tilts import TiltAngles, read_tilts, write_tilts
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Progress

THICKNESS = 3000.0
"""Angstrom along z that are reconstructed if nobody says how many voxels: more than most lamellae have."""

_ENTRIES = 4_000_000  # of the sparse matrix that is held at a time; each costs about 60 bytes while it is made
_ROWS = 64
_SMALLEST = 16  # pixels; smaller images cannot be meant
_SAME = 0.05  # degrees, the rounding of tilt files


@dataclass(frozen=True)
class ReconstructResult:
    """What was reconstructed.

    Attributes
    ----------
    path, halves
        The tomogram, and those of the even and the odd tilts (counted from 0, from the lowest tilt) if asked for.
    tilts
        The file of angles beside it, with the sign of `kz = +tan(t) kx`; commands find it by its name.
    shape
        `(z, y, x)`.
    voxel_size
        Angstrom.
    angles
        Tilts in degrees, increasing.
    seconds
        Taken.
    notes
        What the user should know, one line each.
    """

    path: Path
    halves: tuple[Path, ...]
    tilts: Path
    shape: tuple[int, int, int]
    voxel_size: float
    angles: tuple[float, ...]
    seconds: float
    notes: tuple[str, ...]


def reconstruct_series(
    series_path: str | Path,
    tilts_path: str | Path | None,
    output: str | Path | None = None,
    *,
    alignment: str | Path | None = None,
    thickness: int | None = None,
    bin: int = 1,
    config: ReconstructionConfig | None = None,
    halves: bool = False,
    flip_tilt: bool = False,
    voxel_size: float | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ReconstructResult:
    """Reconstruct a tilt series by weighted back-projection.

    From every image its mean is subtracted, and no more: what lies outside an image is then neither bright nor dark,
    contrast keeps its sign and its scale, and images of electron counts are weighted as their noise asks for (a
    signal proportional to the mean over a variance proportional to the mean).

    Parameters
    ----------
    series_path
        MRC stack, one section a tilt, along y the tilt axis unless an alignment says where it lies.
    tilts_path
        The angles, in the order of the sections. May be None if the alignment has angles; those win in any case.
    output
        The tomogram; `NAME_rec.mrc` beside the series by default. Halves are written to `NAME_EVN.mrc` and
        `NAME_ODD.mrc`, the angles to `NAME.tlt`.
    alignment
        `.xf`, `.aln` or Warp's XML; without one the images are taken as aligned.
    thickness
        Voxels of the result along z, `THICKNESS` by default.
    bin
        Raw pixels along the edge of a voxel.
    config
        Names the filter.
    halves
        Reconstruct every other tilt too.
    flip_tilt
        Negate the angles.
    voxel_size
        Of the raw pixels in angstrom, in place of that in the header.
    device
        Where to back-project: `auto`, or its name.
    overwrite
        Replace what exists.
    progress
        Is told of the images and rows.

    Raises
    ------
    TomogramError, TiltError, ConfigError, OutputError
        If the files cannot be read, do not belong together, or cannot be written.
    """
    began = time.monotonic()
    place = pick_device(device)
    if place == "mps":  # has no sparse matrices
        place = "cpu"
    config = config or ReconstructionConfig()
    if config.ctf != "none":
        raise ConfigError("got ctf: phase-flip for a series from a file, whose defocus is not known; expected none")
    stack = read_mrc(series_path, voxel_size=voxel_size)
    tilts = None if tilts_path is None else read_tilts(tilts_path)
    alignment_of, angles, notes = _geometry(stack, tilts, alignment, flip_tilt)
    shape = aligned_shape(stack.data.shape[1:], alignment_of.matrix, bin)
    if min(shape) < _SMALLEST:
        raise TomogramError(
            f"{stack.path} has images of {stack.data.shape[2]} x {stack.data.shape[1]} pixels, which --bin {bin} makes "
            f"smaller than {_SMALLEST}; expected a smaller --bin"
        )
    size = stack.voxel_size * bin
    depth = max(_SMALLEST, round(THICKNESS / size)) if thickness is None else thickness
    path = stack.path.with_name(f"{stem_of(stack.path)}_rec.mrc") if output is None else Path(output)
    paths = [path, *(_half(path, name) for name in ("EVN", "ODD"))] if halves else [path]
    require_name(path)
    for one in paths:
        inputs = [source for source in (stack.path, tilts_path, alignment) if source is not None]
        check_output(one, overwrite=overwrite, inputs=inputs)
    beside = _angles_file(path, tilts, angles, overwrite)

    images = _align(stack, alignment_of, shape, bin, progress)
    volume = (depth, *shape)
    label = f"weighted back-projection, {len(angles)} tilts {angles[0]:.1f}..{angles[-1]:.1f}, {config.filter}"
    with ExitStack() as files:
        writers = [
            files.enter_context(MrcWriter(one, volume, voxel_size=size, overwrite=overwrite, label=label))
            for one in paths
        ]
        starts = [slice(None), slice(0, None, 2), slice(1, None, 2)][: len(writers)]
        targets = [(writer.data, images[start], angles[start]) for writer, start in zip(writers, starts, strict=True)]
        _fill(targets, config, place, progress)
    if beside is not None:
        write_tilts(beside, angles)
    return ReconstructResult(
        path,
        tuple(paths[1:]),
        path.with_suffix(".tlt"),
        volume,
        size,
        angles,
        time.monotonic() - began,
        (*stack.notes, *notes),
    )


def _geometry(
    stack: MrcVolume, tilts: TiltAngles | None, path: str | Path | None, flip: bool
) -> tuple[Alignment, tuple[float, ...], tuple[str, ...]]:
    """The alignment and the angles of the images that are used, in increasing order of the angles; and notes."""
    images = stack.data.shape[0]
    if path is None:
        still = np.tile(np.eye(2), (images, 1, 1))
        found = Alignment(np.arange(images), still, np.zeros((images, 2)), images, None, stack.path)
    else:
        found = read_alignment(path, stack.voxel_size).of_stack(images)
    notes = list(found.notes)
    if found.tilts is not None:
        angles = found.tilts
        if tilts is not None and not _agree(angles, tilts.listed):
            notes.append(f"the angles of {found.source.name} are used, not those of {tilts.source.name}, which differ")
    elif tilts is None:
        silent = "" if path is None else f": {found.source.name} has none"
        raise TiltError(f"no angles for {stack.path}{silent}; give a tilt file with --tilts")
    elif len(tilts.listed) != images:
        raise TiltError(
            f"{stack.path} has {images} images and {tilts.source} {len(tilts.listed)} angles; expected one angle an "
            "image, in the order of the images"
        )
    else:
        notes += tilts.notes
        angles = np.array(tilts.listed)
        if tilts.format == "warp-xml":
            angles = -angles  # as its alignment has them
    if flip:
        angles = -angles
    order = np.argsort(angles, kind="stable")
    used = Alignment(
        found.sections[order], found.matrix[order], found.shift[order], images, angles[order], found.source
    )
    return used, tuple(map(float, angles[order])), tuple(notes)


def _agree(angles: NDArray[np.float64], listed: Sequence[float]) -> bool:
    return len(angles) == len(listed) and bool(np.abs(angles - np.array(listed)).max() < _SAME)


def _half(path: Path, name: str) -> Path:
    return path.with_name(f"{stem_of(path)}_{name}.mrc")


def _angles_file(path: Path, tilts: TiltAngles | None, angles: tuple[float, ...], overwrite: bool) -> Path | None:
    """Where the angles are to be written; None if the user's own file with just these is there."""
    beside = path.with_suffix(".tlt")
    if tilts is None or not beside.exists() or not beside.samefile(tilts.source):
        check_output(beside, overwrite=overwrite)
        return beside
    if not _agree(np.array(angles), tilts.angles):
        raise OutputError(f"{beside}, the input, would be replaced by other angles; give another --output")
    return None


def _align(stack: MrcVolume, alignment: Alignment, shape: tuple[int, int], factor: int, progress: Progress) -> Tensor:
    """`(tilts, y, x)` images with mean 0 on the grid of the tomogram."""
    images = torch.empty((len(alignment.sections), *shape))
    progress.begin("align", len(images), "images")
    for i, section in enumerate(alignment.sections):
        raw = torch.from_numpy(stack.data[section].astype(np.float32))
        if not bool(raw.isfinite().all()):
            raise TomogramError(f"{stack.path} has values in image {section} that are not finite; mend or remove it")
        images[i] = align_image(raw - raw.mean(), alignment.matrix[i], alignment.shift[i], shape, factor)
        progress.advance()
    progress.end()
    return images


def _fill(
    targets: Sequence[tuple[NDArray[np.float32], Tensor, tuple[float, ...]]],
    config: ReconstructionConfig,
    device: str,
    progress: Progress,
) -> None:
    """Back-project into each volume, by blocks of columns, so that the matrix stays small, and slabs of rows."""
    depth, rows, width = targets[0][0].shape
    blocks = [
        (start, min(width, start + step))
        for step in [max(1, _ENTRIES // (4 * len(targets[0][2]) * depth))]
        for start in range(0, width, step)
    ]
    progress.begin("reconstruct", len(blocks) * sum(len(range(0, rows, _ROWS)) for _ in targets), "slabs")
    for start, stop in blocks:
        centre = (start + stop - 1) / 2 - (width - 1) / 2
        for data, images, angles in targets:
            geometry = TiltGeometry(angles, depth, stop - start, width, device, centre)
            for y in range(0, rows, _ROWS):
                slab = images[:, y : y + _ROWS].to(device)
                data[:, y : y + _ROWS, start:stop] = back_project(slab, geometry, config).cpu().numpy()
                progress.advance()
    progress.end()
