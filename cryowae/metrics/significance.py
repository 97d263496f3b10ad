"""Is a score better than chance, and how uncertain is it? Intervals and tests by resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]

_RESAMPLES = 4000
_MOST = 12  # units up to which all exchanges are counted: 4096


@dataclass(frozen=True)
class Estimate:
    """The mean of a score over units, such as images.

    Attributes
    ----------
    mean
        Over the units.
    spread
        Standard deviation over the units.
    low, high
        95 % confidence interval of the mean.
    """

    mean: float
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """The mean of a paired difference.

    Attributes
    ----------
    p
        Probability of a mean at least as far from 0 if the two members of every pair were exchangeable.
    """

    p: float


def estimate_mean(values: Values, generator: np.random.Generator) -> Estimate:
    """Mean with a 95 % confidence interval by resampling the units.

    Few units give a bootstrap interval that is too narrow. It is expanded as by Hesterberg (2015, Am. Stat. 69, 371,
    section 3.4): the tails are those of the normal distribution at `sqrt(n / (n - 1))` times the quantile of Student's
    distribution with `n - 1` degrees of freedom. It covers the mean of normal values in 94 to 95 % of cases for 6 to
    20 units, and in 87 % for 4.

    Parameters
    ----------
    values
        `(units,)`; units that are NaN are left out.
    generator
        Draws the units.
    """
    known = values[np.isfinite(values)]
    n = len(known)
    if n < 2:
        mean = float(known.mean()) if n else float("nan")
        return Estimate(mean, *[float("nan")] * 3)
    draws = known[generator.integers(0, n, (_RESAMPLES, n))].mean(1)
    tail = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1)))
    low, high = np.quantile(draws, (tail, 1 - tail))
    return Estimate(float(known.mean()), float(known.std(ddof=1)), float(low), float(high))


def paired_difference(first: Values, second: Values, generator: np.random.Generator) -> Difference:
    """Mean of `first - second` with its interval, and a permutation test that exchanges the two within a unit.

    Up to 12 units, all exchanges are counted; for more, as many random ones (Fisher 1935, The Design of Experiments,
    section 21; the observed one counts, so that `p` is never 0).

    Parameters
    ----------
    first, second
        `(units,)` scores of the same units.
    """
    difference = first - second
    difference = difference[np.isfinite(difference)]
    found, n = estimate_mean(difference, generator), len(difference)
    if n <= _MOST:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = generator.choice((-1.0, 1.0), (2**_MOST, n))
        signs[0] = 1
    means = np.abs(signs @ difference)
    p = float(np.mean(means >= abs(difference.sum()) * (1 - 1e-9)))
    return Difference(found.mean, found.spread, found.low, found.high, p)
