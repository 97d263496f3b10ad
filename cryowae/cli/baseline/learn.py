"""`cryowae baseline mnist | celeba | sweep | lenet | restore`: training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowae.cli.baseline import arguments
from cryowae.cli.baseline.arguments import LENET, RUNS, JudgeOptions, new_file, say_figures
from cryowae.cli.opening import Device, Overwrite, TiltRange
from cryowae.cli.terminal import progress
from cryowae.errors import ConfigError
from cryowae.io.outputs import make_folder

if TYPE_CHECKING:
    from cryowae.config import BaselineConfig


def mnist(
    model: arguments.Model,
    preset: arguments.PresetName = "fixed",
    data: arguments.Data = None,
    epochs: arguments.Epochs = None,
    labels: Annotated[int, typer.Option(min=0, help="Number of training digits whose class an aae knows.")] = 0,
    seed: arguments.Seed = 0,
    images: arguments.Images = 0,
    assignments: arguments.Settings = None,
    lenet: arguments.LeNetFile = LENET,
    fid_weights: arguments.Fid = None,
    output: arguments.Output = None,
    resume: arguments.Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train a model on MNIST, and measure it every 10 epochs and at the end."""
    config = _config("mnist", model, preset, epochs, seed, images, [f"labels={labels}", *(assignments or [])])
    _train(config, JudgeOptions(data, lenet, fid_weights, device=device), output, resume, overwrite)


def celeba(
    model: arguments.Model,
    preset: arguments.PresetName = "fixed",
    data: arguments.Data = None,
    epochs: arguments.Epochs = None,
    seed: arguments.Seed = 0,
    images: arguments.Images = 0,
    assignments: arguments.Settings = None,
    fid_weights: arguments.Fid = None,
    output: arguments.Output = None,
    resume: arguments.Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train a model on the first 100 000 faces of CelebA, or on a folder with the same layout."""
    config = _config("celeba", model, preset, epochs, seed, images, assignments or [])
    _train(config, JudgeOptions(data, fid_weights=fid_weights, device=device), output, resume, overwrite)


def sweep(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="May be repeated; by default wae-mmd and wae-gan.")
    ] = None,
    weights: Annotated[
        list[float] | None,
        typer.Option("--weight", min=1e-9, help="Lambda; may be repeated. By default six from 1 to 100 000."),
    ] = None,
    data: arguments.Data = None,
    epochs: Annotated[int, typer.Option(min=1, help="Length of each training.")] = 10,
    seed: arguments.Seed = 0,
    images: arguments.Images = 0,
    assignments: arguments.Settings = None,
    lenet: arguments.LeNetFile = LENET,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="New, or a sweep to continue.")] = RUNS / "sweep",
    device: Device = "auto",
) -> None:
    """Sweep lambda on MNIST: reconstruction, match and samples over the weight of the match, as one picture."""
    from cryowae.baselines import sweep_weights
    from cryowae.baselines.comparison import collect, write_table
    from cryowae.baselines.plots import draw_weights

    models = list(dict.fromkeys(models or ["wae-mmd", "wae-gan"]))
    if unknown := set(models) - {"vae", "wae-mmd", "wae-gan", "aae"}:
        raise ConfigError(
            f"got --model {' '.join(sorted(unknown))}, expected models with a match: vae, wae-mmd, wae-gan, aae"
        )
    configs = [
        _config("mnist", model, "fixed", epochs, seed, images, [*(assignments or []), f"weight={weight}"])
        for model in models
        for weight in sorted(set(weights or (1, 10, 100, 1000, 10_000, 100_000)))
    ]
    with JudgeOptions(data, lenet, device=device).open("mnist", configs[0].images, configs[0].seed) as (judge, shown):
        folders = sweep_weights(configs, judge, make_folder(output), device=device, progress=shown)
    typer.echo(write_table(collect(folders), output / "sweep"))
    typer.echo(str(draw_weights(folders, output / "sweep.png")))


def lenet(
    data: arguments.Data = None,
    epochs: Annotated[int, typer.Option(min=1)] = 6,
    seed: arguments.Seed = 0,
    images: arguments.Images = 0,
    output: Annotated[Path, typer.Option(metavar="FILE", help="File for the weights.")] = LENET,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train the LeNet-5 whose features compare digits, on the digits that are not held out."""
    from cryowae.baselines.features import accuracy_warning, train_lenet
    from cryowae.data.images import read_mnist

    new_file(output, overwrite)
    train, _ = read_mnist(data).halves(images)
    test = read_mnist(data, "t10k")
    with progress() as shown:
        digest, accuracy = train_lenet(train, test, output, epochs=epochs, seed=seed, device=device, progress=shown)
    typer.echo(f"{output}: sha256 {digest}, {accuracy:.2%} of the test digits are classified correctly")
    if warning := accuracy_warning(accuracy):
        typer.echo(warning, err=True)


def restore(
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="none|mmd|adversarial", help="Match of the codes; may be repeated. By default all three."),
    ] = None,
    data: arguments.Data = None,
    steps: Annotated[int, typer.Option(min=1, help="Length of each training.")] = 2000,
    snr: Annotated[float, typer.Option(min=0.001, help="Variance of a digit over the variance of the noise.")] = 0.5,
    tilt_range: TiltRange = (-60.0, 60.0),
    seed: arguments.Seed = 0,
    images: arguments.Images = 0,
    output: arguments.OutputFolder = RUNS / "restore",
    resume: arguments.Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Restore digits with noise and a missing wedge, with the network and the objective of the 3-D model."""
    from cryowae.baselines.digits import KINDS, RestorerConfig, restore_digits
    from cryowae.baselines.plots import draw_restored
    from cryowae.baselines.wedged import Wedged
    from cryowae.data.images import read_mnist
    from cryowae.io.tilts import require_tilt_range
    from cryowae.train.loop import RunOptions

    kinds = [kind for kind in KINDS if kind in (match or KINDS)]
    if set(match or ()) - set(KINDS):
        raise ConfigError(f"got --match {' '.join(match or ())}, expected {', '.join(KINDS)}")
    wedged = Wedged(*require_tilt_range(*(tilt_range or (-60.0, 60.0))), snr)
    runs = [RestorerConfig(match=kind, wedged=wedged, steps=steps, seed=seed) for kind in kinds]
    scores = new_file(output / "scores.csv", overwrite or resume)
    sets = read_mnist(data).halves(images)
    with progress() as shown:
        run = RunOptions(resume=resume, overwrite=overwrite, device=device, progress=shown)
        found = restore_digits(*sets, output, runs, **run)
    for method, values in found.scores.items():
        typer.echo(f"{method:12}" + "".join(f"  {name} {value:.3f}" for name, value in values.items()))
    typer.echo(str(scores))
    typer.echo(str(draw_restored(found, output / "restored.png")))


def _config(
    data: str, model: str, preset: str, epochs: int | None, seed: int, images: int, overrides: list[str]
) -> BaselineConfig:
    from cryowae.config import baseline_config

    given = [f"seed={seed}", f"images={images}", *([f"epochs={epochs}"] if epochs else [])]
    return baseline_config(data, model, preset, [*given, *overrides])


def _train(config: BaselineConfig, judges: JudgeOptions, output: Path | None, resume: bool, overwrite: bool) -> None:
    from cryowae.baselines import run_baseline
    from cryowae.train.state import check_run

    labels = f"-{config.labels}" if config.labels else ""
    folder = output or RUNS / f"{config.data}-{config.model}{labels}-{config.preset}-seed{config.seed}"
    check_run(folder, resume, overwrite)  # before images are read, which takes minutes
    with judges.open(config.data, config.images, config.seed, config.labels) as (judge, shown):
        device = judges.device
        say_figures(
            run_baseline(config, judge, folder, resume=resume, overwrite=overwrite, device=device, progress=shown)
        )
    typer.echo(str(folder))
