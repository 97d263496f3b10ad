"""A whole profile of a volume against the truth: every figure over all, inside and outside the missing wedge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryowae.fourier.grids import Device
from cryowae.metrics.regions import Range, Region, Spectra, as_wedge
from cryowae.metrics.scores import SHELLS, shell_figures
from cryowae.metrics.shells import FEWEST, ShellCorrelation, region_sums
from cryowae.metrics.voxels import Array, as_pair, ncc, psnr, ssim

REGIONS: Mapping[str, Region] = {"": "all", "_mw": "missing", "_obs": "measured"}
"""What is added to a figure's name, and the region that it then counts."""

THRESHOLD = 0.5
"""Correlation below which the curve is said to have fallen."""


@dataclass(frozen=True)
class Profile:
    """How close a volume is to the truth, as figures and by shell.

    Names end in `_mw` for the missing wedge, in `_obs` for what was measured, in neither for all.

    Attributes
    ----------
    scores
        `ncc`, `fsc`, `fine`, `cross`, `r`, `psnr`, `ssim`, each three times: those of `Scores` and their like; `cross`
        is the frequency in cycles per voxel at which the correlation first falls below one half: 0 where the first
        shell that counts lies below it, NaN where none does. NaN is also what does not exist.
    curves
        `(25,)` each: `frequency`, the middle of every shell in cycles per voxel; `fsc`, `r`, `count` three times. A
        shell with fewer than 60 components holds NaN.
    """

    scores: Mapping[str, float]
    curves: Mapping[str, NDArray[np.float64]]


def profile(truth: Array, volume: Array, wedge: Range, crop: int = 12, device: Device = "cpu") -> Profile:
    """Compare a volume with the truth.

    Parameters
    ----------
    truth, volume
        `(z, y, x)`, of any scale and offset, but of one sign of contrast.
    wedge
        What was measured, or its extreme tilts in degrees; soft edges and single tilts count by their range.
    crop
        Voxels that are cut off every face first.
    device
        Where to work.

    Returns
    -------
    profile
        `ncc`, `psnr` and `ssim` over all are those of the cropped voxels; those of a region are of the volumes that
        its components alone make, under the Hann window.

    Raises
    ------
    TomogramError
        If the shapes differ, fewer than 7 voxels are left after cropping, or a value is not finite.
    """
    g, v = as_pair(truth, volume, device, crop)
    spectra = Spectra.of(g, v, as_wedge(wedge))
    sums = region_sums(spectra, tuple(REGIONS.values()), SHELLS)
    frequency = ((SHELLS[1:] + SHELLS[:-1]) / 2).numpy()
    by_name: dict[str, dict[str, float]] = {}
    curves: dict[str, NDArray[np.float64]] = {"frequency": frequency}
    for suffix, region in REGIONS.items():
        here = sums[region]
        known = here.count >= FEWEST
        fsc = np.where(known, here.correlation, np.nan)
        curves["fsc" + suffix] = fsc
        curves["r" + suffix] = np.where(known, here.amplitude, np.nan)
        curves["count" + suffix] = here.count.astype(np.float64)
        a, b = (g, v) if region == "all" else spectra.parts(region)
        by_name[suffix] = {
            "ncc": ncc(g, v) if region == "all" else here.pearson,
            **shell_figures(here),
            "cross": _crossing(ShellCorrelation(frequency, fsc, here.count)),
            "psnr": psnr(a, b),
            "ssim": ssim(a, b, device=device),
        }
    names = ("ncc", "fsc", "fine", "cross", "r", "psnr", "ssim")
    return Profile({name + suffix: by_name[suffix][name] for name in names for suffix in REGIONS}, curves)


def _crossing(curve: ShellCorrelation) -> float:
    known = curve.correlation[~np.isnan(curve.correlation)]
    if known.size and known[0] < THRESHOLD:
        return 0.0
    crossing = curve.crossing(THRESHOLD)
    return float("nan") if crossing is None else crossing
