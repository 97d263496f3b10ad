"""`cryowae simulate reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cryowae.cli.opening import Device, FlipTilt, Overwrite, VoxelSize
from cryowae.cli.terminal import progress
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError


def reconstruct(
    series: Annotated[Path, typer.Argument(metavar="SERIES", help="Tilt series, MRC: one section a tilt.")],
    tilts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tilt angles in the order of the sections; not needed if ALIGN has them."),
    ] = None,
    align: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Alignment: .xf (IMOD), .aln (AreTomo), .xml (Warp); none if it is aligned."),
    ] = None,
    thickness: Annotated[
        int | None, typer.Option(min=2, metavar="VOXELS", help="Along z, after binning; 3000 Å if not given.")
    ] = None,
    bin: Annotated[int, typer.Option(min=1, metavar="N", help="Pixels along the edge of a voxel.")] = 1,
    filter: Annotated[
        Literal["ramp", "exact", "sirt", "hann", "hamming"] | None,
        typer.Option(help="Weighting; hann if not given. exact is right for uneven tilts too."),
    ] = None,
    sirt: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Iterations that the filter sirt imitates; 15 if not given.")
    ] = None,
    falloff: Annotated[
        float | None,
        typer.Option(metavar="F", help="Frequency, in cycles per voxel, of a Gaussian low-pass; none if not given."),
    ] = None,
    halves: Annotated[
        bool, typer.Option("--halves", help="Also from the even and the odd tilts: NAME_EVN.mrc, NAME_ODD.mrc.")
    ] = False,
    flip_tilt: FlipTilt = False,
    voxel_size: VoxelSize = None,
    device: Device = "auto",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tomogram to write; else SERIES_rec.mrc beside SERIES.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct a tilt series by weighted back-projection."""
    if sirt is not None and filter not in (None, "sirt"):
        raise ConfigError(f"got --sirt {sirt} with --filter {filter}; expected --filter sirt")
    if falloff is not None and not falloff > 0:
        raise ConfigError(f"got --falloff {falloff:g}; expected a positive frequency, for example 0.25")
    from cryowae.reconstruct import reconstruct_series

    config = ReconstructionConfig(
        filter=filter or ("hann" if sirt is None else "sirt"), sirt=sirt or 15, falloff=falloff
    )
    with progress() as shown:
        result = reconstruct_series(
            series,
            tilts,
            output,
            alignment=align,
            thickness=thickness,
            bin=bin,
            config=config,
            halves=halves,
            flip_tilt=flip_tilt,
            voxel_size=voxel_size,
            device=device,
            overwrite=overwrite,
            progress=shown,
        )
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    size = " x ".join(map(str, result.shape[::-1]))
    lines = [
        ("tomogram", str(result.path)),
        *(("half", str(path)) for path in result.halves),
        ("angles", str(result.tilts)),
        ("size", f"{size} voxels (x, y, z) of {result.voxel_size:g} Å"),
        ("tilts", f"{len(result.angles)} from {result.angles[0]:+g} to {result.angles[-1]:+g} degrees"),
        ("filter", config.filter),
        ("time", f"{result.seconds:.1f} s"),
    ]
    for name, value in lines:
        typer.echo(f"{name:<12}{value}")
