"""`cryowae reconstruct SERIES`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Device, FlipTilt, Overwrite, VoxelSize
from cryowae.cli.terminal import print_outcome, progress
from cryowae.config.scene import ReconstructionConfig, Weighting
from cryowae.errors import ConfigError


def reconstruct(
    series: Annotated[Path, typer.Argument(metavar="SERIES", help="Tilt series, MRC: one section a tilt.")],
    tilts: Annotated[Path | None, typer.Option(metavar="FILE", help="Tilt angles, one for each section.")] = None,
    align: Annotated[Path | None, typer.Option(metavar="ALIGN", help="Alignment: .xf, .aln or Warp's .xml.")] = None,
    thickness: Annotated[int | None, typer.Option(min=2, metavar="VOXELS", help="Along z; 3000 Å by default.")] = None,
    bin: Annotated[int, typer.Option(min=1, metavar="N", help="Raw pixels along the edge of a voxel.")] = 1,
    filter: Annotated[Weighting | None, typer.Option(help="Weights of the projections; hann by default.")] = None,
    sirt: Annotated[int | None, typer.Option(min=1, metavar="N", help="Iterations for sirt; 15 by default.")] = None,
    falloff: Annotated[float | None, typer.Option(metavar="F", help="Low-pass, cycles per voxel; else none.")] = None,
    halves: Annotated[bool, typer.Option("--halves", help="Reconstruct the even and the odd tilts too.")] = False,
    flip_tilt: FlipTilt = False,
    voxel_size: VoxelSize = None,
    device: Device = "auto",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Else SERIES_rec.mrc beside SERIES.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct a tilt series, real or simulated, by weighted back-projection.

    Alignments are those of IMOD (.xf), AreTomo (.aln) and Warp (.xml).
    A series without one must be aligned.
    --tilts is not needed if ALIGN has the angles.
    --voxel-size is that of the raw pixels, --thickness counts binned voxels.

    --filter exact is right for uneven tilts too; sirt imitates SIRT.
    --falloff is the frequency at which the low-pass has fallen to exp(-1/2).
    --halves writes NAME_EVN.mrc and NAME_ODD.mrc.
    """
    if sirt is not None and filter not in (None, "sirt"):
        raise ConfigError(f"got --sirt {sirt} with --filter {filter}; expected --filter sirt")
    if falloff is not None and not falloff > 0:
        raise ConfigError(f"got --falloff {falloff:g}; expected a positive frequency, for example 0.25")
    from cryowae.reconstruct import reconstruct_series

    name = filter or ("hann" if sirt is None else "sirt")
    with progress() as shown:
        result = reconstruct_series(
            series,
            tilts,
            output,
            alignment=align,
            thickness=thickness,
            bin=bin,
            config=ReconstructionConfig(filter=name, sirt=sirt or 15, falloff=falloff),
            halves=halves,
            flip_tilt=flip_tilt,
            voxel_size=voxel_size,
            device=device,
            overwrite=overwrite,
            progress=shown,
        )
    size, angles = " x ".join(map(str, result.shape[::-1])), result.angles
    rows = [
        ("tomogram", result.path),
        *(("half", path) for path in result.halves),
        ("angles", result.tilts),
        ("size", f"{size} voxels (x, y, z) of {result.voxel_size:g} Å"),
        ("tilts", f"{len(angles)} from {angles[0]:+g} to {angles[-1]:+g} degrees"),
        ("filter", name),
    ]
    print_outcome(result, rows)
