"""`cryowae baseline mnist | celeba | sweep | lenet | restore`: training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowae.cli.baseline.arguments import LENET, RUNS, ImagesOptions, JudgeOptions, TrainingOptions, new_file
from cryowae.cli.commands import Folder
from cryowae.cli.terminal import print_results, progress
from cryowae.errors import ConfigError
from cryowae.io.outputs import make_folder

if TYPE_CHECKING:
    from cryowae.config import BaselineConfig


def mnist(options: TrainingOptions, judges: JudgeOptions, labels: int = 0) -> None:
    """Train a model on MNIST, and measure it every 10 epochs and at the end.

    Parameters
    ----------
    labels
        Number of training digits whose class is given to an aae.
    """
    _train("mnist", options, judges, f"labels={labels}")


def celeba(options: TrainingOptions, fid_weights: str | None = None) -> None:
    """Train a model on the first 100 000 faces of CelebA, or on a folder with the same layout."""
    _train("celeba", options, JudgeOptions(fid_weights=fid_weights))


def sweep(
    images: ImagesOptions,
    judges: JudgeOptions,
    models: Annotated[list[str] | None, typer.Option("--model")] = None,
    weights: Annotated[list[float] | None, typer.Option("--weight", min=1e-9)] = None,
    epochs: int = 10,
    assignments: list[str] | None = None,
    output: Folder = RUNS / "sweep",
) -> None:
    """Sweep lambda, the weight of the latent term, on MNIST; draws reconstruction, match and samples over lambda.

    Parameters
    ----------
    models
        May be repeated; by default wae-mmd and wae-gan.
    weights
        Lambda; may be repeated. By default six from 1 to 100 000.
    epochs
        Length of each training.
    assignments
        Change one value, e.g. batch=32.
    output
        A new folder, or the folder of a sweep to continue.
    """
    from cryowae.baselines import sweep_weights
    from cryowae.baselines.comparison import collect, write_table
    from cryowae.baselines.plots import draw_weights

    models = list(dict.fromkeys(models or ["wae-mmd", "wae-gan"]))
    if unknown := set(models) - {"vae", "wae-mmd", "wae-gan", "aae"}:
        raise ConfigError(
            f"got --model {' '.join(sorted(unknown))}, expected models with a match: vae, wae-mmd, wae-gan, aae"
        )
    configs = [
        _config("mnist", model, "fixed", images, f"epochs={epochs}", *(assignments or []), f"weight={weight}")
        for model in models
        for weight in sorted(set(weights or (1, 10, 100, 1000, 10_000, 100_000)))
    ]
    chosen = replace(images, images=configs[0].images, seed=configs[0].seed)
    with judges.open("mnist", chosen) as (judge, shown):
        folders = sweep_weights(configs, judge, make_folder(output), device=images.device, progress=shown)
    print_results(write_table(collect(folders), output / "sweep"), draw_weights(folders, output / "sweep.png"))


def lenet(images: ImagesOptions, epochs: int = 6, output: Path = LENET, overwrite: bool = False) -> None:
    """Train the LeNet-5 whose features compare digits, on the digits that are not held out.

    Parameters
    ----------
    output
        File for the weights.
    """
    from cryowae.baselines.features import accuracy_warning, train_lenet
    from cryowae.data.images import read_mnist

    new_file(output, overwrite)
    train, _ = read_mnist(images.data).halves(images.images)
    test = read_mnist(images.data, "t10k")
    with progress() as shown:
        digest, accuracy = train_lenet(
            train, test, output, epochs=epochs, seed=images.seed, device=images.device, progress=shown
        )
    print_results(f"{output}: sha256 {digest}, {accuracy:.2%} of the test digits are classified correctly")
    if warning := accuracy_warning(accuracy):
        typer.echo(warning, err=True)


def restore(
    images: ImagesOptions,
    match: Annotated[list[str] | None, typer.Option(metavar="none|mmd|adversarial")] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=10**9)] = None,
    snr: Annotated[float | None, typer.Option(min=0.001, max=1e6)] = None,
    tilt_range: tuple[float, float] | None = None,
    output: Folder = RUNS / "restore",
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Restore digits with noise and a missing wedge, with the network and the objective of the 3-D model.

    Parameters
    ----------
    match
        Latent term; may be repeated. By default all three.
    steps
        Length of each training; 2000 by default.
    snr
        Variance of a digit over the variance of the noise; 0.5 by default.
    tilt_range
        Lowest and highest tilt in degrees; -60 60 by default.
    output
        Folder for the results.
    resume
        Continue the run in the folder with its own settings.
    """
    from cryowae.baselines.digits import KINDS, RestorerConfig, restore_digits
    from cryowae.baselines.plots import draw_restored
    from cryowae.baselines.wedged import Wedged
    from cryowae.config.files import read_config
    from cryowae.data.images import read_mnist
    from cryowae.io.tilts import require_tilt_range
    from cryowae.train.loop import RunOptions

    kinds = [kind for kind in KINDS if kind in (match or KINDS)]
    if set(match or ()) - set(KINDS):
        raise ConfigError(f"got --match {' '.join(match or ())}, expected {', '.join(KINDS)}")
    own = next((path for kind in KINDS if (path := output / f"config_{kind}.yaml").is_file()), None) if resume else None
    known = RestorerConfig(match="none", seed=images.seed) if own is None else read_config(RestorerConfig, own)
    low, high = tilt_range or (known.wedged.tilt_min, known.wedged.tilt_max)
    wedged = Wedged(*require_tilt_range(low, high), snr or known.wedged.snr)
    runs = [RestorerConfig(match=kind, wedged=wedged, steps=steps or known.steps, seed=known.seed) for kind in kinds]
    scores = new_file(output / "scores.csv", overwrite or resume)
    sets = read_mnist(images.data).halves(images.images)
    with progress() as shown:
        run = RunOptions(resume=resume, overwrite=overwrite, device=images.device, progress=shown)
        found = restore_digits(*sets, output, runs, **run)
    figures = ((m, "".join(f"  {name} {value:.3f}" for name, value in v.items())) for m, v in found.scores.items())
    print_results(*figures, scores, draw_restored(found, output / "restored.png"))


def _config(data: str, model: str, preset: str, images: ImagesOptions, *overrides: str) -> BaselineConfig:
    from cryowae.config import baseline_config

    return baseline_config(data, model, preset, [f"seed={images.seed}", f"images={images.images}", *overrides])


def _train(data: str, options: TrainingOptions, judges: JudgeOptions, *more: str) -> None:
    from cryowae.baselines import run_baseline
    from cryowae.config import BaselineConfig
    from cryowae.config.files import read_config
    from cryowae.train.state import check_run

    epochs = [f"epochs={options.epochs}"] if options.epochs else []
    changes = [*epochs, *(options.assignments or [])]
    config = _config(data, options.model, options.preset, options, *more, *changes)
    labels = f"-{config.labels}" if config.labels else ""
    folder = options.output or RUNS / f"{config.data}-{config.model}{labels}-{config.preset}-seed{config.seed}"
    if options.resume and (own := folder / "config.yaml").is_file():
        config = read_config(BaselineConfig, own, [f"data={data}", f"model={options.model}", *changes])
    how = {"resume": options.resume, "overwrite": options.overwrite}
    check_run(folder, options.resume, options.overwrite)  # before images are read, which takes minutes
    chosen = replace(options, images=config.images, seed=config.seed)
    with judges.open(config.data, chosen, config.labels) as (judge, shown):
        figures = run_baseline(config, judge, folder, device=options.device, progress=shown, **how)
    print_results(*figures.items(), folder, width=24)
