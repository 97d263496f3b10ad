"""How much each projection counts at each frequency before it is back-projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.config.scene import ReconstructionConfig

HANN, HAMMING = 0.5, 0.46
_RELAXATION = 0.03  # cycles per voxel


@dataclass(frozen=True)
class Filter:
    """Weighting of the projections before they are back-projected.

    Attributes
    ----------
    window
        Share `a` of a cosine window `1 - a + a cos(2 pi k)` on the weights: 0 for none, 0.46 for Hamming, 0.5 for
        Hann.
    falloff
        Frequency in cycles per voxel at which a Gaussian low-pass has fallen to `exp(-1/2)`; infinite for none.
    sirt
        Iterations that a SIRT-like filter imitates, 0 for none: the ramp times `1 - (1 - s / |k|)^n`, where
        `s` = 0.03 cycles per voxel is the relaxation (the form of IMOD's `-FakeSIRTiterations`).
    exact
        Weights that count the tilts which measured a component, in place of a ramp: right for irregular tilts too.
    """

    window: float = 0.0
    falloff: float = float("inf")
    sirt: int = 0
    exact: bool = False

    def response(self, width: int, device: torch.device | str = "cpu") -> Tensor:
        """`(width // 2 + 1,)`: gain of the ramp per rfft frequency of a padded detector row of `width` pixels."""
        return (_ramp(width) * self._damping(width)).float().to(device)

    def weights(self, angles: Sequence[float], depth: int, width: int, device: torch.device | str = "cpu") -> Tensor:
        """What every tilt is multiplied by before it is back-projected.

        A ramp counts a tilt with the angle that it stands for, in radians: half the gap to the next on either side
        (trapezoidal rule, the outermost with their only gap twice).

        Exact weights follow Harauz & van Heel (Optik 73, 146, 1986). A specimen of thickness `D` turns the plane of
        Fourier space that a tilt measures into a slab of thickness `1 / D`; the slab of tilt `j` overlaps the component
        `k` of tilt `i`, which lies `|k sin(t_i - t_j)|` from its middle, by the triangle `1 - D |k sin(t_i - t_j)|`.
        The weight is `1 / D` over the sum of the overlaps. Dense and even tilts make it the ramp times their angle;
        where tilts are missing, the lone ones count for no more than they measured.

        Parameters
        ----------
        angles
            Degrees, in increasing order, two or more.
        depth
            Thickness `D` of the specimen in voxels.
        width
            Pixels of a padded detector row.

        Returns
        -------
        weights
            `(tilts, width // 2 + 1)` float32 per rfft frequency.
        """
        t = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
        if self.exact:
            k = torch.fft.rfftfreq(width, dtype=torch.float64)
            base = torch.stack([1 / (1 - depth * k * (one - t).sin().abs()[:, None]).clamp(min=0).sum(0) for one in t])
            base = base / depth
        else:
            base = _spans(t)[:, None] * _ramp(width)
        return (base * self._damping(width)).float().to(device)

    def _damping(self, width: int) -> Tensor:
        k = torch.fft.rfftfreq(width, dtype=torch.float64)
        gain = torch.exp(-0.5 * (k / self.falloff) ** 2) * (1 - self.window + self.window * torch.cos(2 * torch.pi * k))
        if self.sirt > 0:
            share = (_RELAXATION / k.clamp(min=1 / width)).clamp(max=1.0)
            gain = gain * (1 - (1 - share) ** self.sirt)
        return gain


def filter_of(config: ReconstructionConfig) -> Filter:
    """The filter that a configuration names."""
    return Filter(
        window={"hann": HANN, "hamming": HAMMING}.get(config.filter, 0.0),
        falloff=config.falloff or float("inf"),
        sirt=config.sirt if config.filter == "sirt" else 0,
        exact=config.filter == "exact",
    )


def _ramp(width: int) -> Tensor:
    # the band-limited ramp sampled in real space keeps the mean right (Kak & Slaney 1988, eq. 3.61)
    n = torch.arange(width, dtype=torch.float64)
    n = torch.minimum(n, width - n)
    taps = torch.where(n % 2 == 1, -1.0 / (torch.pi * n.clamp(min=1)) ** 2, torch.zeros_like(n))
    taps[0] = 0.25
    ramp: Tensor = torch.fft.rfft(taps).real
    return ramp


def _spans(t: Tensor) -> Tensor:
    """The angle that each tilt stands for, in radians."""
    gaps = t.diff() / 2
    ends = torch.cat([gaps[:1], gaps, gaps[-1:]])
    return ends[1:] + ends[:-1]
