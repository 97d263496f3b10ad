"""One row of our tables: how close a restored volume is to the truth.

No figure here sees the borders of the volume, which are cut off, and none shows invented structure: look at the
volumes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch

from cryowae.fourier.grids import Device
from cryowae.metrics.regions import Range, Spectra, as_wedge
from cryowae.metrics.shells import RegionSums, region_sums
from cryowae.metrics.voxels import Array, as_pair, ncc, psnr

SHELLS = torch.tensor([0.0, *(0.02 + 0.02 * i for i in range(25))], dtype=torch.float64)
"""`(26,)` edges of shells 0.02 cycles per voxel wide, up to 0.5."""

_COARSE, _FINE = slice(1, 13), slice(13, 17)  # shells from .02 to .26 cycles per voxel, and from there to .34


@dataclass(frozen=True)
class Scores:
    """One row of our tables. `mw` is the missing wedge, `obs` what was measured.

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


def score(truth: Array, volume: Array, wedge: Range, crop: int = 12, device: Device = "cpu") -> Scores:
    """Score a volume against the truth.

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

    Raises
    ------
    TomogramError
        If the shapes differ, nothing is left after cropping, or a value is not finite.
    """
    g, v = as_pair(truth, volume, device, crop)
    sums = region_sums(Spectra.of(g, v, as_wedge(wedge)), ("missing", "measured"), SHELLS)
    mw, obs = shell_figures(sums["missing"]), shell_figures(sums["measured"])
    return Scores(
        ncc=ncc(g, v),
        fsc_mw=mw["fsc"],
        fsc_obs=obs["fsc"],
        ncc_mw=sums["missing"].pearson,
        ncc_obs=sums["measured"].pearson,
        fine_mw=mw["fine"],
        fine_obs=obs["fine"],
        r_mw=mw["r"],
        psnr=psnr(g, v),
    )


def shell_figures(sums: RegionSums) -> dict[str, float]:
    """What one region's shells, those of `SHELLS`, come to: `fsc`, `fine`, and the amplitude ratio `r`."""
    return {
        "fsc": sums.mean(sums.correlation, _COARSE),
        "fine": sums.mean(sums.correlation, _FINE),
        "r": sums.mean(sums.amplitude, _COARSE),
    }


def format_table(rows: Mapping[str, Scores]) -> str:
    """Plain text: a header and one line a volume, in the order given; figures that do not exist are dashes."""
    width = max([len("volume"), *map(len, rows)])
    lines = [["volume".ljust(width), *(f"{field.name:>8}" for field in fields(Scores))]]
    for name, scores in rows.items():
        figures = [f"{value:8.3f}" if np.isfinite(value) else f"{'-':>8}" for value in astuple(scores)]
        lines.append([name.ljust(width), *figures])
    return "\n".join(" ".join(line) for line in lines)
