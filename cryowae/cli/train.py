"""`cryowae train CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cryowae.cli.commands import FOLDER
from cryowae.cli.terminal import print_results, progress


def train(
    config: str,
    output: Annotated[Path | None, FOLDER] = None,
    assignments: list[str] | None = None,
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
    resume
        Continue the run in the folder with its own config.yaml.
    overwrite
        Overwrite the run in the folder.
    """
    from cryowae.config import load_config

    settings = load_config(config, assignments or ())
    folder = output or Path("runs") / settings.name
    own = folder / "config.yaml"
    if resume and own.is_file():
        settings = load_config(own, assignments or ())
    from cryowae.train import train as run

    with progress() as shown:
        weights = run(settings, folder, resume=resume, overwrite=overwrite, device=device, progress=shown)
    print_results(("weights", weights))
