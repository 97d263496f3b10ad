"""Samples of a case, and figures about them: do they have the right power, and do they describe their own error?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae import metrics
from cryowae.benchmark.cases import Case
from cryowae.metrics.calibration import calibrate, gain_of_mean, in_units_of, sample_crps
from cryowae.models.draws import Draw
from cryowae.models.weights import RestorationModel
from cryowae.restore import RestoreOptions, restore_array

Array = NDArray[np.float32]

_PARTICLE = 0.1  # of the largest density: voxels of particles
_LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class SampledCase:
    """Samples of a case.

    Attributes
    ----------
    samples
        `(z, y, x)` each.
    twin
        A sample of the noise alone; None if the case has none.
    """

    samples: Sequence[Array]
    twin: Array | None

    @cached_property
    def mean(self) -> Array:
        """The mean of the samples."""
        return np.asarray(np.mean(self.samples, axis=0), np.float32)


def sample_case(network: RestorationModel, case: Case, count: int) -> SampledCase:
    """Draw samples of a case, and one of its noise alone; raises `CheckpointError` without random codes."""
    how: dict[str, Any] = {"model": network, "options": RestoreOptions(fast=True), "contrast": "bright"}
    how |= {"wedge": case.wedge, "voxel_size": case.specimen.voxel_size}

    def drawn(volume: Array, number: int) -> Array:
        return np.asarray(restore_array(volume, draw=Draw(0, number), **how).data, np.float32)

    samples = [drawn(case.tomogram, number) for number in range(count)]
    return SampledCase(samples, None if case.twin is None else drawn(case.twin, 0))


def score_samples(case: Case, sampled: SampledCase, crop: int) -> dict[str, float]:
    """Figures about samples, beside those of their mean.

    Parameters
    ----------
    case
        The truth.
    sampled
        Two or more samples.
    crop
        Voxels of every face that are not scored.

    Returns
    -------
    scores
        `sample_ncc` and `sample_r_mw`: correlation and amplitude in the wedge of one sample. `crps`: relative to the
        standard deviation of the truth. `coverage_mw` and `coverage_obs`: share of the particles' voxels whose true
        value lies in the 90 % interval, mean over the shells below .26 cycles per voxel. `mean_gain`: decibels by which
        the mean is better than one sample, minus those of exact samples.
    """
    if not np.ptp(case.truth) > 0:
        return {}
    inner = tuple(slice(crop, n - crop) for n in case.truth.shape)
    truth = case.truth[inner]
    single = metrics.profile(case.truth, sampled.samples[0], case.wedge, crop).scores
    samples = in_units_of(truth, [sample[inner] for sample in sampled.samples])
    where = truth > _PARTICLE * truth.max()
    scores = {"sample_ncc": float(single["ncc"]), "sample_r_mw": float(single["r_mw"])}
    for name, region in (("coverage_mw", "missing"), ("coverage_obs", "measured")):
        found = calibrate(truth, samples, case.wedge, region, where=where, levels=(_LEVEL,))  # type: ignore[arg-type]
        known = found.error > 0  # coarse shells may have no component in the wedge
        scores[name] = float(found.coverage[0][known].mean())
    gain, exact = gain_of_mean(truth, samples)
    return {**scores, "crps": sample_crps(truth, samples) / float(truth.std()), "mean_gain": gain - exact}
