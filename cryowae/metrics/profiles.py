"""Figures of a volume against the truth: over all components, inside and outside the missing wedge.

`score` gives the nine columns of our tables, `profile` every figure and the curves. The borders of the volume are cut
off first. No figure here measures invented structure: inspect the volumes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool3d

from cryowae.errors import TomogramError
from cryowae.fourier.grids import Device
from cryowae.metrics.regions import Array, Range, Region, ShellCorrelation, Spectra, as_pair

SHELLS = torch.tensor([0.0, *(0.02 + 0.02 * i for i in range(25))], dtype=torch.float64)
"""`(26,)` edges of shells 0.02 cycles per voxel wide, up to 0.5."""

REGIONS: Mapping[str, Region] = {"": "all", "_mw": "missing", "_obs": "measured"}
"""Suffix of a figure's name, and the region that it describes."""

FEWEST = 60
"""Shells with fewer components of the half spectrum are left out."""

THRESHOLD = 0.5
"""Threshold of the correlation for `cross`."""

_MIDDLES = ((SHELLS[1:] + SHELLS[:-1]) / 2).numpy()
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

    Names end in `_mw` for the missing wedge and in `_obs` for the measured region; others are for all components.

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
    spectra, figures = Spectra(g, v, wedge), {"ncc": ncc(g, v), "psnr": psnr(g, v)}
    for suffix in ("_mw", "_obs"):
        figures |= {name + suffix: value for name, value in _by_shell(spectra, REGIONS[suffix])[0].items()}
    return Scores(**{field.name: figures[field.name] for field in fields(Scores)})


def profile(truth: Array, volume: Array, wedge: Range, crop: int = 12, device: Device = "cpu") -> Profile:
    """Compare a volume with the truth.

    Parameters
    ----------
    truth, volume
        `(z, y, x)`, with any scale and offset, but with the same sign of contrast.
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
        two volumes with the components of the region only, under the Hann window.

    Raises
    ------
    TomogramError
        If the shapes differ, fewer than 7 voxels are left after cropping, or a value is not finite.
    """
    g, v = as_pair(truth, volume, device, crop)
    spectra = Spectra(g, v, wedge)
    figures: dict[str, float] = {}
    curves: dict[str, NDArray[np.float64]] = {"frequency": _MIDDLES}
    for suffix, region in REGIONS.items():
        found, shells = _by_shell(spectra, region)
        a, b = (g, v) if region == "all" else spectra.parts(region)
        found |= {"psnr": psnr(a, b), "ssim": ssim(a, b, device=device)}
        figures |= {name + suffix: value for name, value in found.items()}
        curves |= {name + suffix: values for name, values in shells.items()}
    figures["ncc"] = ncc(g, v)
    names = ("ncc", "fsc", "fine", "cross", "r", "psnr", "ssim")
    return Profile({name + suffix: figures[name + suffix] for name in names for suffix in REGIONS}, curves)


def ncc(a: Array, b: Array) -> float:
    """Pearson correlation of the voxels of two volumes, 0 if one is constant."""
    aa, bb, ab = _moments(*as_pair(a, b))
    return ab / float(np.sqrt(aa * bb)) if aa * bb > 0 else 0.0


def psnr(truth: Array, volume: Array) -> float:
    """Peak signal-to-noise ratio in decibels after a least-squares fit of scale and offset.

    The peak is the range of the truth. Volumes that are equal up to rounding have about 150; NaN for a constant truth.
    """
    g, v = as_pair(truth, volume)
    gg, vv, gv = _moments(g, v)
    if gg == 0:
        return float("nan")
    residual = gg - gv * gv / vv if vv > 0 else gg
    return float(10 * np.log10(float(g.max() - g.min()) ** 2 / max(residual, 1e-14 * gg)))


def ssim(truth: Array, volume: Array, window: int = 7, device: Device = "cpu") -> float:
    """Mean structural similarity after a least-squares fit of scale and offset.

    Wang et al. 2004, IEEE Trans. Image Process. 13, 600: uniform windows of `window` voxels cubed that are wholly
    inside, K1 = 0.01, K2 = 0.03, dynamic range = range of the truth. NaN for a constant truth.
    """
    g, v = as_pair(truth, volume, device)
    if min(g.shape) < window:
        raise TomogramError(f"got volumes of {tuple(g.shape)} voxels, expected at least {window} along every axis")
    gg, vv, gv = _moments(g, v)
    if gg == 0:
        return float("nan")
    v = (v - v.mean()) * (gv / vv if vv > 0 else 0.0) + g.mean()
    size = float(g.max() - g.min())
    c1, c2 = (0.01 * size) ** 2, (0.03 * size) ** 2
    unbiased = window**3 / (window**3 - 1)
    total, count, rows = 0.0, 0, max(1, 2**22 // g[0].numel())
    for z in range(0, g.shape[0] - window + 1, rows):
        x, y = g[z : z + rows + window - 1], v[z : z + rows + window - 1]
        mx, my, xx, yy, xy = (_local_mean(q, window) for q in (x, y, x * x, y * y, x * y))
        covariance, variances = unbiased * (xy - mx * my), unbiased * (xx + yy - mx * mx - my * my)
        similarity = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2))
        total, count = total + float(similarity.sum()), count + similarity.numel()
    return total / count


def format_table(rows: Mapping[str, Scores]) -> str:
    """Plain text: a header and one line per volume, in the order given; figures that do not exist are dashes."""
    width = max([len("volume"), *map(len, rows)])
    lines = [["volume".ljust(width), *(f"{field.name:>8}" for field in fields(Scores))]]
    for name, scores in rows.items():
        figures = [f"{value:8.3f}" if np.isfinite(value) else f"{'-':>8}" for value in astuple(scores)]
        lines.append([name.ljust(width), *figures])
    return "\n".join(" ".join(line) for line in lines)


def _by_shell(spectra: Spectra, region: Region) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """The figures and curves of one region that follow from sums over its components."""
    sums, fit = spectra.sums(region, SHELLS), spectra.sums("all")
    scale = fit.cross / np.where(fit.power_b > 0, fit.power_b, np.inf)  # least squares
    known = sums.count >= FEWEST
    fsc = np.where(known, sums.correlation, np.nan)
    power = sums.power_b / np.where(sums.power_a > 0, sums.power_a, np.inf)
    amplitude = np.where(known, np.sqrt(power) * abs(scale), np.nan)
    figures = {
        "ncc": float(spectra.sums(region, full=True).correlation[0]),
        "fsc": _mean(fsc[_COARSE]),
        "fine": _mean(fsc[_FINE]),
        "r": _mean(amplitude[_COARSE]),
        "cross": _crossing(fsc),
    }
    return figures, {"fsc": fsc, "r": amplitude, "count": sums.count}


def _crossing(fsc: NDArray[np.float64]) -> float:
    known = fsc[~np.isnan(fsc)]
    if known.size and known[0] < THRESHOLD:
        return 0.0
    crossing = ShellCorrelation(_MIDDLES, fsc, np.zeros(0, np.int64)).crossing(THRESHOLD)
    return float("nan") if crossing is None else crossing


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over the shells that have enough components; NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _moments(a: Tensor, b: Tensor) -> tuple[float, float, float]:
    """Variances of both and their covariance, in float64; section by section, so that no volume is copied."""
    wide = torch.float32 if a.device.type == "mps" else torch.float64
    mean_a, mean_b = (sum(float(section.to(wide).mean()) for section in q) / len(q) for q in (a, b))
    aa = bb = ab = 0.0
    for section_a, section_b in zip(a, b, strict=True):
        p, q = section_a.to(wide) - mean_a, section_b.to(wide) - mean_b
        aa, bb, ab = aa + float((p * p).sum()), bb + float((q * q).sum()), ab + float((p * q).sum())
    return aa / a.numel(), bb / a.numel(), ab / a.numel()


def _local_mean(values: Tensor, window: int) -> Tensor:
    means = values[None, None].to(torch.float32 if values.device.type == "mps" else torch.float64)
    for size in ((window, 1, 1), (1, window, 1), (1, 1, window)):
        means = avg_pool3d(means, size, stride=1)
    return means[0, 0]
