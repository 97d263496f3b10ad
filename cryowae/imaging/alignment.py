"""Raw images of a tilt series resampled so that the tilt axis is y and passes through the middle."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, spline_filter
from torch import Tensor

from cryowae.fourier.resampling import fourier_resample

Array = NDArray[np.float64]

_MARGIN = 8  # pixels of the result that are mirrored at the edges and faded, against wrap-around
_FINER = 2  # the error of a cubic spline at Nyquist is 1.5 % on a grid twice as fine, 50 % on the original grid


def aligned_shape(shape: tuple[int, int], matrix: Array, factor: int = 1) -> tuple[int, int]:
    """`(y, x)` of the aligned and binned images of raw ones `(y, x)`: as wide, or as high, if the axis lies along x."""
    y, x = shape
    if np.abs(matrix[:, 0, 1]).mean() > np.abs(matrix[:, 0, 0]).mean():
        y, x = x, y
    return y // factor, x // factor


def align_image(image: Tensor, matrix: Array, shift: Array, shape: tuple[int, int], factor: int = 1) -> Tensor:
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
        Raw pixels along the edge of a pixel of the result: the image is binned by cropping its spectrum, which avoids
        aliasing.

    Returns
    -------
    aligned
        `(*shape,)`; pixels outside the raw image have its mean.
    """
    mean = float(image.mean())
    fine, first = _finer(image - mean, factor)
    turn = matrix[::-1, ::-1]  # acts on (y, x)
    middle, target = (np.array(image.shape) - 1) / 2, (np.array(shape) - 1) / 2
    origin = middle + shift[::-1] - factor * turn @ target  # where the first pixel of the result lies in the raw image
    # cropping or padding a spectrum keeps the faces in place: index + 1/2 is multiplied by the scale
    start = (origin + 0.5 - first) * _FINER / factor - 0.5
    spline = spline_filter(fine.numpy(), order=3, output=np.float32)
    sampled = affine_transform(spline, _FINER * turn, start, shape, output=np.float32, order=3, prefilter=False)
    rows, columns = (factor * np.arange(n) for n in shape)
    for axis, n in enumerate(image.shape):
        raw = origin[axis] + turn[axis, 0] * rows[:, None] + turn[axis, 1] * columns
        sampled[(raw < -0.5) | (raw > n - 0.5)] = 0
    return torch.from_numpy(sampled + np.float32(mean))


def _finer(image: Tensor, factor: int) -> tuple[Tensor, tuple[int, int]]:
    """The image, binned by `factor`, on a grid `_FINER` times finer; and the raw `(y, x)` of its first pixel."""
    befores = [min(_MARGIN * factor, (n - 1) // 2) for n in image.shape]
    pads = [(m, m + -(n + 2 * m) % factor) for n, m in zip(image.shape, befores, strict=True)]
    (top, bottom), (left, right) = pads
    padded = torch.nn.functional.pad(image[None], (left, right, top, bottom), "reflect")
    padded = padded * _fade(image.shape[0], *pads[0])[:, None] * _fade(image.shape[1], *pads[1])
    coarse = [n // factor for n in padded.shape[1:]]
    binned = fourier_resample(padded, (1, *coarse)) if factor > 1 else padded
    return fourier_resample(binned, (1, *(_FINER * n for n in coarse)))[0], (-top, -left)


def _fade(n: int, before: int, after: int) -> Tensor:
    """1 over the `n` pixels of the image, falling to 0 by half a cosine over those before and after it."""
    rise, fall = (torch.sin(torch.pi / 2 * torch.arange(m) / m) ** 2 for m in (before, after))
    return torch.cat([rise, torch.ones(n), fall.flip(0)])
