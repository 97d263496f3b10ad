"""`cryowae restore TOMO...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowae.cli.errors import MENDABLE, complain
from cryowae.cli.groups import with_groups
from cryowae.cli.terminal import progress
from cryowae.config.options import ItemOptions, RestoreOptions
from cryowae.errors import CryowaeError

if TYPE_CHECKING:
    from cryowae.restore import RestoreResult


@with_groups
def restore(
    tomograms: Annotated[list[Path], typer.Argument(metavar="TOMO", help="Reconstructed tomograms, MRC.")],
    item: ItemOptions,
    options: RestoreOptions,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Shipped weights by name, or a .safetensors file.")
    ] = "default",
    output: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File to write, a folder for several; else NAME_restored.mrc beside TOMO."),
    ] = None,
) -> None:
    """Denoise tomograms and fill their missing wedge.

    Exits with 0 if all were restored, with 1 if some failed and with 2 if all failed.
    """
    from cryowae.models.weights import load_model
    from cryowae.restore import restore_tomogram
    from cryowae.tomogram import items_of

    items = items_of(tomograms, output, item)
    network = load_model(model, options.device)
    failures = 0
    for one in items:
        try:
            with progress() as shown:
                result = restore_tomogram(one, model=network, options=options, progress=shown)
        except CryowaeError as error:
            complain(error)
            failures += 1
        else:
            _tell(result)
    if failures:
        raise typer.Exit(MENDABLE if failures == len(items) else 1)


def _tell(result: RestoreResult) -> None:
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    lines = [
        ("restored", str(result.path)),
        *(("half", str(path)) for path in result.halves),
        *([("inferred", str(result.inferred))] if result.inferred else []),
        *(("picture", str(path)) for path in result.pictures),
        ("voxel size", f"{result.voxel_size:g} Å"),
        ("tilts", f"{result.tilt_min:+g} to {result.tilt_max:+g} degrees, {result.tilt_source}"),
        ("protein", result.contrast),
        ("in wedge", f"{result.inferred_share:.1%} of the power: inferred, nothing was measured there"),
        ("the rest", f"denoised, correlation {result.measured_correlation:.3f} with the input"),
        ("time", f"{result.seconds:.1f} s, {result.network_voxels_per_voxel:.2f} network voxels per voxel"),
    ]
    for name, value in lines:
        typer.echo(f"{name:<12}{value}")
