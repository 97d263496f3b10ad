"""Raw images of a tilt series brought onto the grid in which the tilt axis is y and passes through the middle."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cryowae.physics.fourier import fourier_resample

_MARGIN = 8  # pixels of the result that are mirrored at the edges, so that opposite edges do not meet
_FINER = 2  # the image is interpolated on a finer grid, where a cubic does little harm


def aligned_shape(shape: tuple[int, int], matrix: NDArray[np.float64], factor: int = 1) -> tuple[int, int]:
    """`(y, x)` of the aligned and binned images of raw ones `(y, x)`: as wide, or as high, if the axis lies along x."""
    y, x = shape
    if np.abs(matrix[:, 0, 1]).mean() > np.abs(matrix[:, 0, 0]).mean():
        y, x = x, y
    return y // factor, x // factor


def align_image(
    image: Tensor, matrix: NDArray[np.float64], shift: NDArray[np.float64], shape: tuple[int, int], factor: int = 1
) -> Tensor:
    """Resample one image of a tilt series.

    Parameters
    ----------
    image
        `(y, x)` raw, float32.
    matrix, shift
        `(2, 2)` and `(2,)`: a point of the aligned image lies at `matrix @ point + shift` in the raw one, `(x, y)` from
        the middle, in raw pixels.
    shape
        `(y, x)` of the result, about the same middle.
    factor
        Raw pixels along the edge of one of the result: the image is binned by cropping its spectrum, so that nothing
        is folded back.

    Returns
    -------
    aligned
        `(*shape,)`; what lies outside the raw image is its mean.
    """
    mean = image.mean()
    y, x = image.shape
    fine, first = _finer(image - mean, factor)
    m, d = (torch.as_tensor(a, dtype=torch.float64, device=image.device) for a in (matrix, shift))
    v = (torch.arange(shape[0], dtype=torch.float64, device=image.device) - (shape[0] - 1) / 2) * factor
    u = (torch.arange(shape[1], dtype=torch.float64, device=image.device) - (shape[1] - 1) / 2) * factor
    raw_x = m[0, 0] * u + m[0, 1] * v[:, None] + d[0] + (x - 1) / 2
    raw_y = m[1, 0] * u + m[1, 1] * v[:, None] + d[1] + (y - 1) / 2
    inside = (raw_x >= -0.5) & (raw_x <= x - 0.5) & (raw_y >= -0.5) & (raw_y <= y - 0.5)
    # faces stay where they are when a spectrum is cropped: index i + 1/2 scales; grid_sample counts faces from -1 to 1
    scale = _FINER / factor
    grid = [
        2 * scale * (raw + 0.5 - start) / n - 1
        for raw, start, n in zip((raw_x, raw_y), first, reversed(fine.shape), strict=True)
    ]
    where = torch.stack(grid, dim=-1).float()
    sampled = F.grid_sample(fine[None, None], where[None], "bicubic", "border", align_corners=False)[0, 0]
    return torch.where(inside, sampled, 0.0) + mean


def _finer(image: Tensor, factor: int) -> tuple[Tensor, tuple[int, int]]:
    """The image with what `factor` can hold, on a grid `_FINER` times finer; and the raw `(x, y)` at which it begins."""
    pads = []
    for n in image.shape:
        before = min(_MARGIN * factor, (n - 1) // 2)
        pads.append((before, before + -(n + 2 * before) % factor))
    (top, bottom), (left, right) = pads
    padded = F.pad(image[None], (left, right, top, bottom), "reflect")
    coarse = [n // factor for n in padded.shape[1:]]
    binned = fourier_resample(padded, (1, *coarse)) if factor > 1 else padded
    return fourier_resample(binned, (1, *(_FINER * n for n in coarse)))[0], (-left, -top)
