"""Sums over shells of Fourier space, and the Fourier shell correlation that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.fourier import grids

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class CrossSums:
    """Sums over each shell of two spectra A and B.

    Attributes
    ----------
    power_a, power_b, cross
        `(shells,)` sums of `w |A|^2`, `w |B|^2` and `w Re(A B*)`, with `w` the weight of each component.
    count
        `(shells,)` sums of the weights.
    """

    power_a: Sums
    power_b: Sums
    cross: Sums
    count: Sums

    @property
    def correlation(self) -> Sums:
        """`(shells,)` Fourier shell correlation; 0 in shells where A or B has no power."""
        norm = np.sqrt(self.power_a * self.power_b)
        return np.divide(self.cross, norm, out=np.zeros_like(norm), where=norm > 0)


def cross_sums(first: Tensor, second: Tensor, weight: Tensor, distance: Tensor, edges: Tensor) -> CrossSums:
    """Sums over shells of the powers of two spectra and of their cross term.

    Parameters
    ----------
    first, second
        `(z, y, x // 2 + 1)` complex.
    weight
        Weight of each component: a mask, Hermitian weights, or their product. It broadcasts to the spectra.
    distance, edges
        See `shell_sums`.
    """
    parts = (first.abs().square(), second.abs().square(), (first * second.conj()).real)
    return CrossSums(*(shell_sums(part * weight, distance, edges).numpy() for part in (*parts, torch.ones(()))))


def shell_edges(width: float, stop: float = 0.5) -> Tensor:
    """`(shells + 1,)` float64 from 0 in steps of `width`, the last at or below `stop`, in cycles per voxel."""
    return torch.arange(int(stop / width + 1e-9) + 1, dtype=torch.float64) * width


def shell_sums(values: Tensor, distance: Tensor, edges: Tensor) -> Tensor:
    """Sum values over shells.

    Parameters
    ----------
    values
        Real or boolean; broadcasts to the shape of `distance`.
    distance
        `(z, y, x // 2 + 1)`, see `cryowae.fourier.grids.radius`.
    edges
        `(shells + 1,)` increasing; shell `i` holds `edges[i] <= distance < edges[i + 1]`. Values beyond the first and
        the last edge are left out.

    Returns
    -------
    sums
        `(shells,)` float64, on the CPU.
    """
    shells = len(edges) - 1
    total = torch.zeros(shells + 2, dtype=torch.float64)
    limits = edges.to(distance)
    rows = max(1, grids.SLAB // max(1, distance[0].numel()))
    for part, here in zip(values.expand(distance.shape).split(rows), distance.split(rows), strict=True):
        shell = torch.bucketize(here, limits, right=True).flatten()
        # MPS has no float64, and float32 is precise enough for the sums of one slab
        weights = part.flatten().float() if part.device.type == "mps" else part.flatten().double()
        total += torch.bincount(shell, weights=weights, minlength=shells + 2).double().cpu()
    return total[1 : shells + 1]
