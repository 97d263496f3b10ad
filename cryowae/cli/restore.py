"""`cryowae restore TOMO...`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryowae.cli.errors import MENDABLE, complain
from cryowae.cli.opening import Axes, Device, FlipTilt, Overwrite, TiltRange, Tilts, VoxelSize
from cryowae.cli.terminal import progress
from cryowae.errors import ConfigError, CryowaeError, OutputError

if TYPE_CHECKING:
    from cryowae.restore import RestoreResult


def restore(
    tomograms: Annotated[list[Path], typer.Argument(metavar="TOMO", help="Reconstructed tomograms, MRC.")],
    half1: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Reconstruction from the first half of the data ...")
    ] = None,
    half2: Annotated[
        Path | None, typer.Option(metavar="FILE", help="... and from the second: their mean is restored.")
    ] = None,
    tilts: Tilts = None,
    tilt_range: TiltRange = None,
    flip_tilt: FlipTilt = False,
    axes: Axes = "zyx",
    contrast: Annotated[Literal["auto", "dark", "bright"], typer.Option(help="What protein is in the file.")] = "auto",
    voxel_size: VoxelSize = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Shipped weights by name, or a .safetensors file.")
    ] = "default",
    consistency: Annotated[
        Literal["off", "soft", "hard"],
        typer.Option(help="Measured components: restored; mixed with the input's by signal-to-noise; the input's."),
    ] = "off",
    wedge: Annotated[Literal["fill", "leave"], typer.Option(help="leave: the missing wedge stays empty.")] = "fill",
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Restored only inside of this volume of 0 and 1.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="One pass, a quarter of the time, not four.")] = False,
    device: Device = "auto",
    window: Annotated[int | None, typer.Option(min=1, metavar="VOXELS", help="Edge of the windows.")] = None,
    overlap: Annotated[int | None, typer.Option(min=0, metavar="VOXELS", help="Overlap of the windows.")] = None,
    report: Annotated[bool, typer.Option(help="Draw a picture beside the result.")] = True,
    write_halves: Annotated[bool, typer.Option("--write-halves", help="Restore each half too.")] = False,
    write_inferred: Annotated[
        bool, typer.Option("--write-inferred", help="Write what was inferred too, without all that was measured.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File to write, a folder for several; else NAME_restored.mrc beside TOMO."),
    ] = None,
    overwrite: Overwrite = False,
    float16: Annotated[bool, typer.Option("--float16", help="Write half precision (MRC mode 12).")] = False,
) -> None:
    """Denoise tomograms and fill their missing wedge.

    Exits with 0 when all were restored, with 1 when some failed and with 2 when all did.
    """
    outputs = _outputs(tomograms, output)
    if len(tomograms) > 1 and (half1 or half2 or mask):
        raise ConfigError(f"got {len(tomograms)} tomograms with --half1, --half2 or --mask: expected one")
    from cryowae.models.weights import load_model
    from cryowae.restore import RestoreOptions, restore_tomogram
    from cryowae.tomogram import open_tomogram

    options = RestoreOptions(
        contrast=contrast,
        consistency=consistency,
        wedge=wedge,
        mask=mask,
        fast=fast,
        device=device,
        window=window,
        overlap=overlap,
        float16=float16,
        overwrite=overwrite,
        write_halves=write_halves,
        write_inferred=write_inferred,
        report=report,
    )
    network = load_model(model, device)
    failures = 0
    for path, target in zip(tomograms, outputs, strict=True):
        try:
            tomogram = open_tomogram(
                path, tilts=tilts, tilt_range=tilt_range, flip_tilt=flip_tilt, voxel_size=voxel_size, axes=axes
            )
            with progress() as shown:
                result = restore_tomogram(
                    tomogram, target, half1=half1, half2=half2, model=network, options=options, progress=shown
                )
        except CryowaeError as error:
            complain(error)
            failures += 1
        else:
            _tell(result)
    if failures:
        raise typer.Exit(MENDABLE if failures == len(tomograms) else 1)


def _outputs(tomograms: list[Path], output: Path | None) -> list[Path | None]:
    """The file for each tomogram; None for the place beside it."""
    from cryowae.io.mrc import stem_of

    if output is None:
        return [None] * len(tomograms)
    if len(tomograms) == 1 and output.suffix and not output.is_dir():
        return [output]
    names = [f"{stem_of(path)}_restored.mrc" for path in tomograms]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise OutputError(f"{count} results would be {output / name}: restore them singly")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output} cannot be a folder for {len(tomograms)} results ({error.strerror})") from None
    return [output / name for name in names]


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
        ("inferred", f"{result.inferred_share:.1%} of the power (in the missing wedge)"),
        ("correlation", f"{result.measured_correlation:.3f} with the input where it was measured"),
        ("time", f"{result.seconds:.1f} s, {result.network_voxels_per_voxel:.2f} network voxels per voxel"),
    ]
    for name, value in lines:
        typer.echo(f"{name:<12}{value}")
