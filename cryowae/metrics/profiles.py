"""Figures of a volume against the truth: over all components, inside and outside the missing wedge.

`score` gives the nine columns of our tables, `profile` every figure and the curves. The borders of the volume are cut
off first. No figure here shows invented structure: look at the volumes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.fourier.grids import Device
from cryowae.metrics.regions import FEWEST, Range, Region, RegionSums, ShellCorrelation, Spectra
from cryowae.metrics.voxels import Array, as_pair, ncc, psnr, ssim

SHELLS = torch.tensor([0.0, *(0.02 + 0.02 * i for i in range(25))], dtype=torch.float64)
"""`(26,)` edges of shells 0.02 cycles per voxel wide, up to 0.5."""

REGIONS: Mapping[str, Region] = {"": "all", "_mw": "missing", "_obs": "measured"}
"""Suffix of a figure's name, and the region that it describes."""

THRESHOLD = 0.5
"""The curve has fallen where its correlation is below this."""

_COARSE, _FINE = slice(1, 13), slice(13, 17)  # shells from .02 to .26 cycles per voxel, and from there to .34


@dataclass(frozen=True)
class Scores:
    """One row of our tables. `mw` is the missing wedge, `obs` the measured region.

    Attributes
    ----------
    ncc
        Pearson correlation of voxels.
    fsc_mw, fsc_obs
        Mean Fourier shell correlation over shells 0.02 wide from 0.02 to 0.26 cycles per voxel.
    ncc_mw, ncc_obs
        Pearson correlation of the parts of both volumes inside and outside the wedge.
    fine_mw, fine_obs
        Mean Fourier shell correlation from 0.26 to 0.34 cycles per voxel.
    r_mw
        Amplitude ratio of volume and truth in the wedge after least-squares scaling; 1 is the right power.
    psnr
        Decibels, after least-squares scale and offset; the peak is the range of the truth.
    """

    ncc: float
    fsc_mw: float
    fsc_obs: float
    ncc_mw: float
    ncc_obs: float
    fine_mw: float
    fine_obs: float
    r_mw: float
    psnr: float


@dataclass(frozen=True)
class Profile:
    """Agreement of a volume with the truth, as figures and by shell.

    Names end in `_mw` for the missing wedge, in `_obs` for the measured region, in neither for all components.

    Attributes
    ----------
    scores
        `ncc`, `fsc`, `fine`, `cross`, `r`, `psnr`, `ssim`, each for three regions, defined as in `Scores`; `cross` is
        the frequency in cycles per voxel at which the correlation first falls below one half: 0 if the first shell
        that counts is below it, NaN if no shell is. Figures that do not exist are NaN as well.
    curves
        `(25,)` each: `frequency`, the middle of every shell in cycles per voxel; `fsc`, `r`, `count` for three
        regions. A shell with fewer than 60 components has NaN.
    """

    scores: Mapping[str, float]
    curves: Mapping[str, NDArray[np.float64]]


def score(truth: Array, volume: Array, wedge: Range, crop: int = 12, device: Device = "cpu") -> Scores:
    """Score a volume against the truth by the nine figures of our tables.

    Parameters
    ----------
    truth, volume, wedge, crop, device
        As in `profile`.

    Raises
    ------
    TomogramError
        If the shapes differ, nothing is left after cropping, or a value is not finite.
    """
    g, v = as_pair(truth, volume, device, crop)
    spectra, figures = Spectra.of(g, v, wedge), {"ncc": ncc(g, v), "psnr": psnr(g, v)}
    for suffix in ("_mw", "_obs"):
        sums = spectra.sums(REGIONS[suffix], SHELLS)
        figures |= {name + suffix: value for name, value in _shell_figures(sums).items()}
    return Scores(**{field.name: figures[field.name] for field in fields(Scores)})


def profile(truth: Array, volume: Array, wedge: Range, crop: int = 12, device: Device = "cpu") -> Profile:
    """Compare a volume with the truth.

    Parameters
    ----------
    truth, volume
        `(z, y, x)`, of any scale and offset, but of one sign of contrast.
    wedge
        The measured region, or its extreme tilts in degrees; soft edges and single tilts count by their range.
    crop
        Voxels that are cut off every face first.
    device
        Where to compute.

    Returns
    -------
    profile
        `ncc`, `psnr` and `ssim` over all components are those of the cropped voxels. Those of a region compare the
        two volumes that the region's components alone make, under the Hann window.

    Raises
    ------
    TomogramError
        If the shapes differ, fewer than 7 voxels are left after cropping, or a value is not finite.
    """
    g, v = as_pair(truth, volume, device, crop)
    spectra = Spectra.of(g, v, wedge)
    figures: dict[str, float] = {}
    curves: dict[str, NDArray[np.float64]] = {}
    for suffix, region in REGIONS.items():
        sums = spectra.sums(region, SHELLS)
        curve = sums.curve(FEWEST)
        a, b = (g, v) if region == "all" else spectra.parts(region)
        whole = {"cross": _crossing(curve), "psnr": psnr(a, b), "ssim": ssim(a, b, device=device)}
        whole |= _shell_figures(sums) | ({"ncc": ncc(g, v)} if region == "all" else {})
        figures |= {name + suffix: value for name, value in whole.items()}
        amplitude = np.where(curve.count >= FEWEST, sums.amplitude, np.nan)
        curves |= {"frequency": curve.frequency, "fsc" + suffix: curve.correlation}
        curves |= {"r" + suffix: amplitude, "count" + suffix: sums.shells.count}
    names = ("ncc", "fsc", "fine", "cross", "r", "psnr", "ssim")
    return Profile({name + suffix: figures[name + suffix] for name in names for suffix in REGIONS}, curves)


def format_table(rows: Mapping[str, Scores]) -> str:
    """Plain text: a header and one line per volume, in the order given; figures that do not exist are dashes."""
    width = max([len("volume"), *map(len, rows)])
    lines = [["volume".ljust(width), *(f"{field.name:>8}" for field in fields(Scores))]]
    for name, scores in rows.items():
        figures = [f"{value:8.3f}" if np.isfinite(value) else f"{'-':>8}" for value in astuple(scores)]
        lines.append([name.ljust(width), *figures])
    return "\n".join(" ".join(line) for line in lines)


def _shell_figures(sums: RegionSums) -> dict[str, float]:
    """The figures of one region that follow from its sums over `SHELLS`."""
    return {
        "ncc": float(sums.whole.correlation[0]),
        "fsc": sums.mean(sums.shells.correlation, _COARSE),
        "fine": sums.mean(sums.shells.correlation, _FINE),
        "r": sums.mean(sums.amplitude, _COARSE),
    }


def _crossing(curve: ShellCorrelation) -> float:
    known = curve.correlation[~np.isnan(curve.correlation)]
    if known.size and known[0] < THRESHOLD:
        return 0.0
    crossing = curve.crossing(THRESHOLD)
    return float("nan") if crossing is None else crossing
