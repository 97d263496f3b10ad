"""Restoration of files: `restore_tomogram` writes a restored file and a picture, `restore_region` restores a part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cryowae.config.options import Contrast, RestoreOptions
from cryowae.errors import OutputError
from cryowae.io.header import RESTORED
from cryowae.io.mrc import in_zyx, read_mrc
from cryowae.io.outputs import in_letters
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.report import Comparison, RestorationFacts, compare_spectra, draw_halves_fsc, draw_restoration
from cryowae.restore.core import restore_array
from cryowae.restore.inferred import write_inferred
from cryowae.restore.network import Model
from cryowae.restore.planned import check_restoration, require_float16
from cryowae.restore.sample_files import restore_samples, volume_writer
from cryowae.tomogram import Tomogram
from cryowae.tomogram.content import OnContent, content_of
from cryowae.tomogram.item import Item, item_of
from cryowae.tomogram.volumes import Region, Volume


def restore_tomogram(
    source: Item | Tomogram | str | Path,
    output: str | Path | None = None,
    *,
    half1: str | Path | None = None,
    half2: str | Path | None = None,
    contrast: Contrast = "auto",
    mask: str | Path | None = None,
    force: bool = False,
    model: Model | str | Path = "default",
    options: RestoreOptions | None = None,
    progress: Progress = SILENT,
) -> RestoreResult:
    """Denoise a tomogram and fill its missing wedge.

    The result has the mean, scale, sign and header of the input. It is written under a temporary name and renamed
    when it is complete; after an error or an interrupt no file is left.

    Parameters
    ----------
    source
        A tomogram, its file, or an `Item`, which includes the next six parameters.
    output
        The file to write; `NAME_restored.mrc` beside the input if not given.
    half1, half2, contrast, mask, force
        As in `Item`. Name, header and tilts are those of `source`.
    model
        Weights by name or path, or what `load_model` returns.
    options
        All other options, see `RestoreOptions`.
    progress
        Receives the progress of every window.

    Raises
    ------
    TomogramError
        If a volume cannot be read or restored, was restored already, or is a tilt series.
    TiltError
        If the tilt range is not known, or angles or axes contradict the spectrum without `force`.
    CheckpointError, ConfigError
        If the weights or the options cannot be used.
    OutputError
        If the output exists, or cannot be written. If only the picture cannot be written, that is a note.
    """
    began = time.perf_counter()
    options = options or RestoreOptions()
    protein, inside = options.contrast or contrast, mask or options.mask  # those in the options are deprecated
    item = item_of(source, output, half1=half1, half2=half2, contrast=protein, mask=inside, force=force)
    files = check_restoration(item, options)
    item.require_no_doubts()
    tomogram, wedge, notes, cost = item.tomogram, item.wedge, item.notes, 0.0
    item.require_content()
    if options.float16:
        require_float16(item)
    network = load_model(model, options.device, random=options.drawn > 0) if isinstance(model, str | Path) else model
    volumes: Sequence[Volume] = [item.content, *item.unscaled_halves]
    written: list[Path] = []
    try:
        for volume, path in zip(volumes, files.volumes, strict=False):
            if options.drawn and volume is volumes[0]:
                done = restore_samples(item, path, network, options, progress)
            else:
                with volume_writer(item, path, options, f"{RESTORED} {network.name}") as writer:
                    facts, scratch = item.facts(), path.parent
                    how: dict[str, Any] = {"options": options, "scratch": scratch, "progress": progress}
                    done = restore_array(volume, **facts, model=network, out=writer.data, **how)
            written.append(path)
            cost = done.network_voxels_per_voxel
            notes += [note for note in done.notes if note not in notes]
        results = [read_mrc(path, voxel_size=tomogram.voxel_size) for path in files.volumes]
        data = [in_zyx(made.data, tomogram.axes) for made in results]
        before, after = cast(NDArray[Any], item.content), cast(NDArray[Any], OnContent(data[0], item.content))
        comparison = compare_spectra(before, after, wedge.tilt_min, wedge.tilt_max)
        if files.inferred is not None:
            restored = replace(tomogram, data=data[0], header=results[0].header, path=files.volumes[0])
            write_inferred(restored, files.inferred, overwrite=options.overwrite, progress=progress)
    except OutputError as error:
        complete = f"; complete: {', '.join(map(str, written))}" if written else ""
        raise OutputError(f"{error}{complete}") from error
    pictures = files.pictures
    try:
        _draw(item, pictures, data, comparison, network.name, time.perf_counter() - began)
    except (OutputError, OSError) as error:
        pictures = []
        notes.append(f"{files.volumes[0]} is complete, but its picture is missing: {error}")
    return RestoreResult(
        path=files.volumes[0],
        pictures=tuple(picture for picture in pictures if picture.exists()),
        halves=tuple(files.volumes[1:]),
        inferred=files.inferred,
        samples=tuple(files.samples),
        notes=tuple(notes),
        voxel_size=tomogram.voxel_size,
        tilt_min=wedge.tilt_min,
        tilt_max=wedge.tilt_max,
        tilt_source=tomogram.tilt_source,
        contrast=item.protein,
        contrast_figure=item.contrast_figure,
        inferred_share=comparison.inferred_share,
        measured_correlation=comparison.measured_correlation,
        seconds=time.perf_counter() - began,
        network_voxels_per_voxel=cost,
    )


@dataclass(frozen=True, kw_only=True)
class RestoreResult(Outcome):
    """Files and figures of a restoration. The time includes the pictures.

    Attributes
    ----------
    path
        The restored volume.
    pictures
        The PNGs that were drawn: the restoration, and the correlation of the halves if there are any.
    halves
        The restored halves, if they were requested.
    inferred
        The part of the result that lies in the missing wedge, if it was requested.
    samples
        The standard deviation of the samples, if there are two or more, and the single ones, if they were requested.
    voxel_size
        Angstrom.
    tilt_min, tilt_max, tilt_source
        Degrees, and their source.
    contrast
        `dark` or `bright`: contrast of the protein in input and result.
    contrast_figure
        What it was decided from: the figure of `ContrastEstimate`, or `as given`.
    inferred_share
        Share of the result's power in the missing wedge, where nothing was measured. The rest was denoised.
    measured_correlation
        Correlation with the input over the measured components.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the tomogram, over all passes.
    """

    path: Path
    pictures: tuple[Path, ...]
    halves: tuple[Path, ...]
    inferred: Path | None
    samples: tuple[Path, ...]
    voxel_size: float
    tilt_min: float
    tilt_max: float
    tilt_source: str
    contrast: str
    contrast_figure: str
    inferred_share: float
    measured_correlation: float
    network_voxels_per_voxel: float


def restore_region(
    source: Item | Tomogram | str | Path,
    region: Region,
    *,
    half1: str | Path | None = None,
    half2: str | Path | None = None,
    model: Model | str | Path = "default",
    options: RestoreOptions | None = None,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Restore a part of a tomogram, in memory, for example for a preview.

    Parameters
    ----------
    source, half1, half2, model, options, progress
        As in `restore_tomogram`; options about files have no effect.
    region
        Slices of `(z, y, x)`, with starts and stops inside the volume; see `restore_array`.

    Returns
    -------
    restored
        float32, of the shape of the region, on the scale of the input.

    Raises
    ------
    TomogramError, TiltError, CheckpointError, ConfigError
        As `restore_tomogram` does.
    """
    item = item_of(source, half1=half1, half2=half2, contrast=(options or RestoreOptions()).contrast or "auto")
    done = restore_array(item.content, **item.facts(), region=region, model=model, options=options, progress=progress)
    return cast(NDArray[np.float32], done.data)


def _draw(
    item: Item, pictures: list[Path], results: list[NDArray[Any]], comparison: Comparison, model: str, seconds: float
) -> None:
    """Draw the results beside the input; the second picture shows the correlation of the halves."""
    if not pictures:
        return
    tomogram, wedge = item.tomogram, item.wedge
    if item.halves is not None:
        restored = (results[1], results[2]) if len(results) == 3 else None
        halves = cast(tuple[NDArray[Any], NDArray[Any]], tuple(map(content_of, item.halves)))
        draw_halves_fsc(pictures[1], *halves, voxel_size=tomogram.voxel_size, restored=restored)
    tilts = (wedge.tilt_min, wedge.tilt_max, in_letters(tomogram.tilt_source))
    warnings = (("warning", item.warning),) if item.warning else ()
    protein = f"{item.protein} ({item.contrast_figure})"
    facts = RestorationFacts(tomogram.voxel_size, *tilts, protein, model, seconds, warnings)
    before = cast(NDArray[Any], item.volume)
    draw_restoration(pictures[0], before, results[0], facts, in_letters(tomogram.path.name), comparison)
