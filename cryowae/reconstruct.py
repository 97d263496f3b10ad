"""From a raw tilt series to a tomogram: aligned, weighted, back-projected."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryowae.config.options import ReconstructOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, OutputError
from cryowae.imaging.tomography import fill_volumes
from cryowae.io.mrc import MrcWriter, require_name, stem_of
from cryowae.io.outputs import check_output
from cryowae.io.tilts import read_tilts, write_tilts
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.tomogram.series import open_series, same_angles


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
    series = open_series(series_path, tilts_path, how)
    angles, size = series.angles, series.voxel_size * how.bin
    volume = (series.depth(how.thickness, how.bin), *series.binned_shape(how.bin))
    path = series.path.with_name(f"{stem_of(series.path)}_rec.mrc") if output is None else Path(output)
    require_name(path)
    halved = tuple(path.with_name(f"{stem_of(path)}_{name}.mrc") for name in ("EVN", "ODD") if how.halves)
    for one in (path, *halved):
        check_output(one, overwrite=how.overwrite, inputs=series.inputs)
    beside = path.with_suffix(".tlt")
    own = beside.exists() and tilts_path is not None and beside.samefile(tilts_path)  # the user's own file stays
    if own and tilts_path is not None and not same_angles(angles, read_tilts(tilts_path).angles):
        raise OutputError(f"{beside}, the input, would be replaced by other angles; give another --output")
    if not own:
        check_output(beside, overwrite=how.overwrite)

    images = series.images(how.bin, progress)
    label = f"weighted back-projection, {len(angles)} tilts {angles[0]:.1f}..{angles[-1]:.1f}, {config.filter}"
    with ExitStack() as files:
        targets = []
        for one, part in zip((path, *halved), (slice(None), slice(0, None, 2), slice(1, None, 2)), strict=False):
            writer = MrcWriter(one, volume, voxel_size=size, overwrite=how.overwrite, label=label)
            targets.append((files.enter_context(writer).data, images[part], angles[part]))
        fill_volumes(targets, config, place, progress)
    if not own:
        write_tilts(beside, angles)
    seconds = time.monotonic() - started
    return ReconstructResult(path, halved, beside, volume, size, angles, notes=series.notes, seconds=seconds)
