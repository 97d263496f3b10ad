"""`cryowae train CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Device
from cryowae.cli.terminal import progress


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped one.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the run, by default runs/NAME.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one value, e.g. data.batch=8.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, by its own config.yaml.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Overwrite the run in the folder.")] = False,
    device: Device = "auto",
) -> None:
    """Train weights on simulated subtomograms."""
    from cryowae.config import load_config

    settings = load_config(config, assignments or ())
    folder = output or Path("runs") / settings.name
    own = folder / "config.yaml"
    if resume and own.is_file():
        settings = load_config(own, assignments or ())
    from cryowae.train import train as run

    with progress() as shown:
        weights = run(settings, folder, resume=resume, overwrite=overwrite, device=device, progress=shown)
    typer.echo(f"weights     {weights}")
