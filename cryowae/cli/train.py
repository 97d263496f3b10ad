"""`cryowae train CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.commands import FOLDER
from cryowae.cli.terminal import print_results, progress


def train(
    config: str,
    output: Annotated[Path | None, FOLDER] = None,
    assignments: list[str] | None = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> None:
    """Train weights on simulated subtomograms.

    Parameters
    ----------
    config
        A YAML file, or the name of a shipped one.
    output
        Folder of the run, by default runs/NAME.
    assignments
        Change one value, e.g. data.batch=8.
    steps
        Number of steps; a run that is resumed may get more.
    resume
        Continue the run in the folder with its own config.yaml: no --set is needed again.
    overwrite
        Overwrite the run in the folder.
    """
    from cryowae.config import load_config

    changes = [*(assignments or ()), *([] if steps is None else [f"steps={steps}"])]
    own = None if output is None else output / "config.yaml"
    settings = load_config(own if resume and own is not None and own.is_file() else config, changes)
    folder = output or Path("runs") / settings.name
    if resume and output is None and (folder / "config.yaml").is_file():
        settings = load_config(folder / "config.yaml", changes)
    from cryowae.train import train as run

    with progress() as shown:
        weights = run(settings, folder, resume=resume, overwrite=overwrite, device=device, progress=shown)
    print_results(("weights", weights))
