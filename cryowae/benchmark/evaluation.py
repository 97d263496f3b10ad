"""Everything that is measured of one method on one case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryowae.benchmark.cases import Case
from cryowae.metrics import (
    Profile,
    discrimination,
    elongation,
    invented,
    particle_contrast,
    particle_correlations,
    profile,
    vesicle_correlation,
)

Array = NDArray[np.float32]

FEWEST = 6
"""Particles of a kind below which nothing is said of it."""
BOX = 48
"""Voxels along each axis of the boxes in which particles are told apart."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one method on one case.

    Attributes
    ----------
    scores
        Name and value; what does not exist is left out.
    curves
        Name and one value a shell, see `cryowae.metrics.Profile`.
    """

    scores: Mapping[str, float]
    curves: Mapping[str, list[float]]


def evaluate(case: Case, restored: Array, twin: Array | None, crop: int) -> Evaluation:
    """Measure a restored volume against the truth, and count what was found in noise alone.

    Parameters
    ----------
    case
        The truth and all about it.
    restored
        `(z, y, x)` what the method made of the tomogram.
    twin
        `(z, y, x)` what it made of the tomogram's noise alone.
    crop
        Voxels of every face that are not scored.
    """
    scores: dict[str, float] = {}
    curves: dict[str, list[float]] = {}
    if np.ptp(case.truth) > 0:
        whole = profile(case.truth, restored, case.wedge, crop)
        scores |= whole.scores
        curves = _listed(whole)
    scores |= _of_particles(case, restored, crop)
    for vesicle in case.specimen.vesicles:
        found = vesicle_correlation(case.truth, restored, vesicle.centre, vesicle.radius, case.wedge)
        scores |= {"shell": found.shell, "caps": found.caps}
    if twin is not None:
        scores |= _of_noise(case, restored, twin, crop)
    return Evaluation({name: float(v) for name, v in scores.items() if np.isfinite(v)}, curves)


def _of_particles(case: Case, restored: Array, crop: int) -> dict[str, float]:
    specimen = case.specimen
    labels = specimen.labels.numpy()
    found = particle_correlations(case.truth, restored, labels, specimen.particles, crop=crop)
    scores = {"particle": float(np.mean(list(found.values())))} if found else {}
    counts = Counter(p.name for p in specimen.particles if p.name in specimen.kinds)
    common = [name for name, count in counts.most_common() if count >= FEWEST]
    if common:
        kind = specimen.kinds[common[0]]
        centres = np.array([p.centre for p in specimen.particles if p.name == common[0]])
        scores["elongation"] = elongation(restored, centres, kind.diameter / 2 / specimen.voxel_size)
    fitting = [name for name in common if specimen.kinds[name].diameter < BOX * specimen.voxel_size]
    if len(counts) > 1 and fitting:
        target = max(fitting, key=lambda name: specimen.kinds[name].volume)
        own = np.array([p.centre for p in specimen.particles if p.name == target])
        others = np.array([p.centre for p in specimen.particles if p.name != target and p.name in specimen.kinds])
        chosen = np.random.default_rng(case.seed).permutation(len(others))[: len(own)]
        template = specimen.kinds[target].resampled(specimen.voxel_size).density.numpy()
        scores["found"] = max(
            discrimination(restored, own, others[chosen], template, wedge, box=BOX) for wedge in (None, case.wedge)
        )
    return scores


def _of_noise(case: Case, restored: Array, twin: Array, crop: int) -> dict[str, float]:
    labels = case.specimen.labels.numpy()
    contrast = particle_contrast(restored, labels) if (labels > 0).any() else 1.0
    made = invented(twin, contrast, crop=crop)
    inner = (slice(crop, -crop),) * 3 if crop else (slice(None),) * 3
    scores = {"blobs": float(made.blobs), "blob_voxels": float(made.voxels), "noise_std": made.std}
    if restored[inner].std() > 0:
        scores["noise_ratio"] = made.std / float(restored[inner].std())
    return scores


def _listed(whole: Profile) -> dict[str, list[float]]:
    return {name: [float(v) for v in values] for name, values in whole.curves.items()}
