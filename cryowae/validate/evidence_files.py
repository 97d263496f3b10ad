"""Validation of files: a tilt series with held-out images, or two half sets."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryowae.config.evidence_options import ValidateOptions
from cryowae.config.options import RestoreOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, TomogramError
from cryowae.io.memory import require_memory
from cryowae.models.weights import RestorationModel, load_model
from cryowae.progress import SILENT, Progress
from cryowae.tomogram import item_of
from cryowae.tomogram.series import open_series
from cryowae.validate.doses import unusual_doses
from cryowae.validate.dropping import parse_drop
from cryowae.validate.half_sets import score_halves, volume_blocks
from cryowae.validate.held_out import compared_columns, score_held_out
from cryowae.validate.result import Finding, ValidateResult, evidence_outputs

HALVES_LIMITS = (
    "halves cannot test what fills the missing wedge: neither of them has a measurement there",
    "errors that both halves share, such as a wrong alignment, cannot be seen",
    "halves by every other tilt also differ in their sampling, so that their ceiling is too low",
)
"""What the comparison of halves does not test."""

_VOLUMES, _HALF_VOLUMES = 6, 9  # that are in memory at once, with their intermediate results
_FEW = 6  # images; with fewer, an interval of 95 % covers less


def validate_series(
    series: str | Path,
    tilts: str | Path | None,
    output: str | Path | None = None,
    options: ValidateOptions | None = None,
    *,
    model: RestorationModel | str | Path = "default",
    config: ReconstructionConfig | None = None,
    progress: Progress = SILENT,
    **changes: Any,
) -> ValidateResult:
    """Reconstruct a tilt series without some tilts, restore the tomogram, and let it predict the images left out.

    The right hand cannot be tested: if all angles are negated, the tomogram is mirrored along z and predicts the
    same images. The control of the sign negates the angles of the projections alone.

    Parameters
    ----------
    series
        MRC stack, one section a tilt.
    tilts
        The angles, in the order of the sections. May be None if the alignment has them.
    output
        A folder, or the name of the JSON file or the picture; beside the series, `NAME_validation`, by default.
    options
        All other options, see `ValidateOptions`.
    model
        Weights by name or path, or what `load_model` returns.
    config
        Filter of the reconstruction; Hann by default.
    changes
        Fields of `options` as keywords, such as `drop="beyond:42"`; they take precedence.

    Raises
    ------
    TomogramError, TiltError, ConfigError, CheckpointError, OutputError
        If files, options or weights cannot be used, or the output cannot be written.
    """
    started = time.monotonic()
    how = replace(options or ValidateOptions(), **changes)
    if how.half1 is not None:
        raise ConfigError("got a tilt series and --half1: expected one of them")
    rule = parse_drop(how.drop)
    opened = open_series(series, tilts, how)
    dropped = rule.select(opened.listed)
    angles, listed = opened.angles, opened.listed
    shape = opened.binned_shape(how.bin)
    field = opened.common_field(compared_columns(shape[1], [angles[i] for i in dropped]), how.bin)
    files = evidence_outputs(opened.path, output, how.overwrite, opened.inputs)
    depth = opened.depth(how.thickness, how.bin)
    _require_room(_VOLUMES * depth + 2 * len(angles), shape, "--bin or a smaller --thickness")
    network = _network(model, how.device)
    evidence = score_held_out(
        opened.images(how.bin, progress),
        angles,
        dropped,
        voxel_size=opened.voxel_size * how.bin,
        depth=depth,
        model=network,
        settings=how.settings,
        options=_restoring(how),
        contrast=how.contrast,
        field=field,
        keep_beads=how.keep_beads,
        config=config,
        progress=progress,
    )
    kept = tuple(listed[i] for i in sorted(set(range(len(listed))) - set(dropped), key=listed.__getitem__))
    if opened.sign < 0:  # the user's file counts the other way
        evidence, dropped = evidence.in_reverse(), dropped[::-1]
    units = tuple(f"{listed[i]:+.1f}°" for i in dropped)
    limits = ("the handedness cannot be tested: the mirror image predicts the same images if all angles are negated",)
    few = (f"only {len(dropped)} images were left out: the intervals are rough",) if len(dropped) < _FEW else ()
    notes = (*opened.notes, *unusual_doses(opened), *few)
    made = Finding("tilts", rule.question, how, evidence, opened.voxel_size * how.bin, units, kept, limits, notes)
    return made.write(files, opened.path.name, network, opened.inputs, started)


def validate_halves(
    half1: str | Path,
    half2: str | Path,
    output: str | Path | None = None,
    options: ValidateOptions | None = None,
    *,
    model: RestorationModel | str | Path = "default",
    progress: Progress = SILENT,
    **changes: Any,
) -> ValidateResult:
    """Restore each of two halves alone, and correlate it with the other one over the measured components.

    Parameters
    ----------
    half1, half2
        Reconstructions from two independent halves of the data, MRC.
    output
        As in `validate_series`; beside the first half by default.
    options
        Tilts, axes, contrast and the like, see `ValidateOptions`; those of a series have no effect.
    model, changes, progress
        As in `validate_series`.

    Raises
    ------
    TomogramError, TiltError, ConfigError, CheckpointError, OutputError
        If files, options or weights cannot be used, or the output cannot be written.
    """
    started = time.monotonic()
    how = replace(options or ValidateOptions(), **changes)
    names = ("tilts", "tilt_range", "flip_tilt", "tilt_offset", "voxel_size", "axes", "force")
    opening = {name: getattr(how, name) for name in names}
    item = item_of(half1, half1=half1, half2=half2, contrast=how.contrast, **opening)
    if Path(half1).exists() and Path(half2).exists() and Path(half1).samefile(half2):
        raise TomogramError(f"{half1} is given as both halves; expected two reconstructions of one tomogram")
    wedge, halves = item.wedge, item.halves
    assert halves is not None
    inputs = tuple(item.inputs)
    files = evidence_outputs(Path(half1), output, how.overwrite, inputs)
    _require_room(_HALF_VOLUMES * item.tomogram.shape[0], item.tomogram.shape[1:], "binning of the halves")
    item.require_no_doubts()
    item.require_content()
    network = _network(model, how.device)
    blocks = volume_blocks(item.tomogram.shape)
    evidence = score_halves(
        *halves,
        wedge=wedge,
        voxel_size=item.tomogram.voxel_size,
        model=network,
        settings=how.settings,
        options=_restoring(how),
        contrast=how.contrast,
        keep_beads=how.keep_beads,
        progress=progress,
    )
    units = tuple(f"y {(y.start + y.stop) // 2}, x {(x.start + x.stop) // 2}" for _, y, x in blocks)
    question = "measured components of one half against the other half: is the denoising right?"
    kept = item.tomogram.tilts or (wedge.tilt_min, wedge.tilt_max)
    size, notes = item.tomogram.voxel_size, tuple(item.notes)
    made = Finding("halves", question, how, evidence, size, units, tuple(kept), HALVES_LIMITS, notes)
    return made.write(files, f"{Path(half1).name} and {Path(half2).name}", network, inputs, started)


def _require_room(sections: int, plane: tuple[int, ...], remedy: str) -> None:
    """Raise `TomogramError` unless so many float32 sections of this shape fit into the memory."""
    require_memory(4.0 * sections * plane[0] * plane[1], "the validation", f"expected more: use a larger {remedy}")


def _restoring(how: ValidateOptions) -> RestoreOptions:
    return RestoreOptions(fast=how.fast, device=how.device)


def _network(model: RestorationModel | str | Path, device: str) -> RestorationModel:
    return load_model(model, device) if isinstance(model, str | Path) else model
