"""`cryowae baseline evaluate | references | table | sample | bandwidth`: figures and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.baseline import arguments
from cryowae.cli.baseline.arguments import LENET, RUNS, JudgeOptions, new_file, say_figures
from cryowae.cli.opening import Device, Overwrite
from cryowae.cli.terminal import progress
from cryowae.errors import OutputError
from cryowae.io.outputs import check_output

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or its weights.")]


def evaluate(
    run: Run,
    data: arguments.Data = None,
    lenet: arguments.LeNetFile = LENET,
    fid_weights: arguments.Fid = None,
    fid_images: arguments.FidImages = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file; by default evaluation.csv in the run.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Measure a trained model again, as at the end of its run: with other features, or on another machine."""
    from cryowae.baselines.model import read_baseline
    from cryowae.train.state import Rows

    if output:
        check_output(output, overwrite=overwrite)
    saved = read_baseline(run, device)
    config, step = saved.model.config, int(saved.metadata["step"])
    judges = JudgeOptions(data, lenet, fid_weights, fid_images, device)
    with judges.open(config.data, config.images, config.seed, config.labels) as (judge, _):
        figures = judge(saved.model)
    table = output or _folder(run) / "evaluation.csv"
    epoch = step // max(len(judge.train) // config.batch, 1)
    Rows(table, keep=None if output else step).write(step, {"epoch": epoch, **figures})
    say_figures(figures)
    typer.echo(str(table))


def references(
    data: arguments.Data = None,
    lenet: arguments.LeNetFile = LENET,
    fid_weights: arguments.Fid = None,
    fid_images: arguments.FidImages = None,
    images: arguments.Images = 0,
    codes: Annotated[
        list[int] | None,
        typer.Option("--code", min=1, max=1024, help="Number of components; may be repeated. By default 8, 16 and 32."),
    ] = None,
    output: arguments.OutputFolder = RUNS / "references",
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Measure what MNIST models are compared with: principal components, a Gaussian over them, training digits."""
    from cryowae.baselines.comparison import measure_references

    table = new_file(output / "evaluation.csv", overwrite)
    with JudgeOptions(data, lenet, fid_weights, fid_images, device).open("mnist", images) as (judge, shown):
        measure_references(judge, codes or [8, 16, 32], table, shown)
    typer.echo(str(table))


def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="Folders of runs.")],
    output: Annotated[Path, typer.Option(metavar="NAME", help="Writes NAME.csv and NAME.md.")] = RUNS / "table",
    overwrite: Overwrite = False,
) -> None:
    """Compare runs: all figures as CSV, means and standard deviations over seeds as Markdown."""
    from cryowae.baselines.comparison import collect, table_files, write_table

    files = [new_file(file, overwrite) for file in table_files(output)]
    typer.echo(write_table(collect(runs), output))
    for file in files:
        typer.echo(str(file))


def sample(
    run: Run,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG file; by default samples.png in the run.")
    ] = None,
    seed: arguments.Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Draw prior samples, reconstructions and interpolations; also samples by class if the model knows classes."""
    from cryowae.baselines.model import read_baseline
    from cryowae.baselines.plots import draw_baseline

    picture = output or _folder(run) / "samples.png"
    if picture.suffix.lower() != ".png":
        raise OutputError(f"got --output {picture}, expected a name that ends in .png: pictures are written as PNG")
    saved = read_baseline(run, device)
    check_output(picture, overwrite=overwrite or output is None)
    typer.echo(str(draw_baseline(saved, picture, seed)))


def bandwidth(
    output: arguments.OutputFolder = RUNS / "bandwidth",
    code: Annotated[int, typer.Option(min=2, help="Length of a code.")] = 8,
    batch: Annotated[int, typer.Option(min=2, help="Number of codes in one MMD.")] = 64,
    draws: Annotated[int, typer.Option(min=20, help="Number of batches of each kind.")] = 200,
    seed: arguments.Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Sweep the bandwidth of the MMD's kernels: how often do they detect codes that are known not to be normal?"""
    from cryowae.baselines.distances import sweep_bandwidths, write_bandwidths
    from cryowae.baselines.plots import draw_bandwidths

    csv = new_file(output / "bandwidth.csv", overwrite)
    with progress() as shown:
        found = sweep_bandwidths(code, batch, draws=draws, seed=seed, progress=shown)
    typer.echo(str(write_bandwidths(found, csv)))
    typer.echo(str(draw_bandwidths(found, csv.with_suffix(".png"))))


def _folder(run: Path) -> Path:
    return run if run.is_dir() else run.parent
