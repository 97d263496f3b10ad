"""`cryowae baseline sweep`: models that differ in the weight of their match."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.baseline.features import lenet_features
from cryowae.cli.baseline.options import LENET, RUNS, Data, Images, LeNetFile, Seed, Settings
from cryowae.cli.opening import Device
from cryowae.cli.terminal import progress
from cryowae.errors import ConfigError


def sweep(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="May be repeated. wae-mmd and wae-gan if not given.")
    ] = None,
    weights: Annotated[
        list[float] | None,
        typer.Option("--weight", min=1e-9, help="May be repeated. Six from 1 to 100 000 if not given."),
    ] = None,
    data: Data = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 10,
    seed: Seed = 0,
    images: Images = 0,
    assignments: Settings = None,
    lenet: LeNetFile = LENET,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="A run to go on with, or a new one.")] = RUNS / "sweep",
    device: Device = "auto",
) -> None:
    """Sweep lambda on MNIST: reconstruction, match and samples against the weight of the match, as one picture."""
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.baselines.sweep import draw_weights, sweep_weights
    from cryowae.baselines.table import collect, write_table
    from cryowae.config import baseline_config
    from cryowae.data.mnist import read_mnist
    from cryowae.io.outputs import make_folder
    from cryowae.models.weights import pick_device

    models = list(dict.fromkeys(models or ["wae-mmd", "wae-gan"]))
    if unknown := set(models) - {"vae", "wae-mmd", "wae-gan", "aae"}:
        raise ConfigError(
            f"got --model {' '.join(sorted(unknown))}, expected models with a match: vae, wae-mmd, wae-gan, aae"
        )
    common = [f"epochs={epochs}", f"seed={seed}", f"images={images}", *(assignments or [])]
    configs = [
        baseline_config("mnist", model, "fixed", [*common, f"weight={weight}"])
        for model in models
        for weight in sorted(set(weights or (1, 10, 100, 1000, 10_000, 100_000)))
    ]
    train, held = read_mnist(data).halves(configs[0].images)
    first = lenet_features(lenet, device)
    judge = Evaluation(train, held, extractors=first, seed=configs[0].seed).on(pick_device(device))
    with progress() as shown:
        folders = sweep_weights(configs, judge, make_folder(output), device=device, progress=shown)
    typer.echo(write_table(collect(folders), output / "sweep"))
    typer.echo(str(draw_weights(folders, output / "sweep.png")))
