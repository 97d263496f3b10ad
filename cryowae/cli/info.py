"""`cryowae info FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.groups import with_groups
from cryowae.config.options import TomogramOptions


@with_groups
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reconstructed tomogram, MRC.")],
    opening: TomogramOptions,
) -> None:
    """Describe a tomogram: header, angles, wedge, contrast, and whether its spectrum agrees with them."""
    from cryowae.info import inspect_tomogram

    for line in inspect_tomogram(file, opening).lines():
        typer.echo(line)
