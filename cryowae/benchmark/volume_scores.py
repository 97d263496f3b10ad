"""`score_volumes`: existing volumes against a ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae.benchmark import score_files
from cryowae.benchmark.cases import LEAST, read_candidate
from cryowae.benchmark.score_files import Result
from cryowae.config.suite import FLOOR, TRUTH, check_title
from cryowae.errors import ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc
from cryowae.io.outputs import check_output, make_folder
from cryowae.metrics import empty_wedge, profile
from cryowae.progress import SILENT, Progress
from cryowae.tomogram.statistics import require_finite

Array = NDArray[np.float32]


@dataclass(frozen=True)
class VolumeScores:
    """The files that were written, and the Markdown table."""

    files: tuple[Path, ...]
    text: str


def score_volumes(
    truth: str | Path,
    volumes: Mapping[str, str | Path],
    wedge: Wedge,
    output: str | Path,
    *,
    crop: int = 12,
    voxel_size: float | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> VolumeScores:
    """Score volumes against the truth, and draw them.

    Writes `scores.csv`, `scores.md`, `curves.csv`, `fsc.png` and `slices.png`. The first row of the table is the truth
    with its wedge emptied.

    Parameters
    ----------
    truth
        MRC file.
    volumes
        Name and MRC file of each; the same contrast as the truth.
    wedge
        The measured region; counts by its range.
    output
        Folder; made if it does not exist.
    crop
        Voxels of every face that are not scored.
    voxel_size
        Angstrom, instead of the headers' values.
    overwrite
        Replace earlier scores.
    progress
        Is told when a volume is done.

    Raises
    ------
    TomogramError
        If a volume cannot be read, has NaN, or has another shape than the truth.
    ConfigError
        If there is nothing to score, a name is not allowed, or nothing is left after cropping.
    OutputError
        If the files exist, or cannot be written.
    """
    if not volumes:
        raise ConfigError("got no volumes, expected NAME=VOLUME at least once")
    for name in volumes:
        check_title(name)
    names = ("scores.md", "scores.csv", "curves.csv", "fsc.png", "slices.png")
    files = tuple(Path(output) / name for name in names)
    for path in files if Path(output).is_dir() else ():
        check_output(path, overwrite=overwrite)
    opened = read_mrc(truth, voxel_size=voxel_size)
    target = np.array(require_finite(opened.data, str(truth)))
    if min(target.shape) < LEAST + 2 * crop:
        raise ConfigError(
            f"{truth} has {target.shape} voxels, of which {crop} are cut off every face, expected at least "
            f"{LEAST + 2 * crop} along every axis: give a smaller --crop"
        )
    loaded: dict[str, Array] = {FLOOR: np.asarray(empty_wedge(target, wedge), np.float32)}
    for name, file in volumes.items():
        loaded[name] = read_candidate(Path(file), target.shape, voxel_size)
    make_folder(output)
    title = f"against {Path(truth).name}, {wedge.tilt_min:g} to {wedge.tilt_max:g} degrees"
    results = []
    progress.begin("scoring", len(loaded), "volumes")
    for name, volume in loaded.items():
        results.append(Result.of(profile(target, volume, wedge, crop), title, 0.0, 0, name, 0.0))
        progress.advance()
    progress.end()
    text = f"**{title}**\n\n{score_files.markdown_table(results)}"
    score_files.write_tables(files[:3], text, results, keys=("method",))
    score_files.draw_scores(files[3], results, opened.voxel_size, title)
    score_files.draw_slices_of(files[4], results, {TRUTH: target, **loaded}, opened.voxel_size, title)
    return VolumeScores(files, text)
