"""`score_volumes`: volumes that exist against a ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.benchmark.checks import LEAST, TRUTH, check_title
from cryowae.benchmark.pictures import SHOWN, curves_of
from cryowae.benchmark.tables import Result, markdown_table, write_curves, write_scores
from cryowae.config.suite import FLOOR
from cryowae.errors import ConfigError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc
from cryowae.io.outputs import check_output, make_folder, write_text
from cryowae.metrics import empty_wedge, profile
from cryowae.progress import SILENT, Progress
from cryowae.report import SheetEntry, draw_contact_sheet, draw_fsc_curves

Array = NDArray[np.float32]


@dataclass(frozen=True)
class VolumeScores:
    """What was written, and the Markdown table."""

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
        What was measured; counts by its range.
    output
        Folder; made if it is not there.
    crop
        Voxels of every face that are not scored.
    voxel_size
        Angstrom, instead of the headers'.
    overwrite
        Replace earlier scores.
    progress
        Told every volume.

    Raises
    ------
    TomogramError
        If a volume cannot be read, holds NaN, or its shape is not the truth's.
    ConfigError
        If there is nothing to score, a name is taken, or the crop leaves nothing.
    OutputError
        If the files exist, or cannot be written.
    """
    if not volumes:
        raise ConfigError("got no volumes, expected NAME=VOLUME at least once")
    for name in volumes:
        check_title(name)
    folder = Path(output)
    names = ("scores.md", "scores.csv", "curves.csv", "fsc.png", "slices.png")
    table, csv, curves, fsc, slices = (folder / name for name in names)
    for path in (table, csv, curves, fsc, slices) if folder.is_dir() else ():
        check_output(path, overwrite=overwrite)
    opened = read_mrc(truth, voxel_size=voxel_size)
    target = _finite(truth, opened.data)
    if min(target.shape) < LEAST + 2 * crop:
        raise ConfigError(
            f"{truth} has {target.shape} voxels, of which {crop} are cut off every face, expected at least "
            f"{LEAST + 2 * crop} along every axis: give a smaller --crop"
        )
    loaded: dict[str, Array] = {FLOOR: np.asarray(empty_wedge(target, wedge), np.float32)}
    for name, file in volumes.items():
        loaded[name] = _finite(file, read_mrc(file, voxel_size=voxel_size).data)
        if loaded[name].shape != target.shape:
            raise TomogramError(f"{file} has {loaded[name].shape} voxels, expected {target.shape} as {truth} has")
    make_folder(folder)
    title = f"against {Path(truth).name}, {wedge.tilt_min:g} to {wedge.tilt_max:g} degrees"
    results = []
    progress.begin("scoring", len(loaded), "volumes")
    for name, volume in loaded.items():
        found = profile(target, volume, wedge, crop)
        listed = {key: [float(v) for v in values] for key, values in found.curves.items()}
        figures = {key: float(v) for key, v in found.scores.items() if np.isfinite(v)}
        results.append(Result(title, 0.0, 0, name, 0.0, figures, listed))
        progress.advance()
    progress.end()
    text = f"**{title}**\n\n{markdown_table(results)}"
    write_text(table, text)
    write_scores(csv, results, keys=("method",))
    write_curves(curves, results, keys=("method",))
    draw_fsc_curves(fsc, curves_of(results), voxel_size=opened.voxel_size, title=title)
    entries = [SheetEntry(TRUTH, target)]
    for r in results:
        shown = {heading: r.scores[key] for key, heading in SHOWN.items() if key in r.scores}
        entries.append(SheetEntry(r.method, loaded[r.method], shown))
    draw_contact_sheet(slices, entries, voxel_size=opened.voxel_size, title=title)
    return VolumeScores((table, csv, curves, fsc, slices), text)


def _finite(file: str | Path, data: NDArray[Any]) -> Array:
    volume = np.array(data, dtype=np.float32)
    if not np.isfinite(volume).all():
        raise TomogramError(f"{file} holds NaN or infinite values, expected finite numbers: replace them first")
    return volume
