"""Power over kx and kz, summed over y: the plane that shows the wedge, and the share of power that was measured.

The wedge does not depend on ky. By Parseval's theorem a sum over the rows y of two-dimensional spectra is the sum over
ky of the three-dimensional one. A central block of bounded size is therefore enough, mapped or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.fourier.wedge import Wedge
from cryowae.report.style import FAINT, Limits, Point, Voxel, house_style, new_figure, outlined, place, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Volume = NDArray[Any]
Spectrum = NDArray[np.float64]
Mask = NDArray[np.bool_]

# voxels along z, y and x that are read at most
BLOCK = (256, 64, 256)

# powers of ten of the power that the colours span
DECADES = 5.0

_MARGIN = 2.0  # half width of a Hann window's main lobe, in frequency steps of the block


@dataclass(frozen=True)
class Comparison:
    """Spectra of one block before and after restoration.

    Attributes
    ----------
    before, after
        `(kz, kx)` mean power, shifted: zero frequency at `n // 2`.
    inferred_share
        Power of the result inside the wedge over its whole power, zero frequency left out; the wedge without a rim of
        two frequency steps, into which the Hann window spreads measured power.
    measured_correlation
        Correlation of result and input over the measured components, zero frequency left out.
    block
        `(z, y, x)` size of the block, in voxels.
    tilts
        Lowest and highest, degrees.
    """

    before: Spectrum
    after: Spectrum
    inferred_share: float
    measured_correlation: float
    block: Voxel
    tilts: tuple[float, float]


def compare_spectra(
    before: Volume, after: Volume, tilt_min: float, tilt_max: float, *, centre: Voxel | None = None
) -> Comparison:
    """Compare the central blocks of two volumes of the same shape, or those about another point.

    Parameters
    ----------
    before, after
        `(z, y, x)`, in memory or mapped; at most `BLOCK` voxels of each are read.
    tilt_min, tilt_max
        Extreme tilts in degrees; a component at tilt `t` lies on `kz = +tan(t) kx`.
    centre
        `(z, y, x)` voxel about which the block lies, as far as the volume reaches; its middle if not given.
    """
    block = block_about(before.shape, centre=centre)
    blocks = [np.array(volume[block], dtype=np.float32) for volume in (before, after)]
    z, y, x = blocks[0].shape
    old, new = map(_transform, blocks)
    parts = (np.abs(old) ** 2, np.abs(new) ** 2, (old * new.conj()).real)
    one, other, cross = (np.asarray(part.mean(axis=1, dtype=np.float64)) for part in parts)  # over the rows y
    measured, inferred = wedge_regions((z, x), tilt_min, tilt_max)
    some = np.ones((z, x), dtype=bool)
    some[z // 2, x // 2] = False
    both, tiny = measured & some, np.finfo(np.float64).tiny
    share = float(other[inferred].sum() / max(other[some].sum(), tiny))
    correlation = float(cross[both].sum() / max(np.sqrt(one[both].sum() * other[both].sum()), tiny))
    return Comparison(one, other, share, correlation, (z, y, x), (tilt_min, tilt_max))


def block_about(shape: tuple[int, ...], most: Voxel = BLOCK, centre: Voxel | None = None) -> tuple[slice, ...]:
    """Slices of the block of at most `most` voxels in the middle, or as near to a given centre as the volume allows."""
    middle = tuple(n // 2 for n in shape) if centre is None else centre
    parts = []
    for n, limit, here in zip(shape, most, middle, strict=True):
        size = min(n, limit)
        start = (n - size) // 2 if centre is None else min(max(here - size // 2, 0), n - size)
        parts.append(slice(start, start + size))
    return tuple(parts)


def wedge_regions(shape: tuple[int, int], tilt_min: float, tilt_max: float) -> tuple[Mask, Mask]:
    """Masks over shifted `(kz, kx)`: the measured region, and the wedge farther than two frequency steps from it."""
    wedge = Wedge.binary(tilt_min, tilt_max)
    kz, kx = (torch.fft.fftshift(torch.fft.fftfreq(n, dtype=torch.float64)) for n in shape)
    # the steps of the two axes differ when the block is not square
    missing = wedge.missing(kz[:, None], kz[:, None], kx, (_MARGIN / shape[0], _MARGIN / shape[1]))
    return wedge.value(kz[:, None], kz[:, None], kx).numpy() > 0.5, missing.numpy()


@house_style()
def spectra_panel(comparison: Comparison, *, width: float = 4.4) -> Figure:
    """Power over kx and kz before and after with lines at the extreme tilts, and the inferred share, for a window."""
    side = (width - 0.42 - 0.12 - 0.2) / 2
    figure = new_figure(width, 0.3 + side + 1.3)
    draw_spectra(figure, comparison, ("before", "after"), (0.42, 0.3), side, 0.2, colour_limits(comparison.before))
    low, high = comparison.tilts
    lines = [
        f"Measured: left and right of the lines ({low:+.3g} to {high:+.3g}°);",
        "above and below them: the missing wedge.",
        f"{comparison.inferred_share:.0%} of the power after is in the wedge: not measured.",
        f"The rest is denoised; its correlation with the input is {comparison.measured_correlation:.2f}.",
    ]
    for i, line in enumerate(lines):
        write(figure, 0.12, 0.3 + side + 0.5 + 0.19 * i, line, size=8.5)
    return figure


def colour_limits(power: Spectrum) -> tuple[float, float]:
    """Limits of log10 power: `DECADES` down from nearly the strongest component."""
    top = float(np.log10(max(float(np.percentile(power, 99.5)), 1e-200)))
    return top - DECADES, top


def draw_spectra(
    figure: Figure, comparison: Comparison, names: Sequence[str], corner: Point, side: float, gap: float, limits: Limits
) -> None:
    """Draw both spectra of a comparison on one logarithmic scale, with a line at each extreme tilt.

    Parameters
    ----------
    names
        Names of the two sides.
    corner
        Upper left corner of the first spectrum.
    side, gap
        Inches: of each, and between the two.
    limits
        See `colour_limits`.
    """
    low, high = limits
    for i, (name, power) in enumerate(zip(names, (comparison.before, comparison.after), strict=True)):
        axes = place(figure, corner[0] + i * (side + gap), corner[1], side, side, label=f"spectrum {name}")
        nz, nx = power.shape
        whole = np.pad(power, [(0, 1 - nz % 2), (0, 1 - nx % 2)], mode="wrap")  # minus Nyquist is also plus Nyquist
        across, up = ((n // 2 + 0.5) / n for n in (nx, nz))
        look: dict[str, Any] = {"cmap": "magma", "aspect": "auto", "interpolation": "bilinear"}
        logarithm = np.log10(np.maximum(whole, 10.0 ** (low - 1)))
        axes.imshow(logarithm, clim=(low, high), extent=(-across, across, -up, up), **look)
        outlined(axes, -0.48, -0.47, f"log scale, {high - low:g} decades", size=7)
        marks = ["-½", "0", "½"]
        axes.set(xlim=(-0.5, 0.5), ylim=(-0.5, 0.5))
        axes.set_xticks([-0.5, 0, 0.5], marks)
        axes.set_yticks([-0.5, 0, 0.5], marks if i == 0 else [""] * 3)
        axes.tick_params(length=2, pad=2)
        axes.set_xlabel("$k_x$, cycles per voxel", labelpad=1, color=FAINT)
        if i == 0:
            axes.set_ylabel("$k_z$", labelpad=-3, color=FAINT)
        axes.spines[:].set_visible(False)
        axes.set_title(f"power, {name}", pad=5)
        for tilt in comparison.tilts:
            kx, kz = line_ends(tilt)
            axes.plot([-kx, kx], [-kz, kz], "w", linewidth=1.0, linestyle=(0, (4, 3)), label=f"tilt {tilt:g}")


def line_ends(tilt: float) -> tuple[float, float]:
    """`(kx, kz)` where the line `kz = tan(tilt) kx` leaves the square of half a cycle per voxel."""
    angle = np.deg2rad(tilt)
    kx, kz = np.cos(angle), np.sin(angle)
    reach = 0.5 / max(abs(kx), abs(kz))
    return float(kx * reach), float(kz * reach)


def _transform(block: NDArray[np.float32]) -> NDArray[np.complex64]:
    z, _, x = block.shape
    taper = (np.hanning(z + 2)[1:-1, None, None] * np.hanning(x + 2)[1:-1]).astype(np.float32)
    mean = float(np.mean(block * taper) / np.mean(taper))
    spectrum = np.fft.fft2((block - mean) * taper, axes=(0, 2))
    return np.fft.fftshift(spectrum, axes=(0, 2)).astype(np.complex64)
