"""`cryowae benchmark ...`: methods on simulated scenes, scores of volumes, speed, and limits on memory and time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.commands import FOLDER, Folder, group
from cryowae.cli.terminal import print_results, progress
from cryowae.config.options import TiltOptions
from cryowae.errors import ConfigError


def run(
    suite: str,
    output: Annotated[Path | None, FOLDER] = None,
    checkpoint: Annotated[list[str] | None, typer.Option(metavar="NAME=FILE")] = None,
    external: Annotated[list[str] | None, typer.Option(metavar="NAME=FOLDER")] = None,
    assignments: list[str] | None = None,
    inputs_only: bool = False,
    device: str = "auto",
) -> None:
    """Run every method of a suite on every scene. Existing results are not computed again.

    Parameters
    ----------
    suite
        quick, standard, stress, or a YAML file.
    output
        Folder of the results; benchmark_SUITE if not given.
    checkpoint
        Weights as a further method; may be repeated.
    external
        Volumes of another program as a further method; may be repeated.
    assignments
        A setting of the suite: seeds=[1].
    inputs_only
        Only write the tomograms for other tools.
    """
    from cryowae.config import MethodConfig, load_suite
    from cryowae.config.suite import External

    chosen = load_suite(suite, assignments or [])
    more = [MethodConfig(name=n, checkpoint=p) for n, p in map(_named, checkpoint or [])]
    more += [MethodConfig(external=External(name=n, path=Path(p))) for n, p in map(_named, external or [])]
    chosen = chosen.with_methods(more)
    folder = output or Path(f"benchmark_{chosen.name}")
    with progress() as shown:
        if inputs_only:
            from cryowae.benchmark.cases import write_inputs

            written = write_inputs(chosen, folder, progress=shown)
            print_results(f"{len(written)} tomograms in {folder}")
            return
        from cryowae.benchmark.suite_run import run_suite

        result = run_suite(chosen, folder, device=device, progress=shown)
    print_results(result.text, *result.files, f"{result.seconds:.0f} s, {result.fresh} new results")


def score(
    ground_truth: Path,
    volumes: Annotated[list[str], typer.Argument(metavar="NAME=VOLUME...")],
    output: Folder,
    measured: TiltOptions,
    crop: Annotated[int, typer.Option(min=0)] = 12,
    voxel_size: float | None = None,
    overwrite: bool = False,
) -> None:
    """Score existing volumes: writes a CSV, a Markdown table, FSC curves and slices.

    Parameters
    ----------
    ground_truth
        MRC volume.
    volumes
        MRC volumes of the same shape.
    output
        Folder of the results.
    tilts
        Tilt angles; their range defines the measured region.
    crop
        Voxels of every face that are not scored.
    """
    measured.require_one()
    named = dict(map(_named, volumes))
    if len(named) < len(volumes):
        raise ConfigError(f"got {len(volumes)} volumes with {len(named)} names, expected names that differ")
    from cryowae.benchmark.volume_scores import score_volumes
    from cryowae.fourier.wedge import Wedge
    from cryowae.io.tilts import read_tilts, require_tilt_range

    tilt_range = measured.tilt_range
    if tilt_range is None:
        assert measured.tilts is not None
        found = read_tilts(measured.tilts)
        tilt_range = (found.measured[0], found.measured[-1])
    wedge = Wedge.binary(*require_tilt_range(*tilt_range))
    if measured.flip_tilt:
        wedge = wedge.flipped()
    with progress() as shown:
        result = score_volumes(
            ground_truth, named, wedge, output, crop=crop, voxel_size=voxel_size, overwrite=overwrite, progress=shown
        )
    print_results(result.text, *result.files)


def speed(size: list[str] | None = None, model: str = "default", fast: bool = False, device: str = "auto") -> None:
    """Time and memory of a restoration, as ratios to a Gaussian filter in the same process.

    Parameters
    ----------
    size
        Voxels of a volume, or N for N,N,N; may be repeated. 128 and 256 if not given.
    fast
        One pass, as `restore --fast`.
    """
    sizes = [_size(text) for text in size or ["128", "256"]]
    from cryowae.benchmark.speed import format_speed, measure_speed

    with progress() as shown:
        rows = measure_speed(sizes, device=device, model=model, fast=fast, progress=shown)
    print_results(format_speed(rows))


def limits() -> None:
    """Measure memory and time, and compare them with limits. Exit code 1 if a limit is missed."""
    from cryowae.benchmark.limits import format_limits, measure_limits

    with progress() as shown:
        rows = measure_limits(progress=shown)
    print_results(format_limits(rows))
    if any(limit.verdict(value) == "missed" for limit, value in rows):
        raise typer.Exit(1)


benchmark = group(
    "benchmark",
    "Compare methods on simulated tomograms with known ground truth, by the same scores.",
    *(run, score, speed, limits),
)


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"got {text!r}, expected NAME=FILE, such as mine=restored.mrc")
    return name, value


def _size(text: str) -> tuple[int, int, int]:
    words = text.replace("x", ",").split(",")
    if not all(word.isdigit() and len(word) < 6 and int(word) > 0 for word in words) or len(words) not in (1, 3):
        raise ConfigError(f"got the size {text[:40]!r}, expected N or Z,Y,X in voxels, such as 256 or 128,512,512")
    z, y, x = (int(word) for word in (words if len(words) == 3 else words * 3))
    return z, y, x
