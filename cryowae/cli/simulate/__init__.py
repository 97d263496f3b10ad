"""`cryowae simulate ...`: what an instrument would see of a specimen that is known."""

from __future__ import annotations

import typer

from cryowae.cli.errors import ErrorsInOneLine
from cryowae.cli.simulate.reconstruct import reconstruct
from cryowae.cli.simulate.scene import scene
from cryowae.cli.simulate.tilts import tilts
from cryowae.cli.simulate.wedge import wedge

simulate = typer.Typer(
    name="simulate",
    cls=ErrorsInOneLine,
    help="Simulate wedges, tilt series, reconstructions and whole scenes with their ground truth.",
    no_args_is_help=True,
)
for _command in (wedge, tilts, reconstruct, scene):
    simulate.command()(_command)
