"""Density of points: atomic models and invented molecules, which are lists of points, become volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn


def density_of_points(
    points: NDArray[np.floating], weights: NDArray[np.floating], voxel_size: float, resolution: float | None = None
) -> NDArray[np.float32]:
    """Density of Gaussian points, alias-free: drawn at twice the sampling, smoothed and cropped in Fourier space.

    Parameters
    ----------
    points
        `(n, 3)` positions `(z, y, x)` in angstrom, about the origin.
    weights
        `(n,)` integral of each point's density, in cubic angstrom of protein.
    voxel_size
        Angstrom.
    resolution
        Angstrom, two voxels by default; the Gaussian has the sigma `0.225 * resolution` that ChimeraX `molmap` takes.

    Returns
    -------
    density
        `(n, n, n)`, n odd, the origin at its centre.
    """
    sigma = 0.225 * (2 * voxel_size if resolution is None else resolution)
    reach = (np.abs(points).max(initial=0.0) + 4 * sigma) / voxel_size
    n = 2 * int(np.ceil(reach)) + 3
    while next_fast_len(n, real=True) != n:
        n += 2
    fine = 2 * n
    # coarse voxel i lies on fine voxel 2 i, so the coarse centre (n - 1) / 2 is the fine voxel n - 1
    at = np.asarray(points, dtype=np.float32) * (2 / voxel_size) + (n - 1)
    low = np.floor(at).astype(np.int64)
    part = at - low
    canvas = np.zeros(fine**3, dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(corner, part, 1 - part), axis=1) * weights
        index = np.ravel_multi_index(tuple((low + corner).T), (fine, fine, fine))
        canvas += np.bincount(index, share, minlength=fine**3).astype(np.float32)
    canvas *= (2 / voxel_size) ** 3
    spectrum = rfftn(canvas.reshape(fine, fine, fine))
    keep = np.r_[0 : (n + 1) // 2, fine - n // 2 : fine]
    spectrum = spectrum[keep][:, keep][:, :, : n // 2 + 1]
    full = np.fft.fftfreq(n).astype(np.float32)
    gains = []
    for k in (full, full, full[: n // 2 + 1]):  # cycles per coarse voxel; the linear splat is divided out
        gains.append(np.exp(-2 * (np.pi * sigma / voxel_size * k) ** 2) / np.sinc(k / 2) ** 2)
    spectrum = spectrum * gains[0][:, None, None] * gains[1][:, None] * gains[2]
    return np.asarray(irfftn(spectrum, (n, n, n)) / 8, dtype=np.float32)
