"""The command `cryowae`: arguments, messages and exit codes. A module has the commands of one subject.

Whatever is heavy is imported inside the commands, so that `cryowae --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cryowae.cli.baseline import learn, measure
from cryowae.cli.benchmark import benchmark
from cryowae.cli.commands import group
from cryowae.cli.own_data import fit, validate
from cryowae.cli.process import demo, info, reconstruct, restore, view
from cryowae.cli.simulate import simulate
from cryowae.cli.train import train

__all__ = ["app"]

app = group(
    "cryowae",
    "Restore cryo-electron tomograms: denoised, and with the missing wedge filled.",
    *(restore, fit, validate, reconstruct, view, info, demo, train),
)
baseline = group(
    "baseline",
    "Train and measure 2-D image models with the objectives of the 3-D model.",
    *(learn.mnist, learn.celeba, learn.restore, learn.sweep, learn.lenet),
    *(measure.evaluate, measure.references, measure.table, measure.sample, measure.bandwidth),
)
for _group in (simulate, benchmark, baseline):
    app.add_typer(_group)


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
