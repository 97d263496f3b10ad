"""From a raw tilt series to a tomogram: aligned, weighted, back-projected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.options import ReconstructOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, OutputError, TiltError, TomogramError
from cryowae.fourier.grids import axis_slabs
from cryowae.imaging.alignment import align_image, aligned_shape
from cryowae.imaging.projection import TiltGeometry, back_project
from cryowae.io.mrc import MrcVolume, MrcWriter, read_mrc, require_name, stem_of
from cryowae.io.outputs import check_output
from cryowae.io.series_file import Alignment, read_alignment
from cryowae.io.tilts import TiltAngles, read_tilts, write_tilts
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Outcome, Progress

THICKNESS = 3000.0
"""Default thickness of the reconstruction along z in angstrom: more than the thickness of most lamellae."""

Target = tuple[NDArray[np.float32], Tensor, tuple[float, ...]]
"""A volume to reconstruct `(z, y, x)`, its images `(tilts, y, x)` and their angles."""

_ENTRIES = 4_000_000  # entries of the sparse matrix in memory at a time; each needs about 60 bytes during construction
_ROWS = 64
_SMALLEST = 16  # pixels; smaller images are refused
_SAME = 0.05  # degrees; angles in tilt files are rounded


@dataclass(frozen=True)
class ReconstructResult(Outcome):
    """A reconstructed tomogram.

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
    """

    path: Path
    halves: tuple[Path, ...]
    tilts: Path
    shape: tuple[int, int, int]
    voxel_size: float
    angles: tuple[float, ...]


def reconstruct_series(
    series_path: str | Path,
    tilts_path: str | Path | None,
    output: str | Path | None = None,
    options: ReconstructOptions | None = None,
    *,
    config: ReconstructionConfig | None = None,
    progress: Progress = SILENT,
    **changes: Any,
) -> ReconstructResult:
    """Reconstruct a tilt series by weighted back-projection.

    Only its mean is subtracted from every image. The area outside an image is then neither bright nor dark, contrast
    keeps its sign and its scale, and images of electron counts get the right weights (their signal is proportional to
    the mean, and so is the variance of their noise).

    Parameters
    ----------
    series_path
        MRC stack, one section a tilt. The tilt axis is y unless an alignment gives another one.
    tilts_path
        The angles, in the order of the sections. May be None if the alignment has angles, which take precedence.
    output
        The tomogram; `NAME_rec.mrc` beside the series by default. Halves are written to `NAME_EVN.mrc` and
        `NAME_ODD.mrc`, the angles to `NAME.tlt`.
    options
        Alignment, size, halves, device and the like.
    config
        The filter.
    progress
        Receives the progress: images, then blocks of columns.
    changes
        Fields of `options` as keywords, such as `bin=4`; they take precedence.

    Raises
    ------
    TomogramError, TiltError, ConfigError, OutputError
        If the files cannot be read, do not belong together, or cannot be written.
    """
    started = time.monotonic()
    how = replace(options or ReconstructOptions(), **changes)
    place = pick_device(how.device).replace("mps", "cpu")  # MPS has no sparse matrices
    config = config or ReconstructionConfig()
    if config.ctf != "none":
        raise ConfigError("got ctf: phase-flip for a series from a file, whose defocus is not known; expected none")
    stack = read_mrc(series_path, voxel_size=how.voxel_size)
    tilts = None if tilts_path is None else read_tilts(tilts_path)
    geometry = _geometry(stack, tilts, how.alignment, how.flip_tilt)
    angles = tuple(np.asarray(geometry.tilts, np.float64).tolist())
    y, x = stack.data.shape[1:]
    shape = aligned_shape((y, x), geometry.matrix, how.bin)
    if min(shape) < _SMALLEST:
        smaller = f"which --bin {how.bin} makes smaller than {_SMALLEST}; expected a smaller --bin"
        raise TomogramError(f"{stack.path} has images of {x} x {y} pixels, {smaller}")
    size = stack.voxel_size * how.bin
    volume = (max(_SMALLEST, round(THICKNESS / size)) if how.thickness is None else how.thickness, *shape)
    path = stack.path.with_name(f"{stem_of(stack.path)}_rec.mrc") if output is None else Path(output)
    require_name(path)
    halved = tuple(path.with_name(f"{stem_of(path)}_{name}.mrc") for name in ("EVN", "ODD") if how.halves)
    inputs = [source for source in (stack.path, tilts_path, how.alignment) if source is not None]
    for one in (path, *halved):
        check_output(one, overwrite=how.overwrite, inputs=inputs)
    beside = path.with_suffix(".tlt")
    own = beside.exists() and tilts is not None and beside.samefile(tilts.source)  # the user's own file stays
    if own and tilts is not None and not _agree(angles, tilts.angles):
        raise OutputError(f"{beside}, the input, would be replaced by other angles; give another --output")
    if not own:
        check_output(beside, overwrite=how.overwrite)

    images = _align(stack, geometry, shape, how.bin, progress)
    label = f"weighted back-projection, {len(angles)} tilts {angles[0]:.1f}..{angles[-1]:.1f}, {config.filter}"
    with ExitStack() as files:
        targets = []
        for one, part in zip((path, *halved), (slice(None), slice(0, None, 2), slice(1, None, 2)), strict=False):
            writer = MrcWriter(one, volume, voxel_size=size, overwrite=how.overwrite, label=label)
            targets.append((files.enter_context(writer).data, images[part], angles[part]))
        _fill(targets, config, place, progress)
    if not own:
        write_tilts(beside, angles)
    notes, seconds = (*stack.notes, *geometry.notes), time.monotonic() - started
    return ReconstructResult(path, halved, beside, volume, size, angles, notes=notes, seconds=seconds)


def _geometry(stack: MrcVolume, tilts: TiltAngles | None, path: str | Path | None, flip: bool) -> Alignment:
    """The alignment of the images that are used, with their angles, in increasing order of the angles; and notes."""
    images = stack.data.shape[0]
    if path is None:
        identity = np.tile(np.eye(2), (images, 1, 1))
        found = Alignment(np.arange(images), identity, np.zeros((images, 2)), images, None, stack.path)
    else:
        found = read_alignment(path, stack.voxel_size).of_stack(images)
    notes = list(found.notes)
    if found.tilts is not None:
        angles = found.tilts
        if tilts is not None and not _agree(angles, tilts.listed):
            notes.append(f"the angles of {found.source.name} are used, not those of {tilts.source.name}, which differ")
    elif tilts is None:
        missing = "" if path is None else f": {found.source.name} has none"
        raise TiltError(f"no angles for {stack.path}{missing}; give a tilt file with --tilts")
    elif len(tilts.listed) != images:
        got = f"{stack.path} has {images} images and {tilts.source} {len(tilts.listed)} angles"
        raise TiltError(f"{got}; expected one angle an image, in the order of the images")
    else:
        notes += tilts.notes
        # Warp has the other sign; its alignment files come with the sign of `kz = +tan(t) kx`
        angles = np.array(tilts.listed) * (-1 if tilts.format == "warp-xml" else 1)
    if flip:
        angles = -angles
    order = np.argsort(angles, kind="stable")
    used = {name: getattr(found, name)[order] for name in ("sections", "matrix", "shift")}
    return replace(found, **used, tilts=angles[order], notes=tuple(notes))


def _agree(angles: Sequence[float] | NDArray[np.float64], listed: Sequence[float]) -> bool:
    return len(angles) == len(listed) and bool(np.abs(np.subtract(angles, listed)).max() < _SAME)


def _align(stack: MrcVolume, alignment: Alignment, shape: tuple[int, int], factor: int, progress: Progress) -> Tensor:
    """`(tilts, y, x)` images with mean 0 on the grid of the tomogram."""
    images = torch.empty((len(alignment.sections), *shape))
    for i, section in enumerate(progress.track("align", alignment.sections.tolist(), "images")):
        raw = torch.from_numpy(stack.data[section].astype(np.float32))
        if not bool(raw.isfinite().all()):
            raise TomogramError(f"{stack.path} has values in image {section} that are not finite; repair or remove it")
        images[i] = align_image(raw - raw.mean(), alignment.matrix[i], alignment.shift[i], shape, factor)
    return images


def _fill(targets: Sequence[Target], config: ReconstructionConfig, device: str, progress: Progress) -> None:
    """Back-project images with their angles into each volume, by blocks of columns and slabs of rows.

    The matrix of a block of columns is small.
    """
    depth, rows, width = targets[0][0].shape
    blocks = axis_slabs(width, _ENTRIES // (4 * len(targets[0][2]) * depth))
    for x, (data, images, angles) in progress.track("reconstruct", list(product(blocks, targets)), "blocks"):
        geometry = TiltGeometry(angles, depth, x.stop - x.start, width, device, (x.start + x.stop - width) / 2)
        for y in axis_slabs(rows, _ROWS):
            data[:, y, x] = back_project(images[:, y].to(device), geometry, config).cpu().numpy()
