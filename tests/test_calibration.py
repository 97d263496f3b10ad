"""Calibration: samples of the law of the truth cover it as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryowae.errors import ConfigError
from cryowae.metrics.calibration import calibrate, gain_of_mean, in_units_of, sample_crps

SHAPE = (48, 48, 48)
WEDGE = (-40.0, 40.0)


def exchangeable(count: int, spread: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A truth and samples about a common, unknown mean; with `spread` 1 they have one law."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(SHAPE, generator=generator)
    truth, *samples = (torch.randn(SHAPE, generator=generator) for _ in range(count + 1))
    return mean + truth, [mean + spread * sample for sample in samples]


@pytest.mark.parametrize("region", ["all", "measured", "missing"])
@pytest.mark.parametrize("count", [2, 8])
def test_samples_of_the_law_of_the_truth_have_the_nominal_coverage(region, count):
    edges = (0.14, 0.20, 0.26, 0.32)  # coarser shells of a box of 48 have few components in the wedge
    found = [calibrate(*exchangeable(count, seed=seed), WEDGE, region, edges=edges) for seed in range(3)]
    coverage = np.mean([one.coverage for one in found], axis=0)
    assert np.allclose(coverage, np.array(found[0].levels)[:, None], atol=0.05)
    spread, error, power = (sum(getattr(one, name).sum() for one in found) for name in ("spread", "error", "power"))
    assert spread == pytest.approx(error, rel=0.1) and power / 9 == pytest.approx(1, abs=0.1)


def test_samples_that_are_too_narrow_cover_too_little_and_too_wide_too_much():
    for spread, sign in ((0.5, -1), (2.0, 1)):
        truth, samples = exchangeable(8, spread)
        found = calibrate(truth, samples, WEDGE, "missing")
        assert sign * (found.coverage[2].mean() - 0.9) > 0.05
        assert sign * (found.spread - found.error).mean() > 0


def test_only_the_given_voxels_count():
    truth, samples = exchangeable(4)
    where = np.zeros(SHAPE, bool)
    where[20:28, 20:28, 20:28] = True
    shifted = truth + 100 * torch.from_numpy(where)
    inside = calibrate(shifted, samples, WEDGE, where=where, levels=(0.9,), edges=(0.02, 0.26))
    outside = calibrate(truth, samples, WEDGE, where=~where, levels=(0.9,), edges=(0.02, 0.26))
    assert inside.coverage[0, 0] < 0.3 and outside.coverage[0, 0] == pytest.approx(0.9, abs=0.04)


def test_one_sample_is_refused():
    truth, samples = exchangeable(1)
    with pytest.raises(ConfigError, match="two or more"):
        calibrate(truth, samples, WEDGE)


def test_units_are_found_from_the_mean():
    truth, samples = exchangeable(8)
    scaled = in_units_of(truth, [3 * sample + 7 for sample in samples])
    again = in_units_of(truth, samples)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(scaled, again, strict=True))


def test_the_mean_of_eight_exact_samples_is_better_by_two_and_a_half_decibels():
    truth, samples = exchangeable(8)
    gain, exact = gain_of_mean(truth, samples)
    assert exact == pytest.approx(2.50, abs=0.005) and gain == pytest.approx(exact, abs=0.05)


def test_crps_is_that_of_the_closed_form():
    truth, samples = exchangeable(8)
    assert sample_crps(truth, samples) == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)
    assert sample_crps(truth, exchangeable(8, 0.3)[1]) > 1 / np.sqrt(np.pi)
