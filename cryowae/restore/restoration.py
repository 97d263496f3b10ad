"""`restore_tomogram`: a mapped tomogram in, a restored one out, window by window."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.consistency import mix_measured
from cryowae.errors import ConfigError, OutputError, TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.io.memory import scratch_array
from cryowae.io.mrc import SUFFIXES, MrcWriter, in_zyx, read_mrc, stem_of
from cryowae.io.neighbours import find_halves
from cryowae.io.outputs import check_output
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Progress
from cryowae.report import Comparison, RestorationFacts, compare_spectra, draw_halves_fsc, draw_restoration
from cryowae.restore.inferred import write_inferred
from cryowae.restore.network import Model, WindowNetwork
from cryowae.restore.observation import mean_offset, open_beside, standardised, weights_of
from cryowae.restore.options import RestoreOptions, RestoreResult
from cryowae.restore.volumes import MeanOf, Standardised, central_block, require_content, slabs
from cryowae.tiling import Volume, apply_tiled
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.estimate import estimate_contrast


def restore_tomogram(
    source: Tomogram | str | Path,
    output: str | Path | None = None,
    *,
    half1: str | Path | None = None,
    half2: str | Path | None = None,
    model: Model | str | Path = "default",
    options: RestoreOptions | None = None,
    progress: Progress = SILENT,
) -> RestoreResult:
    """Denoise a tomogram and fill its missing wedge.

    The result has the mean, scale, sign and header of the input. It is written under a temporary name and renamed
    when it is complete; after an error or an interrupt nothing is left behind.

    Parameters
    ----------
    source
        A tomogram, or its file.
    output
        The file to write; `NAME_restored.mrc` beside the input if not given.
    half1, half2
        Reconstructions from independent halves of the data: their mean is restored in place of `source`, which gives
        name, header and tilts.
    model
        Weights by name or path, or what `load_model` returns.
    options
        Everything else, see `RestoreOptions`.
    progress
        Told every window.

    Raises
    ------
    TomogramError
        If a volume cannot be read or restored.
    TiltError
        If the tilt range is not known.
    CheckpointError, ConfigError
        If the weights or the options will not do.
    OutputError
        If the output exists, or cannot be written.
    """
    began = time.perf_counter()
    options = options or RestoreOptions()
    job = _prepare(source, output, half1, half2, options)
    network = load_model(model, options.device) if isinstance(model, str | Path) else model
    notes, cost = list(job.notes), 0.0
    for target in job.targets:
        scaled = standardised(target.volume, job.contrast, str(job.tomogram.path))
        windows = WindowNetwork(
            network, job.tomogram.voxel_size, torch.from_numpy(central_block(scaled, 96)), options.turns
        )
        cost = _restore(scaled, target.path, windows, job, options, progress)
        notes += [note for note in windows.notes if note not in notes]
    seconds = time.perf_counter() - began
    main = job.targets[0]
    comparison = _compare(job, network.name, seconds)
    if job.inferred is not None:
        made = read_mrc(main.path, voxel_size=job.tomogram.voxel_size)
        data = in_zyx(made.data, job.tomogram.axes)
        restored = replace(job.tomogram, data=data, header=made.header, path=main.path)
        write_inferred(restored, job.inferred, overwrite=options.overwrite, progress=progress)
    return RestoreResult(
        path=main.path,
        pictures=tuple(job.pictures),
        halves=tuple(target.path for target in job.targets[1:]),
        inferred=job.inferred,
        notes=tuple(notes),
        voxel_size=job.tomogram.voxel_size,
        tilt_min=job.wedge.tilt_min,
        tilt_max=job.wedge.tilt_max,
        tilt_source=job.tomogram.tilt_source,
        contrast=job.contrast,
        inferred_share=comparison.inferred_share,
        measured_correlation=comparison.measured_correlation,
        seconds=seconds,
        network_voxels_per_voxel=cost,
    )


@dataclass(frozen=True)
class _Target:
    volume: Volume
    path: Path


@dataclass(frozen=True)
class _Job:
    """Everything that is known before the network is asked; all inputs have been checked."""

    tomogram: Tomogram
    wedge: Wedge
    targets: list[_Target]
    inferred: Path | None
    halves: tuple[NDArray[Any], NDArray[Any]] | None
    mask: NDArray[Any] | None
    contrast: str
    pictures: list[Path]
    notes: tuple[str, ...]


def _prepare(
    source: Tomogram | str | Path,
    output: str | Path | None,
    half1: str | Path | None,
    half2: str | Path | None,
    options: RestoreOptions,
) -> _Job:
    tomogram = source if isinstance(source, Tomogram) else open_tomogram(source)
    path = tomogram.path.with_name(f"{stem_of(tomogram.path)}_restored.mrc") if output is None else Path(output)
    if path.suffix.lower() not in SUFFIXES and not path.is_dir():
        raise OutputError(
            f"{path} is neither the name of an MRC file ({', '.join(SUFFIXES)}) nor a folder: make the "
            "folder first, or end the name in .mrc"
        )
    if tomogram.wedge is None:
        raise TiltError(f"the tilt range of {tomogram.path} is not known: expected a tomogram opened with its tilts")
    targets, halves = [_Target(tomogram.data, path)], None
    if half1 is not None and half2 is not None:
        halves = (open_beside(half1, tomogram), open_beside(half2, tomogram))
        targets[0] = _Target(MeanOf(*halves), path)
    elif half1 is not None or half2 is not None:
        raise ConfigError("got one half, expected both: give --half1 and --half2")
    if options.write_halves:
        if halves is None:
            raise ConfigError("got --write-halves without halves: give --half1 and --half2")
        for i, half in enumerate(halves, start=1):
            targets.append(_Target(half, path.with_name(f"{stem_of(path)}_half{i}.mrc")))
    inferred = path.with_name(f"{stem_of(path)}_inferred.mrc") if options.write_inferred else None
    pictures = [path.with_name(f"{stem_of(path)}.png")] if options.report else []
    if pictures and halves:
        pictures.append(path.with_name(f"{stem_of(path)}_halves.png"))
    inputs = {Path(name).resolve() for name in (tomogram.path, half1, half2, options.mask) if name is not None}
    for place in (*(target.path for target in targets), *pictures, *([inferred] if inferred else [])):
        check_output(place, overwrite=options.overwrite)
        if place.resolve() in inputs:
            raise OutputError(f"{place} is an input: expected another place for the result; give --output")
    mask = None if options.mask is None else open_beside(options.mask, tomogram)
    if halves is None:
        require_content(tomogram.data, tomogram.path)
    else:
        for half, name in zip(halves, (half1, half2), strict=True):
            require_content(half, Path(str(name)))
    if mask is not None:
        require_content(mask, Path(str(options.mask)))
    notes = list(tomogram.notes)
    if halves is None and (beside := find_halves(tomogram.path)) is not None:
        pair = f"{beside.half1.name} and {beside.half2.name}"
        notes.append(f"{pair} look like its halves and were not used: with --half1 and --half2 their mean is restored")
    contrast: str = options.contrast
    if contrast == "auto":
        contrast = estimate_contrast(tomogram.data if halves is None else halves[0], tomogram.voxel_size)
    return _Job(tomogram, tomogram.wedge, targets, inferred, halves, mask, contrast, pictures, tuple(notes))


def _restore(
    scaled: Standardised, path: Path, network: WindowNetwork, job: _Job, options: RestoreOptions, progress: Progress
) -> float:
    """Restore one volume into one file; returns the network voxels per voxel."""
    shape = (scaled.shape[0], scaled.shape[1], scaled.shape[2])
    with (
        MrcWriter(
            path,
            shape,
            voxel_size=job.tomogram.voxel_size,
            like=job.tomogram.header,
            float16=options.float16,
            overwrite=options.overwrite,
            axes=job.tomogram.axes,
            label=f"restored by {network.model.name}",
        ) as writer,
        _sum(writer.data, path.parent) as total,
    ):
        plan = apply_tiled(
            network,
            scaled,
            total,
            device=network.model.device,
            stride=network.stride,
            margin=network.margin(shape),
            max_voxels=network.max_voxels(),
            window=options.window,
            overlap=options.overlap,
            progress=progress,
        )
        fill = options.wedge == "fill"
        weights = weights_of(scaled, job.halves, job.wedge, options.consistency)
        mix_measured(total, scaled, job.wedge, weights, fill=fill, scratch_folder=path.parent, progress=progress)
        offset = np.float32(0) if options.consistency == "hard" else mean_offset(total, scaled)
        for part in slabs(shape):
            block = scaled.undo(total[part] + offset)
            if job.mask is not None:
                inside = np.clip(np.asarray(job.mask[part], dtype=np.float32), 0, 1)
                block = inside * block + (1 - inside) * np.asarray(scaled.volume[part], dtype=np.float32)
            with np.errstate(over="ignore"):  # what float16 cannot hold is refused at the end
                writer.data[part] = block
    return plan.network_voxels_per_voxel * network.turns


def _sum(data: NDArray[Any], folder: Path) -> AbstractContextManager[NDArray[Any]]:
    """Where windows are added up: the output itself, unless its precision is too low."""
    return nullcontext(data) if data.dtype == np.float32 else scratch_array(data.shape, np.float32, folder)


def _compare(job: _Job, model: str, seconds: float) -> Comparison:
    """Look at the results once more, and draw them."""
    tomogram, wedge = job.tomogram, job.wedge
    before = cast(NDArray[Any], job.targets[0].volume)
    results = [in_zyx(read_mrc(target.path).data, tomogram.axes) for target in job.targets]
    if not job.pictures:
        return compare_spectra(before, results[0], wedge.tilt_min, wedge.tilt_max)
    if job.halves is not None:
        restored = (results[1], results[2]) if len(results) == 3 else None
        draw_halves_fsc(job.pictures[1], *job.halves, voxel_size=tomogram.voxel_size, restored=restored)
    tilts = (wedge.tilt_min, wedge.tilt_max, tomogram.tilt_source)
    facts = RestorationFacts(tomogram.voxel_size, *tilts, job.contrast, model, seconds)
    return draw_restoration(job.pictures[0], before, results[0], facts, title=tomogram.path.name)
