"""`cryowae validate | fit`: evidence about a restoration on a user's own data, and weights adapted to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.terminal import print_results, progress
from cryowae.config.evidence_options import ValidateOptions
from cryowae.config.options import FitOptions, ItemOptions
from cryowae.errors import ConfigError


def validate(
    options: ValidateOptions,
    series: Annotated[Path | None, typer.Argument(metavar="SERIES")] = None,
    model: str = "default",
    output: Annotated[Path | None, typer.Option(metavar="PATH")] = None,
) -> None:
    """Does the restoration of your own data agree with measurements that it was not made from?

    With a tilt SERIES: some tilts are left out, the others are reconstructed and restored, and the result is projected
    to the angles of those left out and compared with the real images.
    With --half1 and --half2: each half is restored alone and compared with the other.
    Files, alignments, --bin, --thickness and --voxel-size are those of reconstruct.

    Parameters
    ----------
    series
        Tilt series, MRC: one section a tilt. Not with --half1 and --half2.
    model
        Shipped weights by name, or a .safetensors file.
    output
        Folder, or NAME.json or NAME.png; by default SERIES_validation.json and .png beside SERIES.
    """
    if (series is None) == (options.half1 is None):
        raise ConfigError("expected either a tilt SERIES or --half1 and --half2: give one of them")
    from cryowae.validate import validate_halves, validate_series

    with progress() as shown:
        if series is not None:
            result = validate_series(series, options.tilts, output, options, model=model, progress=shown)
        else:
            halves = options.half1 or Path(), options.half2 or Path()
            result = validate_halves(*halves, output, options, model=model, progress=shown)
    evidence = result.evidence
    out = (", " if result.kind == "tilts" else "; ").join(result.units)
    size = " x ".join(map(str, reversed(evidence.field)))
    compared = "pixels in the middle of the images" if result.kind == "tilts" else "voxels (x, y, z) a block"
    print_results(
        ("tested", result.question),
        ("left out" if result.kind == "tilts" else "blocks", f"{len(result.units)}: {out}"),
        ("compared", f"{size} {compared}; beads replaced: {evidence.masked:.2%}"),
        "",
        evidence.table(result.voxel_size),
        "",
        *((control.name, control.line()) for control in evidence.controls),
        *(("not tested", line) for line in result.limits),
        ("figures", result.table),
        ("picture", result.picture),
        ("time", f"{result.seconds:.1f} s"),
        notes=result.notes,
    )


def fit(
    tomograms: Annotated[list[Path], typer.Argument(metavar="TOMO")],
    item: ItemOptions,
    options: FitOptions,
    output: Annotated[Path, typer.Option(metavar="NAME.safetensors")],
    model: str = "default",
) -> None:
    """Adapt the weights to your own tomograms.

    The weights go on learning from scenes that are simulated with the voxel size, tilts and noise level of the
    tomogram. They are judged on data that no step uses, and the best ones are written.
    The run is in the folder NAME.fit beside the weights, the picture in NAME.png. Ctrl-C keeps the best weights so far.

    Parameters
    ----------
    tomograms
        Reconstructed tomograms, MRC.
    output
        Weights to write, for restore --model.
    model
        Weights to start from: shipped ones by name, or a .safetensors file.
    """
    from cryowae.fit import fit_weights
    from cryowae.tomogram import items_of

    items = items_of(tomograms, None, item)
    with progress() as shown:
        result = fit_weights(items, output, options, model=model, progress=shown)
    change = f"{result.before:.3f} -> {result.after:.3f}" if result.before > -1 else f"{result.after:.3f}"
    verdict = "better than at the start" if result.improved else "not better than at the start: those were written"
    print_results(
        ("weights", result.path),
        *(("tomogram", f"{name.name}: {one.summary}") for name, one in zip(tomograms, result.physics, strict=True)),
        ("steps", result.steps),
        ("judged by", result.question),
        ("score", f"{change}, {verdict}"),
        ("picture", result.picture),
        ("time", f"{result.seconds / 60:.1f} min"),
        notes=result.notes,
    )
