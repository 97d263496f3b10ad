"""`cryowae demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.errors import complain
from cryowae.cli.opening import Device, Overwrite
from cryowae.cli.terminal import progress


def demo(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the files.")] = Path("demo"),
    model: Annotated[str, typer.Option(metavar="NAME", help="Weights by name, or a .safetensors file.")] = "default",
    seed: Annotated[int, typer.Option(help="Seed of the scene and its noise.")] = 1,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Simulate a crowded scene, restore it and score the result; fails unless that beats the input."""
    from cryowae.demo import run_demo

    with progress() as shown:
        result = run_demo(output, model=model, seed=seed, device=device, overwrite=overwrite, progress=shown)
    typer.echo(result.table)
    for path in (result.tomogram, result.truth, result.restored, result.picture):
        typer.echo(str(path))
    typer.echo(f"{result.seconds:.0f} s")
    if not result.passed:
        complain("the restored scene is no better than the input: the weights or the installation are broken")
        raise typer.Exit(1)
