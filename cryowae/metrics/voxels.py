"""Metrics of voxels: correlation, signal-to-noise ratio, structural similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool3d

from cryowae.errors import TomogramError
from cryowae.fourier.grids import Device

Array = NDArray[Any] | Tensor


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


def as_pair(a: Array, b: Array, device: Device = "cpu", crop: int = 0) -> tuple[Tensor, Tensor]:
    """Two volumes of one shape, cropped, in floating point and on the device; raises `TomogramError` otherwise."""
    if tuple(a.shape) != tuple(b.shape) or a.ndim != 3:
        raise TomogramError(f"got volumes of {tuple(a.shape)} and {tuple(b.shape)} voxels, expected two of one shape")
    if min(a.shape) <= 2 * crop:
        raise TomogramError(f"got volumes of {tuple(a.shape)} voxels, expected more than {2 * crop} along every axis")
    inner = tuple(slice(crop, n - crop) for n in a.shape)
    first, second = (as_tensor(q[inner]).to(device) for q in (a, b))
    if not (bool(torch.isfinite(first).all()) and bool(torch.isfinite(second).all())):
        raise TomogramError("got volumes with NaN or infinite values, expected finite numbers: replace them first")
    return first, second


def as_numpy(values: Array) -> NDArray[Any]:
    """The same values on the CPU."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_tensor(values: Array) -> Tensor:
    """The same values in float32 or float64; nothing is copied if they are so already."""
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


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
