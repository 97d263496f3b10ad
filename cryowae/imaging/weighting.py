"""The weight of each projection at each frequency, applied before back-projection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cryowae.config.scene import ReconstructionConfig

_WINDOWS = {"hann": 0.5, "hamming": 0.46}  # share `a` of the cosine window `1 - a + a cos(2 pi k)`
_RELAXATION = 0.03  # cycles per voxel


def projection_weights(config: ReconstructionConfig, angles: Sequence[float], depth: int, width: int) -> Tensor:
    """Factors of every tilt before it is back-projected.

    A ramp counts a tilt with the angle that it represents, in radians: half the gap to the next tilt on either side
    (trapezoidal rule, the outermost with their only gap twice). `hann` and `hamming` are cosine windows on the ramp. A
    SIRT-like filter is the ramp times `1 - (1 - s / |k|)^n` for `n` iterations, with the relaxation `s` = 0.03 cycles
    per voxel (the form of IMOD's `-FakeSIRTiterations`).

    Exact weights follow Harauz & van Heel (Optik 73, 146, 1986). They are right for irregular tilts too. A specimen of
    thickness `D` turns the plane of Fourier space that a tilt measures into a slab of thickness `1 / D`; the slab of
    tilt `j` overlaps the component `k` of tilt `i`, which lies `|k sin(t_i - t_j)|` from its middle, by the triangle
    `1 - D |k sin(t_i - t_j)|`. The weight is `1 / D` over the sum of the overlaps. For dense and even tilts this is the
    ramp times their angle; where tilts are missing, the lone ones count for no more than they measured.

    Parameters
    ----------
    config
        Its filter, iterations and fall-off.
    angles
        Degrees, in increasing order, two or more.
    depth
        Thickness `D` of the specimen in voxels.
    width
        Pixels of a padded detector row.

    Returns
    -------
    weights
        `(tilts, width // 2 + 1)` float32 per rfft frequency, on the CPU.
    """
    t = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
    k = torch.fft.rfftfreq(width, dtype=torch.float64)
    if config.filter == "exact":
        overlaps = [(1 - depth * k * (one - t).sin().abs()[:, None]).clamp(min=0).sum(0) for one in t]
        weights = 1 / torch.stack(overlaps) / depth
    else:
        weights = _spans(t)[:, None] * _ramp(width)
    window = _WINDOWS.get(config.filter, 0.0)
    gain = torch.exp(-0.5 * (k / (config.falloff or torch.inf)) ** 2)
    gain = gain * (1 - window + window * torch.cos(2 * torch.pi * k))
    if config.filter == "sirt":
        share = (_RELAXATION / k.clamp(min=1 / width)).clamp(max=1.0)
        gain = gain * (1 - (1 - share) ** config.sirt)
    return (weights * gain).float()


def _ramp(width: int) -> Tensor:
    # the band-limited ramp sampled in real space keeps the mean right (Kak & Slaney 1988, eq. 3.61)
    n = torch.arange(width, dtype=torch.float64)
    n = torch.minimum(n, width - n)
    taps = torch.where(n % 2 == 1, -1.0 / (torch.pi * n.clamp(min=1)) ** 2, torch.zeros_like(n))
    taps[0] = 0.25
    ramp: Tensor = torch.fft.rfft(taps).real
    return ramp


def _spans(t: Tensor) -> Tensor:
    """The angle that each tilt represents, in radians."""
    gaps = t.diff() / 2
    ends = torch.cat([gaps[:1], gaps, gaps[-1:]])
    return ends[1:] + ends[:-1]
