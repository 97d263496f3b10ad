"""One row of our tables: how close a restored volume is to the truth.

No figure here sees the borders of the volume, which are cut off, and none shows invented structure: look at the
volumes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch

from cryowae.metrics.shells import Range, as_wedge, ratio, region_sums
from cryowae.metrics.voxels import Array, as_pair, ncc, psnr
from cryowae.physics.fourier import Device

_EDGES = torch.tensor([0.02 + 0.02 * i for i in range(17)], dtype=torch.float64)
_COARSE, _FINE = slice(0, 12), slice(12, 16)  # shells up to .26 cycles per voxel, and from there to .34


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
    sums = region_sums(g, v, as_wedge(wedge), ("missing", "measured"), _EDGES)
    mw, obs = sums["missing"], sums["measured"]
    amplitudes = np.sqrt(ratio(mw.power_b, mw.power_a)) * abs(mw.scale)
    return Scores(
        ncc=ncc(g, v),
        fsc_mw=mw.mean(mw.correlation, _COARSE),
        fsc_obs=obs.mean(obs.correlation, _COARSE),
        ncc_mw=mw.pearson,
        ncc_obs=obs.pearson,
        fine_mw=mw.mean(mw.correlation, _FINE),
        fine_obs=obs.mean(obs.correlation, _FINE),
        r_mw=mw.mean(amplitudes, _COARSE),
        psnr=psnr(g, v),
    )


def format_table(rows: Mapping[str, Scores]) -> str:
    """Plain text: a header and one line a volume, in the order given; figures that do not exist are dashes."""
    width = max([len("volume"), *map(len, rows)])
    lines = [["volume".ljust(width), *(f"{field.name:>8}" for field in fields(Scores))]]
    for name, scores in rows.items():
        figures = [f"{value:8.3f}" if np.isfinite(value) else f"{'-':>8}" for value in astuple(scores)]
        lines.append([name.ljust(width), *figures])
    return "\n".join(" ".join(line) for line in lines)
