"""Agreement of predicted and real images by rings of Fourier space, and of volumes by shells, in a few bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

Values = NDArray[np.float64]

BANDS = (0.01, 0.05, 0.10, 0.20)
"""Edges of the three bands in cycles per voxel: background and membranes, large molecules, finer detail."""

LOW_PASS = 2.5
"""Standard deviation in pixels of the Gaussian low-pass before a Pearson correlation; half power near 0.05."""

_STEP = 0.02  # cycles per voxel, the width of the rings of the curve
_SMOOTH, _SIGMAS, _GROWN = 1.0, 5.0, 3  # pixels, robust standard deviations, pixels
_AROUND = 8.0  # pixels


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of one volume with data that it was not made from.

    Attributes
    ----------
    name
        Name of the volume: `input`, `Gaussian`, or a restoration.
    bands
        `(units, 3)` correlation in `BANDS`, one row a unit: an image, or a block of a volume.
    curve
        `(units, rings)` correlation in narrow rings, NaN where a ring is empty; see `curve_edges`.
    smooth
        `(units,)` correlation of the coarse part: after a low-pass, or below 0.10 cycles per voxel.
    chance
        `(draws, 3)` mean over the units in `BANDS` with data that do not belong to them: shifted images, or blocks in
        another order.
    swapped
        `(3,)` mean over all pairs of units of different number.
    """

    name: str
    bands: Values
    curve: Values
    smooth: Values
    chance: Values
    swapped: Values


def curve_edges() -> Values:
    """`(rings + 1,)` edges of the rings of the curve, from 0 to 0.5 cycles per voxel."""
    return np.arange(round(0.5 / _STEP) + 1, dtype=np.float64) * _STEP


def ring_spectra(images: NDArray[np.float32]) -> NDArray[np.complex128]:
    """`(n, y, x // 2 + 1)` spectra of `(n, y, x)` images without their mean, under a Hann window along both axes."""
    down, across = (np.hanning(n + 2)[1:-1] for n in images.shape[1:])
    centred = images.astype(np.float64) - images.mean((1, 2), keepdims=True, dtype=np.float64)
    return np.fft.rfft2(centred * down[:, None] * across)


def ring_correlation(
    first: NDArray[np.complex128], second: NDArray[np.complex128], edges: Sequence[float] | Values, columns: int
) -> Values:
    """Fourier ring correlation of pairs of images (Saxton and Baumeister 1982, J. Microsc. 127, 127).

    Parameters
    ----------
    first, second
        `(n, y, x // 2 + 1)` spectra, see `ring_spectra`.
    edges
        `(rings + 1,)` increasing, cycles per voxel; a ring holds its lower edge and not its upper one.
    columns
        Pixels of the images along x.

    Returns
    -------
    correlation
        `(n, rings)`, NaN where a ring has no component. Every component of the half spectrum counts once.
    """
    rows, rings = first.shape[-2], len(edges) - 1
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)).ravel()
    ring = np.digitize(radius, edges) - 1
    used = np.flatnonzero((ring >= 0) & (ring < rings))
    index = ring[used]
    found = np.full((len(first), rings), np.nan)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        one, other = a.ravel()[used], b.ravel()[used]
        parts = (one * other.conj()).real, np.abs(one) ** 2, np.abs(other) ** 2
        cross, power, other_power = (np.bincount(index, part, rings) for part in parts)
        norm = np.sqrt(power * other_power)
        np.divide(cross, norm, out=found[i], where=norm > 0)
    return found


def smooth_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> Values:
    """`(n,)` Pearson correlation of pairs of `(n, y, x)` images after the Gaussian `LOW_PASS`; 0 for constant ones."""
    found = np.zeros(len(first))
    for i, pair in enumerate(zip(first, second, strict=True)):
        one, other = (gaussian_filter(image - image.mean(), LOW_PASS).ravel().astype(np.float64) for image in pair)
        if one.std() > 0 and other.std() > 0:
            found[i] = np.corrcoef(one, other)[0, 1]
    return found


def outlier_pixels(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Beads and contaminants of an image.

    Parameters
    ----------
    image
        `(y, x)`, or a volume `(z, y, x)`.

    Returns
    -------
    outliers
        Of the same shape: pixels whose difference from their surroundings, of Gaussian averages of one and of eight
        pixels, is more than five standard deviations (from the median absolute deviation); grown by three pixels. The
        surroundings are averaged twice, the second time without the outliers that were found first.
    """
    first = _far_pixels(image, image)
    return _far_pixels(image, replace_outliers(image[None], first[None])[0]) if first.any() else first


def replace_outliers(images: NDArray[np.float32], outliers: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`(n, ...)` images or volumes whose outliers have the local mean of the other pixels.

    The local mean is a Gaussian average of eight pixels, of the other pixels alone. With the mean of the whole image in
    their place, beads on a dark or bright background would leave discs.
    """
    replaced = images.copy()
    for image, wrong in zip(replaced, outliers, strict=True):
        if wrong.any() and not wrong.all():
            mean = image[~wrong].mean(dtype=np.float64)
            weight = gaussian_filter((~wrong).astype(np.float64), _AROUND)
            around = gaussian_filter(np.where(wrong, 0, image - mean).astype(np.float64), _AROUND)
            image[wrong] = (mean + around / np.maximum(weight, 1e-6))[wrong]
    return replaced


def _far_pixels(image: NDArray[np.float32], surroundings: NDArray[np.float32]) -> NDArray[np.bool_]:
    distance = gaussian_filter(image, _SMOOTH) - gaussian_filter(surroundings, _AROUND)
    distance = np.abs(distance - np.median(distance))
    found: NDArray[np.bool_] = distance > _SIGMAS * 1.4826 * np.median(distance)
    return binary_dilation(found, iterations=_GROWN) if found.any() else found
