"""`cryowae benchmark ...`: methods on simulated scenes, scores of volumes, speed, and limits on memory and time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.errors import ErrorsInOneLine
from cryowae.cli.opening import Device, FlipTilt, Overwrite, TiltRange, VoxelSize
from cryowae.cli.terminal import progress
from cryowae.errors import ConfigError, TiltError

benchmark = typer.Typer(
    name="benchmark",
    cls=ErrorsInOneLine,
    help="Compare methods on simulated tomograms whose truth is known, by one set of definitions.",
    no_args_is_help=True,
)

Output = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the results.")]


@benchmark.command()
def run(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="quick, standard, stress, or a YAML file.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the results; benchmark_SUITE if not given.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Weights as a further method; may be repeated.")
    ] = None,
    external: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="Another tool's volumes as a further method; may be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the suite: seeds=[1].")
    ] = None,
    inputs_only: Annotated[
        bool, typer.Option("--inputs-only", help="Write the tomograms for other tools, and stop.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Run every method of a suite on every scene. Existing results are not computed again."""
    from cryowae.config import MethodConfig, load_suite
    from cryowae.config.suite import External

    chosen = load_suite(suite, settings or [])
    more = [MethodConfig(name=n, checkpoint=p) for n, p in map(_named, checkpoint or [])]
    more += [MethodConfig(external=External(name=n, path=Path(p))) for n, p in map(_named, external or [])]
    chosen = chosen.with_methods(more)
    folder = output or Path(f"benchmark_{chosen.name}")
    with progress() as shown:
        if inputs_only:
            from cryowae.benchmark.cases import write_inputs

            written = write_inputs(chosen, folder, progress=shown)
            typer.echo(f"{len(written)} tomograms in {folder}")
            return
        from cryowae.benchmark.suite_run import run_suite

        result = run_suite(chosen, folder, device=device, progress=shown)
    typer.echo(result.text)
    for path in result.files:
        typer.echo(str(path))
    typer.echo(f"{result.seconds:.0f} s, {result.fresh} new results")


@benchmark.command()
def score(
    truth: Annotated[Path, typer.Argument(metavar="GROUND_TRUTH", help="MRC volume.")],
    volumes: Annotated[list[str], typer.Argument(metavar="NAME=VOLUME...", help="MRC volumes of the same shape.")],
    output: Output,
    tilts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tilt angles; their range is the measured region.")
    ] = None,
    tilt_range: TiltRange = None,
    flip_tilt: FlipTilt = False,
    crop: Annotated[int, typer.Option(min=0, help="Voxels of every face that are not scored.")] = 12,
    voxel_size: VoxelSize = None,
    overwrite: Overwrite = False,
) -> None:
    """Score existing volumes: writes a CSV, a Markdown table, FSC curves and slices."""
    if (tilts is None) == (tilt_range is None):
        raise TiltError("expected either --tilts FILE or --tilt-range LO HI, to know the measured region")
    named = dict(map(_named, volumes))
    if len(named) < len(volumes):
        raise ConfigError(f"got {len(volumes)} volumes with {len(named)} names, expected names that differ")
    from cryowae.benchmark.volume_scores import score_volumes
    from cryowae.fourier.wedge import Wedge
    from cryowae.io.tilts import read_tilts, require_tilt_range

    if tilt_range is None:
        assert tilts is not None
        found = read_tilts(tilts)
        tilt_range = (found.tilt_min, found.tilt_max)
    wedge = Wedge.binary(*require_tilt_range(*tilt_range))
    if flip_tilt:
        wedge = wedge.flipped()
    with progress() as shown:
        result = score_volumes(
            truth, named, wedge, output, crop=crop, voxel_size=voxel_size, overwrite=overwrite, progress=shown
        )
    typer.echo(result.text)
    for path in result.files:
        typer.echo(str(path))


@benchmark.command()
def speed(
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Z,Y,X", help="Voxels of a volume, or N for N,N,N; may be repeated. 128 and 256 if not given."
        ),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Weights by name, or a .safetensors file.")] = "default",
    fast: Annotated[bool, typer.Option("--fast", help="One pass, as `restore --fast`.")] = False,
    device: Device = "auto",
) -> None:
    """Time and memory of a restoration, as ratios to a Gaussian filter in the same process."""
    sizes = [_size(text) for text in size or ["128", "256"]]
    from cryowae.benchmark.speed import format_speed, measure_speed

    with progress() as shown:
        rows = measure_speed(sizes, device=device, model=model, fast=fast, progress=shown)
    typer.echo(format_speed(rows))


@benchmark.command()
def limits() -> None:
    """Measure memory and time, and compare them with limits. Exit code 1 if a limit is missed."""
    from cryowae.benchmark.limits import format_limits, measure_limits

    with progress() as shown:
        rows = measure_limits(progress=shown)
    typer.echo(format_limits(rows))
    if any(limit.verdict(value) == "missed" for limit, value in rows):
        raise typer.Exit(1)


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"got {text!r}, expected NAME=FILE, such as mine=restored.mrc")
    return name, value


def _size(text: str) -> tuple[int, int, int]:
    words = text.replace("x", ",").split(",")
    if not all(word.isdigit() and int(word) > 0 for word in words) or len(words) not in (1, 3):
        raise ConfigError(f"got the size {text!r}, expected N or Z,Y,X in voxels, such as 256 or 128,512,512")
    z, y, x = (int(word) for word in (words if len(words) == 3 else words * 3))
    return z, y, x
