"""Fourier shell correlation of two volumes, inside and outside the missing wedge.

Both are seen through a Hann window on every axis, and the missing wedge is eroded: the window smears what was measured
over the wedge's border, and without window and erosion an empty wedge scores .15 to .33.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.metrics.voxels import Array, as_pair
from cryowae.physics.fourier import Device, frequency_grid, hermitian_weights, shell_edges, z_slabs
from cryowae.physics.wedge import Wedge

Range = Wedge | tuple[float, float]
Region = Literal["all", "measured", "missing"]

EROSION = 2.5
"""Frequency steps of the shortest axis by which a component must lie off every measured direction to be missing."""

FEWEST = 60
"""Components below which a shell is left out of the means."""

_EXACT = 2**24  # voxels up to which Fourier transforms are made in float64


def fsc(
    a: Array,
    b: Array,
    wedge: Range | None = None,
    region: Region = "all",
    *,
    width: float | None = None,
    device: Device = "cpu",
) -> ShellCorrelation:
    """Fourier shell correlation of two volumes under a Hann window (Harauz and van Heel 1986, Optik 73, 146).

    Parameters
    ----------
    a, b
        `(z, y, x)`; for a resolution, two volumes with nothing in common but the object.
    wedge, region
        Count what was measured, or what is missing, only. The missing wedge is eroded, see `EROSION`.
    width
        Of the shells in cycles per voxel; one frequency step of the shortest axis if not given.
    device
        Where to work.

    Returns
    -------
    curve
        Up to 0.5 cycles per voxel.
    """
    if region != "all" and wedge is None:
        raise ValueError(f"the region {region!r} needs a wedge")
    first, second = as_pair(a, b, device)
    edges = shell_edges(width or 1 / min(first.shape))
    sums = region_sums(first, second, None if wedge is None else as_wedge(wedge), (region,), edges)[region]
    middles = ((edges[1:] + edges[:-1]) / 2).numpy()
    return ShellCorrelation(middles, np.where(sums.count > 0, sums.correlation, np.nan), sums.count)


@dataclass(frozen=True)
class ShellCorrelation:
    """Fourier shell correlation.

    Attributes
    ----------
    frequency
        `(shells,)` middles of the shells, in cycles per voxel.
    correlation
        `(shells,)`, NaN where a shell holds nothing of the region.
    count
        `(shells,)` components of the half spectrum.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    count: NDArray[np.int64]

    def crossing(self, threshold: float) -> float | None:
        """Frequency at which the curve first falls below a threshold, interpolated; None if it never does."""
        known = ~np.isnan(self.correlation)
        f, c = self.frequency[known], self.correlation[known]
        below = np.flatnonzero(c < threshold)
        if not below.size:
            return None
        i = int(below[0])
        return float(f[0] if i == 0 else f[i - 1] + (f[i] - f[i - 1]) * (c[i - 1] - threshold) / (c[i - 1] - c[i]))


@dataclass(frozen=True)
class RegionSums:
    """Sums over one region of Fourier space, by shell and over all of it.

    Attributes
    ----------
    power_a, power_b, cross
        `(shells,)` sums of `|A|^2`, `|B|^2` and `Re A B*`.
    count
        `(shells,)` components of the half spectrum.
    pearson
        Pearson correlation of the two volumes that the region alone makes, by Parseval's theorem.
    scale
        Least-squares factor from B to A, over the whole spectrum.
    """

    power_a: NDArray[np.float64]
    power_b: NDArray[np.float64]
    cross: NDArray[np.float64]
    count: NDArray[np.int64]
    pearson: float
    scale: float

    @property
    def correlation(self) -> NDArray[np.float64]:
        """`(shells,)` Fourier shell correlation."""
        return ratio(self.cross, np.sqrt(self.power_a * self.power_b))

    def mean(self, values: NDArray[np.float64], shells: slice) -> float:
        """Mean of what there is for each shell, over those that hold enough components; NaN if none does."""
        kept = values[shells][self.count[shells] >= FEWEST]
        return float(kept.mean()) if kept.size else float("nan")


def region_sums(
    a: Tensor, b: Tensor, wedge: Wedge | None, regions: tuple[Region, ...], edges: Tensor
) -> dict[Region, RegionSums]:
    """Sums over regions and shells of two volumes of one shape under a Hann window; `edges` bound the shells."""
    x, shells = a.shape[-1], len(edges) - 1
    first, second = _spectrum(a), _spectrum(b)
    kz, ky, kx = frequency_grid(a.shape, a.device, torch.float32 if a.device.type == "mps" else torch.float64)
    twice = hermitian_weights(x, a.device, kz.dtype)
    by_shell = {region: np.zeros((4, shells + 2)) for region in regions}
    over_all = {region: np.zeros(3) for region in regions}
    fit = np.zeros(2)
    for slab in z_slabs(a.shape):
        f, s, z = first[slab], second[slab], kz[slab]
        parts = [f.abs().square(), s.abs().square(), (f * s.conj()).real]
        fit += [float(parts[2].sum()), float(parts[1].sum())]
        shell = torch.bucketize((z * z + ky * ky + kx * kx).sqrt(), edges.to(kz), right=True)
        for region in regions:
            inside = _inside(region, wedge, z, ky, kx, EROSION / min(a.shape))
            weight = inside * twice  # Parseval; an inverse transform would differ a little at Nyquist along x
            over_all[region] += [float((part * weight).sum()) for part in parts]
            here = shell[inside]
            for row, part in enumerate([*parts, torch.ones_like(parts[0])]):
                by_shell[region][row] += torch.bincount(here, part[inside], minlength=shells + 2).double().cpu().numpy()
    results: dict[Region, RegionSums] = {}
    for region in regions:
        power_a, power_b, cross, count = by_shell[region][:, 1 : shells + 1]
        totals = over_all[region]
        results[region] = RegionSums(
            power_a,
            power_b,
            cross,
            count.astype(np.int64),
            float(ratio(totals[2:], np.sqrt(totals[:1] * totals[1:2]))[0]),
            float(ratio(fit[:1], fit[1:])[0]),
        )
    return results


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Their quotient, 0 where the denominator is: what holds nothing correlates with nothing."""
    return np.where(denominator > 0, numerator, 0) / np.where(denominator > 0, denominator, 1)


def as_wedge(wedge: Range) -> Wedge:
    """A wedge from what callers may say: itself, or its extreme tilts."""
    return wedge if isinstance(wedge, Wedge) else Wedge.binary(*wedge)


def _inside(region: Region, wedge: Wedge | None, kz: Tensor, ky: Tensor, kx: Tensor, far: float) -> Tensor:
    shape = torch.broadcast_shapes(kz.shape, ky.shape, kx.shape)
    if wedge is None or region == "all":
        return torch.ones(shape, dtype=torch.bool, device=kz.device)
    z, x = wedge.own_axes(kz, ky, kx)
    low, high = wedge.tilt_min, wedge.tilt_max
    inside = Wedge.binary(low, high).value(z, z, x) > 0.5
    if region == "missing":
        inside = ~inside
        for edge in np.deg2rad([low, high]):
            inside &= (z * float(np.cos(edge)) - x * float(np.sin(edge))).abs() > far
    return inside.expand(shape)


def _spectrum(volume: Tensor) -> Tensor:
    exact = volume.numel() <= _EXACT and volume.device.type != "mps"
    data = volume.to(torch.float64 if exact else torch.float32)
    windows = [torch.hann_window(n + 2, periodic=False, dtype=data.dtype, device=data.device)[1:-1] for n in data.shape]
    mean = torch.einsum("zyx,z,y,x->", data, *windows) / torch.stack([w.sum() for w in windows]).prod()
    data = (data - mean) * windows[0][:, None, None] * windows[1][:, None] * windows[2]
    spectrum: Tensor = torch.fft.rfftn(data)
    return spectrum
