"""Scores of volumes: all figures of one method on one case, and existing files against a ground truth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryowae import metrics
from cryowae.benchmark import score_files
from cryowae.benchmark.cases import LEAST, Case, read_candidate
from cryowae.benchmark.score_files import BenchmarkResult, Result
from cryowae.config.suite import FLOOR, TRUTH, check_title
from cryowae.errors import ConfigError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import read_mrc
from cryowae.io.outputs import check_output, make_folder
from cryowae.progress import SILENT, Progress
from cryowae.specimen.builder import Specimen
from cryowae.tomogram.statistics import require_finite

Array = NDArray[np.float32]
Positions = NDArray[np.float64]

FEWEST = 6
"""Minimum number of particles of a kind for figures of this kind."""
ROUND = 0.15
"""Largest difference from 1 of a kind's elongation in the truth; kinds beyond it are not used."""
MOST = 24
"""Number of particles of a kind that are discriminated from the same number of others."""
BOX = 48
"""Voxels along each axis of the boxes for discrimination, at most; small particles have smaller boxes."""
AROUND = 8
"""Voxels around beads, membranes and filaments in which blobs do not count as invented."""


def score_case(case: Case, restored: Array, twin: Array | None, crop: int) -> metrics.Profile:
    """Compare a restored volume with the truth, and count structures in noise alone.

    Parameters
    ----------
    case
        The truth, and the parameters of its simulation.
    restored
        `(z, y, x)` output of the method for the tomogram.
    twin
        `(z, y, x)` its output for the tomogram's noise alone.
    crop
        Voxels of every face that are not scored.

    Returns
    -------
    profile
        The profile against the truth with further scores: of particles, vesicles and invented structure. Scores that
        do not exist are left out or NaN.
    """
    scores: dict[str, float] = {}
    curves: dict[str, NDArray[np.float64]] = {}
    if np.ptp(case.truth) > 0:
        whole = metrics.profile(case.truth, restored, case.wedge, crop)
        scores, curves = dict(whole.scores), dict(whole.curves)
    scores |= _of_particles(case, restored, crop)
    vesicles = [
        metrics.vesicle_correlation(case.truth, restored, v.centre, v.radius, case.wedge)
        for v in case.specimen.vesicles
    ]
    for name in ("shell", "caps"):
        known = [value for v in vesicles if np.isfinite(value := getattr(v, name))]
        scores |= {name: float(np.mean(known))} if known else {}
    return metrics.Profile(scores | _invented(case, restored, twin, crop), curves)


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
) -> BenchmarkResult:
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
        The measured region; only its tilt range is used.
    output
        Folder; created if it does not exist.
    crop
        Voxels of every face that are not scored.
    voxel_size
        Angstrom, instead of the headers' values.
    overwrite
        Replace earlier scores.
    progress
        Receives the progress of every volume.

    Raises
    ------
    TomogramError
        If a volume cannot be read, has NaN, or has another shape than the truth.
    ConfigError
        If no volume is given, a name is not allowed, or nothing is left after cropping.
    OutputError
        If the files exist, or cannot be written.
    """
    if not volumes:
        raise ConfigError("got no volumes, expected NAME=VOLUME at least once")
    for name in volumes:
        check_title(name)
    began, folder = time.perf_counter(), Path(output)
    files = tuple(folder / name for name in ("scores.md", "scores.csv", "curves.csv", "fsc.png", "slices.png"))
    for path in files if folder.is_dir() else ():
        check_output(path, overwrite=overwrite)
    opened = read_mrc(truth, voxel_size=voxel_size)
    target = np.array(require_finite(opened.data, str(truth)))
    if min(target.shape) < LEAST + 2 * crop:
        raise ConfigError(
            f"{truth} has {target.shape} voxels, of which {crop} are cut off every face, expected at least "
            f"{LEAST + 2 * crop} along every axis: give a smaller --crop"
        )
    loaded: dict[str, Array] = {FLOOR: np.asarray(metrics.empty_wedge(target, wedge), np.float32)}
    loaded |= {name: read_candidate(Path(file), target.shape, voxel_size) for name, file in volumes.items()}
    make_folder(folder)
    title = f"against {Path(truth).name}, {wedge.tilt_min:g} to {wedge.tilt_max:g} degrees"
    tracked = progress.track("scoring", list(loaded.items()), "volumes")
    results = [Result.of(metrics.profile(target, v, wedge, crop), title, 0.0, 0, name, 0.0) for name, v in tracked]
    text = f"**{title}**\n\n{score_files.markdown_table(results)}"
    score_files.write_tables(files[:3], text, results, keys=("method",))
    score_files.draw_scores(files[3], results, opened.voxel_size, title)
    score_files.draw_slices_of(files[4], results, {TRUTH: target, **loaded}, opened.voxel_size, title)
    return BenchmarkResult(files, text, len(results), time.perf_counter() - began)


def _of_particles(case: Case, restored: Array, crop: int) -> dict[str, float]:
    specimen = case.specimen
    found = metrics.particle_correlations(case.truth, restored, specimen.labels.numpy(), specimen.particles, crop=crop)
    scores = {"particle": float(np.mean(list(found.values())))} if found else {}
    kinds = _common(specimen)
    if kinds:
        smallest = min(kinds, key=lambda n: specimen.kinds[n].diameter)  # the particles nearest to a point
        centres, radius = _centres(specimen, smallest), specimen.kinds[smallest].diameter / 2 / specimen.voxel_size
        if abs(metrics.elongation(case.truth, centres, radius) - 1) < ROUND:
            scores["elongation"] = metrics.elongation(restored, centres, radius)
    targets = _targets(specimen, case.wedge, case.seed)
    areas = [max(m.area(restored, own, others) for m in matchers) for own, others, matchers in targets]
    return scores | ({"found": float(np.mean(areas))} if areas else {})


@lru_cache(maxsize=1)
def _targets(specimen: Specimen, wedge: Wedge, seed: int) -> list[tuple[Positions, Positions, list[metrics.Matcher]]]:
    """Own positions, other positions and templates of the smallest, the middle and the largest of the common kinds.

    There are templates with and without the wedge; the better scores count.
    """
    kinds = _common(specimen)
    targets = []
    for name in sorted({kinds[0], kinds[len(kinds) // 2], kinds[-1]}) if kinds else []:
        rng = np.random.default_rng(seed)
        template = specimen.kinds[name].density.numpy()
        box, shape = min(BOX, len(template) + 12), tuple(specimen.density.shape)
        centres = (metrics.whole_boxes(_centres(specimen, name, same), box, shape) for same in (True, False))
        own, others = (rng.permutation(some)[:MOST] for some in centres)
        if min(len(own), len(others)) >= FEWEST:
            matchers = [metrics.Matcher(template, cut, box=box) for cut in (None, wedge)]
            targets.append((own, others[: len(own)], matchers))
    return targets


def _common(specimen: Specimen) -> list[str]:
    """Kinds with enough particles, sorted by volume."""
    counts = Counter(p.name for p in specimen.particles if p.name in specimen.kinds)
    return sorted((n for n, count in counts.items() if count >= FEWEST), key=lambda n: specimen.kinds[n].volume)


def _centres(specimen: Specimen, name: str, same: bool = True) -> Positions:
    """`(n, 3)` positions of the particles of one kind, or of all other kinds."""
    return np.array([p.centre for p in specimen.particles if p.name in specimen.kinds and (p.name == name) == same])


def _invented(case: Case, restored: Array, twin: Array | None, crop: int) -> dict[str, float]:
    """Structures in noise alone and, where there are no particles, in ice."""
    labels = case.specimen.labels.numpy()
    scores: dict[str, float] = {}
    if (labels > 0).any():
        contrast = metrics.particle_contrast(restored, labels)
    else:
        # the contrast of a protein with this tilt range, where it is 1 in the truth
        contrast = (case.wedge.tilt_max - case.wedge.tilt_min) / 180
        near = ndimage.binary_dilation(labels != 0, iterations=AROUND)
        made = metrics.invented(np.where(near, np.median(restored), restored), contrast, crop=crop)
        scores |= {"ice_blobs": made.blobs, "ice_blob_voxels": made.voxels}
    if twin is not None:
        made = metrics.invented(twin, contrast, crop=crop)
        scores |= {"blobs": made.blobs, "blob_voxels": made.voxels, "noise_std": made.std}
        spread = metrics.invented(restored, contrast, crop=crop).std
        if spread > 0:
            scores["noise_ratio"] = made.std / spread
    return scores
