"""`cryowae simulate ...`: what an instrument would record of a specimen that is known."""

from __future__ import annotations

from functools import wraps
from typing import Any

import typer

from cryowae.cli.errors import ErrorsInOneLine
from cryowae.cli.reconstruct import reconstruct
from cryowae.cli.simulate.scene import scene
from cryowae.cli.simulate.tilts import tilts
from cryowae.cli.simulate.wedge import wedge

simulate = typer.Typer(
    name="simulate",
    cls=ErrorsInOneLine,
    help="Simulate missing wedges, tilt series and whole scenes with their ground truth.",
    no_args_is_help=True,
)
for _command in (wedge, tilts, scene):
    simulate.command()(_command)


@simulate.command("reconstruct", hidden=True)
@wraps(reconstruct)
def _former_reconstruct(**options: Any) -> None:
    typer.echo("cryowae simulate reconstruct is now cryowae reconstruct", err=True)
    reconstruct(**options)
