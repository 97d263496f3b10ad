"""`cryowae baseline ...`: the 2-D image baselines."""

from __future__ import annotations

import typer

from cryowae.cli.baseline.learn import celeba, lenet, mnist, restore, sweep
from cryowae.cli.baseline.measure import bandwidth, evaluate, references, sample, table
from cryowae.cli.errors import ErrorsInOneLine

__all__ = ["baseline"]

baseline = typer.Typer(
    name="baseline",
    cls=ErrorsInOneLine,
    help="Train and measure 2-D image models with the objectives of the 3-D model.",
    no_args_is_help=True,
)
for _command in (mnist, celeba, restore, sweep, lenet, evaluate, references, table, sample, bandwidth):
    baseline.command()(_command)
