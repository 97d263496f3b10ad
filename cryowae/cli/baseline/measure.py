"""`cryowae baseline evaluate | references | table | sample | bandwidth`: figures and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.baseline.arguments import RUNS, ImagesOptions, JudgeOptions, Seed, new_file
from cryowae.cli.commands import Folder
from cryowae.cli.terminal import print_results, progress
from cryowae.errors import OutputError
from cryowae.io.outputs import check_output


def evaluate(
    run: Path,
    judges: JudgeOptions,
    data: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> None:
    """Repeat the final evaluation of a trained model, for example with other features or on another machine.

    Parameters
    ----------
    run
        Folder of a run, or its weights.
    output
        CSV file; by default evaluation.csv in the run.
    """
    from cryowae.baselines.model import read_baseline
    from cryowae.train.state import Rows

    if output:
        check_output(output, overwrite=overwrite)
    saved = read_baseline(run, device)
    config, step = saved.model.config, int(saved.metadata["step"])
    images = ImagesOptions(data=data, images=config.images, seed=config.seed, device=device)
    with judges.open(config.data, images, config.labels) as (judge, _):
        figures = judge(saved.model)
    table = output or _folder(run) / "evaluation.csv"
    epoch = step // max(len(judge.train) // config.batch, 1)
    Rows(table, keep=None if output else step).write(step, {"epoch": epoch, **figures})
    print_results(*figures.items(), table, width=24)


def references(
    judges: JudgeOptions,
    images: ImagesOptions,
    codes: Annotated[list[int] | None, typer.Option("--code", min=1, max=1024)] = None,
    output: Folder = RUNS / "references",
    overwrite: bool = False,
) -> None:
    """Measure the references for MNIST models: principal components, a Gaussian over them, training digits.

    Parameters
    ----------
    codes
        Number of components; may be repeated. By default 8, 16 and 32.
    output
        Folder for the results.
    """
    from cryowae.baselines.comparison import measure_references

    table = new_file(output / "evaluation.csv", overwrite)
    with judges.open("mnist", images) as (judge, shown):
        measure_references(judge, codes or [8, 16, 32], table, shown)
    print_results(table)


def table(
    runs: list[Path], output: Annotated[Path, typer.Option(metavar="NAME")] = RUNS / "table", overwrite: bool = False
) -> None:
    """Compare runs: all figures as CSV, means and standard deviations over seeds as Markdown.

    Parameters
    ----------
    runs
        Folders of runs.
    output
        Writes NAME.csv and NAME.md.
    """
    from cryowae.baselines.comparison import collect, table_files, write_table

    files = [new_file(file, overwrite) for file in table_files(output)]
    print_results(write_table(collect(runs), output), *files)


def sample(
    run: Path, output: Path | None = None, seed: Seed = 0, overwrite: bool = False, device: str = "auto"
) -> None:
    """Draw prior samples, reconstructions and interpolations; also samples by class if the model uses classes.

    Parameters
    ----------
    run
        Folder of a run, or its weights.
    output
        PNG file; by default samples.png in the run.
    seed
        Seed of the samples.
    """
    from cryowae.baselines.model import read_baseline
    from cryowae.baselines.plots import draw_baseline

    picture = output or _folder(run) / "samples.png"
    if picture.suffix.lower() != ".png":
        raise OutputError(f"got --output {picture}, expected a name that ends in .png: pictures are written as PNG")
    saved = read_baseline(run, device)
    check_output(picture, overwrite=overwrite or output is None)
    print_results(draw_baseline(saved, picture, seed))


def bandwidth(
    output: Folder = RUNS / "bandwidth",
    code: Annotated[int, typer.Option(min=2)] = 8,
    batch: Annotated[int, typer.Option(min=2)] = 64,
    draws: Annotated[int, typer.Option(min=20)] = 200,
    seed: Seed = 0,
    overwrite: bool = False,
) -> None:
    """Sweep the bandwidth of the MMD's kernels, and count how often they detect codes that are not normal.

    Parameters
    ----------
    output
        Folder for the results.
    code
        Length of a code.
    batch
        Number of codes in one MMD.
    draws
        Number of batches of each kind.
    seed
        Seed of the codes.
    """
    from cryowae.baselines.distances import sweep_bandwidths, write_bandwidths
    from cryowae.baselines.plots import draw_bandwidths

    csv = new_file(output / "bandwidth.csv", overwrite)
    with progress() as shown:
        found = sweep_bandwidths(code, batch, draws=draws, seed=seed, progress=shown)
    print_results(write_bandwidths(found, csv), draw_bandwidths(found, csv.with_suffix(".png")))


def _folder(run: Path) -> Path:
    return run if run.is_dir() else run.parent
