"""`cryowae simulate scene CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Overwrite
from cryowae.cli.terminal import progress


def scene(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the files.")],
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="E.g. ice=0.05.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of that of CONFIG.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a crowded tomogram with its ground truth, halves, labels and particle table; protein is dark."""
    from cryowae.config import load_scene

    chosen = [*(assignments or ()), *([] if seed is None else [f"seed={seed}"])]
    settings = load_scene(config, chosen)
    from cryowae.simulate.scene_files import simulate_scene

    with progress() as shown:
        made = simulate_scene(settings, output, overwrite=overwrite, progress=shown)
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    for name, count in sorted(made.counts.items()):
        typer.echo(f"{count:6d} {name}")
    for path in made.paths.all():
        typer.echo(str(path))
