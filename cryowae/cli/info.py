"""`cryowae info FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Axes, FlipTilt, TiltRange, Tilts, VoxelSize


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reconstructed tomogram, MRC.")],
    tilts: Tilts = None,
    tilt_range: TiltRange = None,
    flip_tilt: FlipTilt = False,
    axes: Axes = "zyx",
    voxel_size: VoxelSize = None,
) -> None:
    """Say what a tomogram is: header, angles, wedge, contrast, and whether its spectrum agrees with them."""
    from cryowae.info import inspect_tomogram

    found = inspect_tomogram(
        file, tilts=tilts, tilt_range=tilt_range, flip_tilt=flip_tilt, voxel_size=voxel_size, axes=axes
    )
    for line in found.lines():
        typer.echo(line)
