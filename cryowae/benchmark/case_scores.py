"""All figures of one method on one case."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryowae.benchmark.cases import Case
from cryowae.fourier.wedge import Wedge
from cryowae.metrics import (
    Matcher,
    Profile,
    elongation,
    invented,
    particle_contrast,
    particle_correlations,
    profile,
    vesicle_correlation,
    whole_boxes,
)
from cryowae.specimen.builder import Specimen

Array = NDArray[np.float32]
Positions = NDArray[np.float64]

FEWEST = 6
"""Particles of a kind that are needed for figures of this kind."""
ROUND = 0.15
"""Largest difference from 1 of a kind's elongation in the truth; kinds beyond it are not used."""
MOST = 24
"""Particles of a kind that are discriminated from as many others."""
BOX = 48
"""Voxels along each axis of the boxes for discrimination, at most; small particles have smaller boxes."""
AROUND = 8
"""Voxels around beads, membranes and filaments in which nothing counts as invented."""


def score_case(case: Case, restored: Array, twin: Array | None, crop: int) -> Profile:
    """Compare a restored volume with the truth, and count structures in noise alone.

    Parameters
    ----------
    case
        The truth and how it was made.
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
        whole = profile(case.truth, restored, case.wedge, crop)
        scores, curves = dict(whole.scores), dict(whole.curves)
    scores |= _of_particles(case, restored, crop)
    vesicles = [
        vesicle_correlation(case.truth, restored, v.centre, v.radius, case.wedge) for v in case.specimen.vesicles
    ]
    for name in ("shell", "caps"):
        known = [value for v in vesicles if np.isfinite(value := getattr(v, name))]
        scores |= {name: float(np.mean(known))} if known else {}
    return Profile(scores | _invented(case, restored, twin, crop), curves)


def _of_particles(case: Case, restored: Array, crop: int) -> dict[str, float]:
    specimen = case.specimen
    found = particle_correlations(case.truth, restored, specimen.labels.numpy(), specimen.particles, crop=crop)
    scores = {"particle": float(np.mean(list(found.values())))} if found else {}
    kinds = _common(specimen)
    if kinds:
        smallest = min(kinds, key=lambda n: specimen.kinds[n].diameter)  # the nearest to a point
        centres, radius = _centres(specimen, smallest), specimen.kinds[smallest].diameter / 2 / specimen.voxel_size
        if abs(elongation(case.truth, centres, radius) - 1) < ROUND:
            scores["elongation"] = elongation(restored, centres, radius)
    areas = [
        max(matcher.area(restored, own, others) for matcher in matchers)
        for own, others, matchers in _targets(specimen, case.wedge, case.seed)
    ]
    return scores | ({"found": float(np.mean(areas))} if areas else {})


@lru_cache(maxsize=1)
def _targets(specimen: Specimen, wedge: Wedge, seed: int) -> list[tuple[Positions, Positions, list[Matcher]]]:
    """Own positions, other positions and templates of the smallest, the middle and the largest of the common kinds.

    There are templates with and without the wedge; the better ones count.
    """
    kinds = _common(specimen)
    targets = []
    for name in sorted({kinds[0], kinds[len(kinds) // 2], kinds[-1]}) if kinds else []:
        rng = np.random.default_rng(seed)
        template = specimen.kinds[name].density.numpy()
        box, shape = min(BOX, len(template) + 12), tuple(specimen.density.shape)
        centres = (whole_boxes(_centres(specimen, name, same), box, shape) for same in (True, False))
        own, others = (rng.permutation(some)[:MOST] for some in centres)
        if min(len(own), len(others)) >= FEWEST:
            targets.append((own, others[: len(own)], [Matcher.of(template, cut, box=box) for cut in (None, wedge)]))
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
    crowded = bool((labels > 0).any())
    # without particles: the share of the contrast of a protein, 1 in the truth, that this tilt range leaves
    contrast = particle_contrast(restored, labels) if crowded else (case.wedge.tilt_max - case.wedge.tilt_min) / 180
    scores: dict[str, float] = {}
    if not crowded:
        near = ndimage.binary_dilation(labels != 0, iterations=AROUND) if labels.any() else np.zeros_like(labels, bool)
        made = invented(np.where(near, np.median(restored), restored), contrast, crop=crop)
        scores |= {"ice_blobs": made.blobs, "ice_blob_voxels": made.voxels}
    if twin is not None:
        made = invented(twin, contrast, crop=crop)
        scores |= {"blobs": made.blobs, "blob_voxels": made.voxels, "noise_std": made.std}
        spread = invented(restored, contrast, crop=crop).std
        if spread > 0:
            scores["noise_ratio"] = made.std / spread
    return scores
