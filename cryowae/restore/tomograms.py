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
from cryowae.errors import ConfigError, OutputError
from cryowae.io.mrc import SUFFIXES, in_zyx, read_mrc, stem_of
from cryowae.io.outputs import check_output
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.report import Comparison, RestorationFacts, compare_spectra, draw_halves_fsc, draw_restoration
from cryowae.restore.core import restore_array
from cryowae.restore.inferred import write_inferred
from cryowae.restore.network import Model
from cryowae.restore.sample_files import restore_samples, sample_paths, volume_writer
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
        If a volume cannot be read or restored.
    TiltError
        If the tilt range is not known, or angles or axes contradict the spectrum without `force`.
    CheckpointError, ConfigError
        If the weights or the options cannot be used.
    OutputError
        If the output exists, or cannot be written.
    """
    began = time.perf_counter()
    options = options or RestoreOptions()
    protein, inside = options.contrast or contrast, mask or options.mask  # those in the options are deprecated
    item = item_of(source, output, half1=half1, half2=half2, contrast=protein, mask=inside, force=force)
    files = _Files.of(item, options)
    tomogram, wedge, notes, cost = item.tomogram, item.wedge, item.notes, 0.0
    item.require_content()
    network = load_model(model, options.device) if isinstance(model, str | Path) else model
    volumes: Sequence[Volume] = [item.content, *item.unscaled_halves]
    for volume, path in zip(volumes, files.volumes, strict=False):
        if options.drawn and volume is volumes[0]:
            done = restore_samples(item, path, network, options, progress)
        else:
            with volume_writer(item, path, options, f"restored by {network.name}") as writer:
                facts, scratch = item.facts(), path.parent
                how: dict[str, Any] = {"options": options, "scratch": scratch, "progress": progress}
                done = restore_array(volume, **facts, model=network, out=writer.data, **how)
        cost = done.network_voxels_per_voxel
        notes += [note for note in done.notes if note not in notes]
    comparison = _compare(item, files, network.name, time.perf_counter() - began)
    if files.inferred is not None:
        made = read_mrc(files.volumes[0], voxel_size=tomogram.voxel_size)
        restored = replace(tomogram, data=in_zyx(made.data, tomogram.axes), header=made.header, path=files.volumes[0])
        write_inferred(restored, files.inferred, overwrite=options.overwrite, progress=progress)
    return RestoreResult(
        path=files.volumes[0],
        pictures=tuple(files.pictures),
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


def check_restoration(item: Item, options: RestoreOptions) -> None:
    """Check the outputs of `restore_tomogram`, before work that precedes it; raises its `OutputError`."""
    _Files.of(item, options)


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


@dataclass(frozen=True)
class _Files:
    """The files that a restoration writes: the result, then its halves; none of them exists or is an input."""

    volumes: list[Path]
    inferred: Path | None
    pictures: list[Path]
    samples: list[Path]

    @classmethod
    def of(cls, item: Item, options: RestoreOptions) -> _Files:
        path = item.target
        if path.suffix.lower() not in SUFFIXES and not path.is_dir():
            raise OutputError(
                f"{path} is neither the name of an MRC file ({', '.join(SUFFIXES)}) nor a folder: make the "
                "folder first, or end the name in .mrc"
            )
        if options.write_halves and item.halves is None:
            raise ConfigError("got --write-halves without halves: give --half1 and --half2")

        def beside(ending: str, wanted: object = True) -> list[Path]:
            return [path.with_name(stem_of(path) + ending)] if wanted else []

        volumes = [path, *(file for i in (1, 2) for file in beside(f"_half{i}.mrc", options.write_halves))]
        inferred = beside("_inferred.mrc", options.write_inferred)
        pictures = beside(".png", options.report) + beside("_halves.png", options.report and item.halves)
        inputs = {file.resolve() for file in item.inputs}
        samples = sample_paths(path, options)
        for place in (*volumes, *samples, *pictures, *inferred):
            check_output(place, overwrite=options.overwrite)
            if place.resolve() in inputs:
                raise OutputError(f"{place} is an input: expected another place for the result; give --output")
        return cls(volumes, inferred[0] if inferred else None, pictures, samples)


def _compare(item: Item, files: _Files, model: str, seconds: float) -> Comparison:
    """Compare the results with the input, and draw them."""
    tomogram, wedge = item.tomogram, item.wedge
    before = cast(NDArray[Any], item.volume)
    content = item.content
    results = [in_zyx(read_mrc(path).data, tomogram.axes) for path in files.volumes]
    comparison = compare_spectra(
        cast(NDArray[Any], content),
        cast(NDArray[Any], OnContent(results[0], content)),
        wedge.tilt_min,
        wedge.tilt_max,
    )
    if not files.pictures:
        return comparison
    if item.halves is not None:
        restored = (results[1], results[2]) if len(results) == 3 else None
        halves = cast(tuple[NDArray[Any], NDArray[Any]], tuple(map(content_of, item.halves)))
        draw_halves_fsc(files.pictures[1], *halves, voxel_size=tomogram.voxel_size, restored=restored)
    tilts = (wedge.tilt_min, wedge.tilt_max, tomogram.tilt_source)
    warnings = (("warning", item.warning),) if item.warning else ()
    protein = f"{item.protein} ({item.contrast_figure})"
    facts = RestorationFacts(tomogram.voxel_size, *tilts, protein, model, seconds, warnings)
    draw_restoration(files.pictures[0], before, results[0], facts, tomogram.path.name, comparison)
    return comparison
