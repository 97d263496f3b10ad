"""`cryowae baseline mnist | celeba | lenet | restore`: what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowae.cli.baseline.features import inception_features, lenet_features, say_figures
from cryowae.cli.baseline.options import (
    LENET,
    RUNS,
    Data,
    Epochs,
    Fid,
    Images,
    LeNetFile,
    Model,
    Output,
    PresetName,
    Resume,
    Seed,
    Settings,
)
from cryowae.cli.opening import Device, Overwrite, TiltRange
from cryowae.cli.terminal import progress
from cryowae.errors import ConfigError

if TYPE_CHECKING:
    from cryowae.baselines.features import Extractor
    from cryowae.baselines.inception import InceptionFeatures
    from cryowae.config import BaselineConfig
    from cryowae.data.images import ImageSet
    from cryowae.progress import Progress

    Judges = tuple[list[Extractor], list[InceptionFeatures]]


def mnist(
    model: Model,
    preset: PresetName = "fixed",
    data: Data = None,
    epochs: Epochs = None,
    labels: Annotated[int, typer.Option(min=0, help="Training digits whose class an aae is told.")] = 0,
    seed: Seed = 0,
    images: Images = 0,
    assignments: Settings = None,
    lenet: LeNetFile = LENET,
    fid_weights: Fid = None,
    output: Output = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train a model on MNIST, and measure it every 10 epochs and at the end."""
    config = _config("mnist", model, preset, [*_given(epochs, seed, images), f"labels={labels}", *(assignments or [])])
    from cryowae.data.mnist import read_mnist

    judge = lenet_features(lenet, device)
    digits = read_mnist(data)
    test = read_mnist(data, "t10k") if config.labels else None
    with progress() as shown:
        extractors: Judges = (judge, inception_features(fid_weights, device, shown))
        _run(config, digits, test, extractors, output, resume, overwrite, device, shown)


def celeba(
    model: Model,
    preset: PresetName = "fixed",
    data: Data = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    images: Images = 0,
    assignments: Settings = None,
    fid_weights: Fid = None,
    output: Output = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train a model on CelebA's first 100 000 faces, or on a folder of its layout."""
    config = _config("celeba", model, preset, [*_given(epochs, seed, images), *(assignments or [])])
    from cryowae.data.celeba import read_celeba
    from cryowae.train.state import check_run

    check_run(_folder(config, output), resume, overwrite)  # before the pictures are read, which takes minutes

    with progress() as shown:
        extractors: Judges = ([], inception_features(fid_weights, device, shown))
        faces = read_celeba(data, config.images or 100_000, progress=shown)
        _run(config, faces, None, extractors, output, resume, overwrite, device, shown)


def lenet(
    data: Data = None,
    epochs: Annotated[int, typer.Option(min=1)] = 6,
    seed: Seed = 0,
    images: Images = 0,
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where the weights go.")] = LENET,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Train the LeNet-5 whose features judge digits, on the digits that are not held out."""
    from cryowae.baselines.features import train_lenet
    from cryowae.data.mnist import read_mnist
    from cryowae.io.space import check_output, make_folder

    make_folder(output.parent)
    check_output(output, overwrite=overwrite)
    train, _ = read_mnist(data).halves(images)
    with progress() as shown:
        digest, accuracy = train_lenet(
            train, read_mnist(data, "t10k"), output, epochs=epochs, seed=seed, device=device, progress=shown
        )
    typer.echo(f"{output}: sha256 {digest}, {accuracy:.2%} of the 10 000 test digits are right")


def restore(
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="none|mmd|adversarial", help="Of the codes; may be repeated. All three if not given."),
    ] = None,
    data: Data = None,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 2000,
    snr: Annotated[float, typer.Option(min=0.001, help="Variance of a digit over that of the noise.")] = 0.5,
    tilt_range: TiltRange = (-60.0, 60.0),
    seed: Seed = 0,
    images: Images = 0,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = RUNS / "restore",
    resume: Resume = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Restore digits from noise and a missing wedge by the network and the objective of the 3-D model."""
    from cryowae.baselines.digits import KINDS, restore_digits
    from cryowae.baselines.pictures import draw_restored
    from cryowae.baselines.wedged import Wedged
    from cryowae.data.mnist import read_mnist
    from cryowae.io.space import check_output, make_folder
    from cryowae.io.tilts import require_tilt_range

    kinds = [kind for kind in KINDS if kind in (match or KINDS)]
    if set(match or ()) - set(KINDS):
        raise ConfigError(f"got --match {' '.join(match or ())}, expected {', '.join(KINDS)}")
    wedged = Wedged(*require_tilt_range(*(tilt_range or (-60.0, 60.0))), snr)
    check_output(make_folder(output) / "scores.csv", overwrite=overwrite or resume)
    train, held = read_mnist(data).halves(images)
    with progress() as shown:
        found = restore_digits(
            train,
            held,
            output,
            kinds=kinds,
            wedged=wedged,
            steps=steps,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            device=device,
            progress=shown,
        )
    for method, scores in found.scores.items():
        typer.echo(f"{method:12}" + "".join(f"  {name} {value:.3f}" for name, value in scores.items()))
    typer.echo(str(output / "scores.csv"))
    typer.echo(str(draw_restored(found, output / "restored.png")))


def _given(epochs: int | None, seed: int, images: int) -> list[str]:
    return [f"seed={seed}", f"images={images}", *([f"epochs={epochs}"] if epochs else [])]


def _config(data: str, model: str, preset: str, overrides: list[str]) -> BaselineConfig:
    from cryowae.config import baseline_config

    return baseline_config(data, model, preset, overrides)


def _folder(config: BaselineConfig, output: Path | None) -> Path:
    labels = f"-{config.labels}" if config.labels else ""
    return output or RUNS / f"{config.data}-{config.model}{labels}-{config.preset}-seed{config.seed}"


def _run(
    config: BaselineConfig,
    images: ImageSet,
    test: ImageSet | None,
    extractors: Judges,
    output: Path | None,
    resume: bool,
    overwrite: bool,
    device: str,
    shown: Progress,
) -> None:
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.baselines.experiment import run_baseline
    from cryowae.models.weights import pick_device

    folder = _folder(config, output)
    judge = Evaluation(*images.halves(config.images), test, *extractors, config.seed).on(pick_device(device))
    figures = run_baseline(config, judge, folder, resume=resume, overwrite=overwrite, device=device, progress=shown)
    say_figures(figures)
    typer.echo(str(folder))
