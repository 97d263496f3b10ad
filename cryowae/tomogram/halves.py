"""Halves of a tomogram: one scale for both, and the check that they are two measurements of one specimen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.header import MrcHeader
from cryowae.io.mrc import MrcVolume
from cryowae.tomogram.content import Content, content_of, middle_of
from cryowae.tomogram.spectrum import CENTRES, half_spectra, shell_power
from cryowae.tomogram.volumes import Rescaled, Volume

_SIZE_TOLERANCE = 0.01  # headers round voxel sizes
_LONGEST = 128  # voxels along each edge of the block that is compared
_BAND = (0.02, 0.25)  # cycles per voxel: where molecules have their power, without the faces of the volume
_CLEAR = 8.0  # ratio of signal to noise over the root of the components of a shell, as in fit.physics
_LEAST_WEIGHT = 0.02  # of a shell without signal
_ROUNDING = 1e-6  # of the largest power: below it, a shell may be rounding errors
_WINDOW = 1.944**3  # components that one independent value fills under a Hann window along three axes
_SIGNIFICANT = 5.0  # z-score
_SAME = 0.995  # correlation; of halves with independent noise, none that we simulated had more
_SHARED = 0.5  # the same, from which a warning is given; independent noise has about 0 in the finest shells
_CLIP = 5.0  # standard deviations; beads would dominate
_EXPECTED = 0.05  # correlation that the power of both halves predicts, above which its lack is an error
_SHARE = 0.2  # of the expected correlation, below which halves do not show the same


@dataclass(frozen=True)
class HalvesAgreement:
    """How two volumes agree over the measured components from 0.02 to 0.25 cycles per voxel.

    Attributes
    ----------
    correlation
        Mean correlation of shells, each weighted by its number of components.
    z
        The same, weighted also by the expected signal, over its standard error for independent noise.
    least
        Least correlation of a shell with power, up to Nyquist.
    expected
        Correlation that the spectral signal-to-noise ratios of the single volumes predict.
    """

    correlation: float
    z: float
    least: float
    expected: float


def matched(half1: Volume, half2: Volume, names: Sequence[str] = ("half 1", "half 2")) -> tuple[Volume, Volume]:
    """Both halves with the mean and the standard deviation of the first.

    Programs write sums in place of means, or scale each volume by itself.

    Raises
    ------
    TomogramError
        If a half is constant, or has NaN or infinite values.
    """
    one, two = (content_of(half, name).statistics for half, name in zip((half1, half2), names, strict=True))
    factor = one.sigma / two.sigma
    offset = one.mean - factor * two.mean
    if abs(factor - 1) < 1e-6 and abs(offset) < 1e-6 * one.sigma:
        return half1, half2
    return half1, Rescaled(half2, factor, offset)


def compare_halves(half1: Volume | Content, half2: Volume | Content, wedge: Wedge | None = None) -> HalvesAgreement:
    """Compare two volumes in the middle of their content.

    Each shell is normalised by itself, so that filters and scale cancel. For independent noise, a correlation over `n`
    independent components has the standard error `1 / sqrt(n)`, where a component and its conjugate count as two
    (van Heel and Schatz 2005, J. Struct. Biol. 151, 250).

    Parameters
    ----------
    half1, half2
        `(z, y, x)` of one shape.
    wedge
        The measured region; all components if not given.
    """
    contents = content_of(half1), content_of(half2)
    blocks = [_block(content, contents[0]) for content in contents]
    sums = half_spectra(blocks[0], blocks[1], wedge or Wedge.binary(-89, 89))
    power = np.minimum(sums.power_a, sums.power_b)
    there = (sums.count > 0) & (power > _ROUNDING * power.max())
    used = there & (_BAND[0] <= CENTRES) & (_BAND[1] > CENTRES)
    if not used.any():
        return HalvesAgreement(0.0, 0.0, 0.0, 0.0)
    r, n = sums.correlation[used], sums.count[used]
    # shells with signal decide; their weights do not depend on its sign
    weight, expected = _expected(blocks, wedge) if wedge is not None else (np.zeros(len(CENTRES)),) * 2
    weight, expected = n * (weight[used] + _LEAST_WEIGHT), expected[used]
    z = float((weight * r).sum() / np.sqrt((weight**2 / n).sum() * _WINDOW))
    total = float(n.sum())
    return HalvesAgreement(
        float((n * r).sum()) / total, z, float(sums.correlation[there].min()), float((n * expected).sum()) / total
    )


def check_halves(
    half1: Volume, half2: Volume, wedge: Wedge | None = None, names: Sequence[str] = ("half 1", "half 2")
) -> tuple[str, ...]:
    """Check that two halves are independent measurements of one specimen.

    Returns
    -------
    notes
        A warning if the halves are too noisy to tell, or share noise.

    Raises
    ------
    TomogramError
        If they are the same data, one of them is inverted, or they show signal that is not the same.
    """
    found = compare_halves(content_of(half1, names[0]), content_of(half2, names[1]), wedge)
    pair = f"{names[0]} and {names[1]}"
    figures = f"correlation {found.correlation:.3f}, z = {found.z:.1f}"
    if found.least > _SAME:
        raise TomogramError(
            f"{pair} are the same data (correlation {found.least:.4f} or more in every shell); expected halves with "
            "independent noise: is one file given twice?"
        )
    if found.z < -_SIGNIFICANT:
        raise TomogramError(
            f"{pair} have opposite signs ({figures}); expected two halves of one tomogram: multiply one of them by -1"
        )
    if found.expected > _EXPECTED and found.correlation < _SHARE * found.expected:
        lack = f"{figures}; {found.expected:.2f} expected from the signal in each"
        if found.z < _SIGNIFICANT:
            raise TomogramError(f"{pair} do not show the same ({lack}); expected two halves of one tomogram")
        return (f"{pair} correlate little ({lack}): are they low-passed, or not aligned with each other?",)
    if found.least > _SHARED:
        return (
            f"{pair} correlate in every shell, by {found.least:.2f} or more, so that they share noise: is one of them "
            "made from all of the data, or were they denoised?",
        )
    if found.z < _SIGNIFICANT:
        return (f"{pair} do not correlate ({figures}): they are noise alone, or not halves of one tomogram",)
    return ()


def require_related(tomogram: Volume, half: Volume, wedge: Wedge | None, names: Sequence[str]) -> tuple[str, ...]:
    """Check that a half belongs to a tomogram, whose name and header the result gets.

    They share data, so that they correlate unless they are of two specimens. Filters and signs may differ.

    Returns
    -------
    notes
        A warning if they do not correlate.

    Raises
    ------
    TomogramError
        If both have signal and it is not the same.
    """
    found = compare_halves(content_of(half, names[1]), content_of(tomogram, names[0]), wedge)
    figures = f"correlation {found.correlation:.3f}, z = {found.z:.1f}"
    if found.expected > _EXPECTED and abs(found.z) < _SIGNIFICANT:
        raise TomogramError(
            f"{names[0]} and its half {names[1]} do not show the same ({figures}); expected halves of this tomogram"
        )
    if found.z < _SIGNIFICANT:
        return (f"{names[0]} and its half {names[1]} do not correlate ({figures}): is it a half of this tomogram?",)
    return ()


def require_voxel_size(half: MrcVolume, expected: float, replaced: MrcHeader | None, tomogram: Path) -> None:
    """Refuse a half whose header states another voxel size than its tomogram has; 0 and 1 angstrom state none.

    Parameters
    ----------
    half
        The opened half.
    expected
        Voxel size of the tomogram, angstrom.
    replaced
        Header of the tomogram, if the user replaced its voxel size: that of the half is then as wrong.
    tomogram
        Its file, for the message.
    """
    stated, wrong = _stated_size(half.header), _stated_size(replaced) if replaced is not None else 0.0
    allowed = [size for size in (expected, wrong) if size > 0]
    if stated and min(abs(stated / size - 1) for size in allowed) > _SIZE_TOLERANCE:
        raise TomogramError(
            f"{half.path} has voxels of {stated:g} Å in its header, expected {expected:g} Å as in {tomogram}: are they "
            "of one tomogram?"
        )


def _stated_size(header: MrcHeader) -> float:
    """Voxel size along x that a header states, angstrom; 0 if it states none."""
    size = float(header.record["cella"]["x"]) / max(1, int(header.record["mx"]))
    return size if np.isfinite(size) and size > 0 and abs(size - 1) > 1e-4 else 0.0


def _block(content: Content, first: Content) -> NDArray[np.float32]:
    mean, sigma = np.float32(content.statistics.mean), np.float32(content.statistics.sigma)
    block = (content[middle_of(first.box, _LONGEST)] - mean) / sigma
    return np.asarray(np.clip(block, -_CLIP, _CLIP), np.float32)


def _expected(blocks: Sequence[NDArray[np.float32]], wedge: Wedge) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(32,)` `sqrt(F1 F2)` with `F = S / (S + N)`, from the power of each half and of its noise.

    The second array is 0 in shells without significant signal in both.
    """
    shares, clear = [], []
    for shells in (shell_power(block, wedge) for block in blocks):
        ratio = np.clip(shells.snr, 0, None)
        shares.append(ratio / (1 + ratio))
        clear.append(ratio > _CLEAR / np.sqrt(np.maximum(shells.count, 1)))
    share: NDArray[np.float64] = np.sqrt(np.prod(shares, axis=0))
    return share, np.where(np.all(clear, axis=0), share, 0)
