"""Options that the commands of `cryowae baseline` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RUNS = Path("runs/baselines")

Model = Annotated[
    Literal["ae", "vae", "wae-mmd", "wae-gan", "aae", "wgan-gp"],
    typer.Option(help="What to train.", show_default=False),
]
PresetName = Annotated[
    Literal["faithful", "fixed"], typer.Option(help="The report's protocol, or the same with its errors put right.")
]
Data = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of the images; else CRYOWAE_MNIST, CRYOWAE_CELEBA.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="Of weights, order, noise and samples.")]
Images = Annotated[int, typer.Option(min=0, help="Use only the first ones, for a trial; 0 uses all.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Overrule, e.g. weight=3.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
Fid = Annotated[
    str | None,
    typer.Option(metavar="FILE|download", help="Inception, as TorchScript or torchmetrics': the FID."),
]
FidImages = Annotated[
    int | None, typer.Option(min=2, help="Of those that are made, the FID sees so many; all if not given.")
]
LeNetFile = Annotated[Path, typer.Option("--lenet", metavar="FILE", help="Of `baseline lenet`.")]
Output = Annotated[Path | None, typer.Option(metavar="FOLDER", help="By default runs/baselines/ and what is run.")]
FEATURES = RUNS / "features"
LENET = RUNS / "lenet.safetensors"
