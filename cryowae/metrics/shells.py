"""Fourier shell correlation of two volumes, inside and outside the missing wedge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.fourier.grids import Device, hermitian_weights, z_slabs
from cryowae.fourier.shells import shell_edges, shell_sums
from cryowae.metrics.regions import Range, Region, Spectra
from cryowae.metrics.voxels import Array, as_pair

FEWEST = 60
"""Shells with fewer components are left out of the means."""


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
        Only the components of this region count. The missing wedge is eroded, see `cryowae.metrics.regions`.
    width
        Of the shells in cycles per voxel; one frequency step of the shortest axis if not given.
    device
        Where to compute.

    Returns
    -------
    curve
        Up to 0.5 cycles per voxel.
    """
    if region != "all" and wedge is None:
        raise ValueError(f"the region {region!r} needs a wedge")
    first, second = as_pair(a, b, device)
    edges = shell_edges(width or 1 / min(first.shape))
    return region_sums(Spectra.of(first, second, wedge), (region,), edges)[region].curve()


@dataclass(frozen=True)
class ShellCorrelation:
    """Fourier shell correlation.

    Attributes
    ----------
    frequency
        `(shells,)` middles of the shells, in cycles per voxel.
    correlation
        `(shells,)`, NaN where a shell has no component in the region.
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
    """Sums over one region of Fourier space, by shell and over the whole region.

    Attributes
    ----------
    edges
        `(shells + 1,)` of the shells, in cycles per voxel.
    by_shell
        `(4, shells)` sums of `|A|^2`, `|B|^2`, `Re A B*` and 1 over the components of the half spectrum.
    over_all
        `(3,)` sums of the first three over all components of the region.
    scale
        Least-squares factor from B to A, over the whole spectrum.
    """

    edges: NDArray[np.float64]
    by_shell: NDArray[np.float64]
    over_all: NDArray[np.float64]
    scale: float

    @property
    def count(self) -> NDArray[np.int64]:
        """`(shells,)` components of the half spectrum."""
        count: NDArray[np.int64] = self.by_shell[3].astype(np.int64)
        return count

    @property
    def pearson(self) -> float:
        """Pearson correlation of the two volumes that the region alone makes, by Parseval's theorem."""
        return float(_correlation(self.over_all))

    @property
    def correlation(self) -> NDArray[np.float64]:
        """`(shells,)` Fourier shell correlation."""
        return _correlation(self.by_shell)

    @property
    def amplitude(self) -> NDArray[np.float64]:
        """`(shells,)` amplitude of B over that of A, after the least-squares fit; its square is the ratio of power."""
        return np.sqrt(_ratio(self.by_shell[1], self.by_shell[0])) * abs(self.scale)

    def curve(self, fewest: int = 1) -> ShellCorrelation:
        """The correlation by shell, NaN where a shell has fewer than `fewest` components."""
        correlation = np.where(self.count >= fewest, self.correlation, np.nan)
        return ShellCorrelation((self.edges[1:] + self.edges[:-1]) / 2, correlation, self.count)

    def mean(self, values: NDArray[np.float64], shells: slice) -> float:
        """Mean of one value per shell, over the shells that have enough components; NaN if none has."""
        kept = values[shells][self.count[shells] >= FEWEST]
        return float(kept.mean()) if kept.size else float("nan")


def region_sums(spectra: Spectra, regions: Sequence[Region], edges: Tensor) -> dict[Region, RegionSums]:
    """Sums over regions and shells of two volumes; `edges` bound the shells."""
    kz, ky, kx = spectra.grid()
    twice = hermitian_weights(spectra.shape[-1], kz.device, kz.dtype)
    by_shell = {region: torch.zeros(4, len(edges) - 1, dtype=torch.float64) for region in regions}
    over_all = {region: np.zeros(3) for region in regions}
    fit = np.zeros(2)
    for slab in z_slabs(spectra.shape):
        f, s, z = spectra.first[slab], spectra.second[slab], kz[slab]
        parts = [f.abs().square(), s.abs().square(), (f * s.conj()).real]
        fit += [float(parts[2].sum()), float(parts[1].sum())]
        distance = (z * z + ky * ky + kx * kx).sqrt()
        for region in regions:
            inside = spectra.inside(region, slab).to(kz.dtype)
            # Parseval's theorem; an inverse transform would differ a little at Nyquist along x
            over_all[region] += [float((part * inside * twice).sum()) for part in parts]
            counted = (*(part * inside for part in parts), inside)
            by_shell[region] += torch.stack([shell_sums(part, distance, edges) for part in counted])
    scale = float(_ratio(fit[0], fit[1]))
    return {r: RegionSums(edges.numpy(), by_shell[r].numpy(), over_all[r], scale) for r in regions}


def _correlation(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    power_a, power_b, cross = sums[:3]
    return _ratio(cross, np.sqrt(power_a * power_b))


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient; 0 where the denominator is 0: the correlation of an empty component is 0."""
    return np.where(denominator > 0, numerator, 0) / np.where(denominator > 0, denominator, 1)
