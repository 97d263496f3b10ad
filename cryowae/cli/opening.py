"""Options that say how a tomogram is to be opened, the same in all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Tilts = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Tilt angles; found beside the tomogram by name if not given.")
]
TiltRange = Annotated[
    tuple[float, float] | None, typer.Option(metavar="LO HI", help="Extreme tilts in degrees, e.g. -60 60.")
]
FlipTilt = Annotated[
    bool, typer.Option("--flip-tilt", help="Negate the tilts, as volumes of WarpTools and AreTomo may need.")
]
Axes = Annotated[Literal["zyx", "xzy"], typer.Option(help="xzy: the file has the thickness on its second axis.")]
VoxelSize = Annotated[float | None, typer.Option(metavar="ANGSTROM", help="Replaces that of the header.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite existing files.")]
