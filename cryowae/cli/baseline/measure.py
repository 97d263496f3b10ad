"""`cryowae baseline evaluate | references | table | sample | bandwidth`: what is measured and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.baseline.features import inception_features, lenet_features, say_figures
from cryowae.cli.baseline.options import LENET, RUNS, Data, Fid, FidImages, Images, LeNetFile, Seed
from cryowae.cli.opening import Device, Overwrite
from cryowae.cli.terminal import progress
from cryowae.errors import OutputError

_CODES = "Components, of 32 x 32; may be repeated. 8, 16 and 32 if not given."


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or its weights.")],
    data: Data = None,
    lenet: LeNetFile = LENET,
    fid_weights: Fid = None,
    fid_images: FidImages = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV; evaluation.csv in the run if not given.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Measure a trained model again, as at the end of its run: with other features, or on another machine."""
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.baselines.model import read_baseline
    from cryowae.data.celeba import read_celeba
    from cryowae.data.mnist import read_mnist
    from cryowae.io.space import check_output
    from cryowae.models.weights import pick_device
    from cryowae.train.rows import Rows

    if output:
        check_output(output, overwrite=overwrite)
    saved = read_baseline(checkpoint, device)
    config, step = saved.model.config, int(saved.metadata["step"])
    with progress() as shown:
        final = inception_features(fid_weights, device, shown)
        digits = config.data == "mnist"
        images = read_mnist(data) if digits else read_celeba(data, config.images or 100_000, progress=shown)
        test = read_mnist(data, "t10k") if config.labels else None
        train, held = images.halves(config.images)
        first = lenet_features(lenet, device) if digits else []
        judge = Evaluation(train, held, test, first, final, config.seed, fid_images)
        figures = judge.on(pick_device(device))(saved.model)
    table = output or (checkpoint if checkpoint.is_dir() else checkpoint.parent) / "evaluation.csv"
    rows = Rows(table, keep=None if output else step)
    rows.write(step, {"epoch": step // max(len(train) // config.batch, 1), **figures})
    say_figures(figures)
    typer.echo(str(table))


def references(
    data: Data = None,
    lenet: LeNetFile = LENET,
    fid_weights: Fid = None,
    fid_images: FidImages = None,
    images: Images = 0,
    codes: Annotated[list[int] | None, typer.Option("--code", min=1, max=1024, help=_CODES)] = None,
    output: Annotated[Path, typer.Option(metavar="FOLDER")] = RUNS / "references",
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """What MNIST models must beat: principal components, a Gaussian over them; and digits against other digits."""
    from cryowae.baselines.evaluate import Evaluation
    from cryowae.baselines.principal import measure_references
    from cryowae.data.mnist import read_mnist
    from cryowae.io.space import check_output, make_folder
    from cryowae.models.weights import pick_device

    table = make_folder(output) / "evaluation.csv"
    check_output(table, overwrite=overwrite)
    train, held = read_mnist(data).halves(images)
    with progress() as shown:
        first, final = lenet_features(lenet, device), inception_features(fid_weights, device, shown)
        judge = Evaluation(train, held, extractors=first, final=final, few=fid_images).on(pick_device(device))
        measure_references(judge, codes or [8, 16, 32], table, shown)
    typer.echo(str(table))


def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="Folders of runs.")],
    output: Annotated[Path, typer.Option(metavar="NAME", help="Writes NAME.csv and NAME.md.")] = RUNS / "table",
    overwrite: Overwrite = False,
) -> None:
    """Put runs side by side: all figures as CSV, means and spread over seeds as Markdown."""
    from cryowae.baselines.table import collect, table_files, write_table
    from cryowae.io.space import check_output, make_folder

    make_folder(output.parent)
    for file in table_files(output):
        check_output(file, overwrite=overwrite)
    typer.echo(write_table(collect(runs), output))
    for file in table_files(output):
        typer.echo(str(file))


def sample(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Folder of a run, or its weights.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG; samples.png in the run if not given.")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Draw prior samples, reconstructions and interpolations; classes, where the model knows them."""
    from cryowae.baselines.model import read_baseline
    from cryowae.baselines.pictures import draw_baseline
    from cryowae.io.space import check_output

    picture = output or (checkpoint if checkpoint.is_dir() else checkpoint.parent) / "samples.png"
    if picture.suffix.lower() != ".png":
        raise OutputError(f"got --output {picture}, expected a name that ends in .png: pictures are written as PNG")
    saved = read_baseline(checkpoint, device)
    check_output(picture, overwrite=overwrite or output is None)
    typer.echo(str(draw_baseline(saved, picture, seed)))


def bandwidth(
    output: Annotated[Path, typer.Option(metavar="FOLDER")] = RUNS / "bandwidth",
    code: Annotated[int, typer.Option(min=2, help="Length of a code.")] = 8,
    batch: Annotated[int, typer.Option(min=2, help="Codes in one MMD.")] = 64,
    draws: Annotated[int, typer.Option(min=20, help="Batches of each kind.")] = 200,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Sweep the bandwidth of the MMD's kernels over codes that are known not to match: which see it?"""
    from cryowae.baselines.bandwidth import draw_sweep, sweep_bandwidths, write_sweep
    from cryowae.io.space import check_output, make_folder

    folder = make_folder(output)
    check_output(folder / "bandwidth.csv", overwrite=overwrite)
    with progress() as shown:
        found = sweep_bandwidths(code, batch, draws=draws, seed=seed, progress=shown)
    typer.echo(str(write_sweep(found, folder / "bandwidth.csv")))
    typer.echo(str(draw_sweep(found, folder / "bandwidth.png")))
