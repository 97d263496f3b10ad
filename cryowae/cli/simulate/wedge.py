"""`cryowae simulate wedge VOLUME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Axes, FlipTilt, Overwrite, TiltRange, VoxelSize
from cryowae.cli.terminal import progress


def wedge(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="What is cut, MRC.")],
    tilts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tilt angles: a fan of slabs of one over the volume's thickness is kept."),
    ] = None,
    tilt_range: TiltRange = None,
    soft: Annotated[bool, typer.Option("--soft", help="The range of the tilts, falling over 5 degrees.")] = False,
    noise: Annotated[
        float | None,
        typer.Option(metavar="SNR", help="Add the noise of a tilt series: variance of its images over noise's."),
    ] = None,
    rotate: Annotated[
        int | None, typer.Option(metavar="SEED", min=0, help="Turn the volume first, at random; written too.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 1,
    flip_tilt: FlipTilt = False,
    axes: Axes = "zyx",
    voxel_size: VoxelSize = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The volume; else NAME_wedge.mrc beside VOLUME.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut the missing wedge out of a volume; writes the volume, the mask and a picture of both spectra.

    The mask, NAME_wedge_mask.mrc, is 1 where measured, with zero frequency at the voxel n // 2 of each axis (z, y, x).
    """
    from cryowae.errors import TiltError
    from cryowae.simulate.cutting import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    if (tilts is None) == (tilt_range is None):
        raise TiltError("expected either --tilts FILE or --tilt-range LO HI, to know what is measured")
    opened = open_tomogram(
        volume, tilts=tilts, tilt_range=tilt_range, flip_tilt=flip_tilt, voxel_size=voxel_size, axes=axes
    )
    with progress() as shown:
        result = simulate_wedge(
            opened,
            output,
            wedge=wedge_of(opened, soft=soft),
            noise=noise,
            rotate=rotate,
            seed=seed,
            overwrite=overwrite,
            progress=shown,
        )
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    kept = result.wedge
    kind = f"{len(kept.angles)} tilts" if kept.angles else f"edges of {kept.edge:g} degrees" if soft else "all between"
    lines = [
        ("volume", str(result.path)),
        ("mask", str(result.mask)),
        *([("turned", str(result.turned))] if result.turned else []),
        ("picture", str(result.picture)),
        ("wedge", f"{kept.tilt_min:+g} to {kept.tilt_max:+g} degrees, {kind}: {result.measured_share:.1%} measured"),
    ]
    if result.turn is not None:
        axis = ", ".join(f"{v:.5f}" for v in result.turn.axis)
        lines.append(("rotation", f"{result.turn.angle:.3f} degrees about (z, y, x) = ({axis}), seed {rotate}"))
    if noise is not None:
        lines.append(("noise", f"SNR {noise:g}: {result.sigma:.4g} on the projections, seed {seed}"))
    lines.append(("time", f"{result.seconds:.1f} s"))
    for name, value in lines:
        typer.echo(f"{name:<12}{value}")
