"""The command `cryowae`: arguments, messages and exit codes, one module a command.

Whatever is heavy is imported inside the commands, so that `cryowae --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cryowae.cli.baseline import baseline
from cryowae.cli.benchmark import benchmark
from cryowae.cli.demo import demo
from cryowae.cli.errors import ErrorsInOneLine
from cryowae.cli.info import info
from cryowae.cli.reconstruct import reconstruct
from cryowae.cli.restore import restore
from cryowae.cli.simulate import simulate
from cryowae.cli.train import train
from cryowae.cli.view import view

__all__ = ["app"]

app = typer.Typer(
    name="cryowae",
    cls=ErrorsInOneLine,
    help="Restore cryo-electron tomograms: denoised, and with the missing wedge filled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (restore, reconstruct, view, info, demo, train):
    app.command()(_command)
app.add_typer(simulate)
app.add_typer(benchmark)
app.add_typer(baseline)


def _say_version(wanted: bool) -> None:
    if wanted:
        from cryowae import __version__

        typer.echo(f"cryowae {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
