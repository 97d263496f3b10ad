"""A volume before and after its wedge was cut: both power spectra, and the slices that show the effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cryowae.report.slices import central_slices, comparison_greys, draw_slice
from cryowae.report.spectra import colour_limits, compare_spectra, draw_spectra
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, to_png, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE = 0.12
_GAP = 0.3
_SIZE = 3.2
_TALLEST = 4.4


@house_style()
def wedge_figure(
    before: NDArray[Any],
    after: NDArray[Any],
    tilts: tuple[float, float],
    voxel_size: float,
    title: str = "",
    note: str = "",
) -> Figure:
    """A volume before and after the wedge was cut: power over kx and kz with the extreme tilts, and xz slices.

    Both spectra have one scale of colours. Each slice has its own grey limits: noise, if some was added, would have no
    contrast with the limits of a volume without noise.

    Parameters
    ----------
    before, after
        `(z, y, x)`, in memory or mapped; a slice and the central block of each are read.
    tilts
        Lowest and highest, degrees.
    voxel_size
        Angstrom.
    title, note
        Heading, and what is written beneath.
    """
    comparison = compare_spectra(before, after, *tilts)
    slices = [central_slices(volume) for volume in (before, after)]
    nz, _, nx = slices[0].extent
    column = (WIDTH - 2 * _EDGE - _GAP) / 2
    scale = min(column / nx, _TALLEST / nz)  # inches per voxel
    upper = _EDGE + (0.3 if title else 0.0) + 0.2
    lower = upper + _SIZE + 0.72
    lefts = [_EDGE, _EDGE + column + _GAP]
    names = ("before", "after")
    figure = new_figure(WIDTH, lower + nz * scale + 0.32)
    write(figure, _EDGE, _EDGE, title[:85], size=11, weight="bold")
    colours = max(colour_limits(power) for power in (comparison.before, comparison.after))
    draw_spectra(figure, comparison, names, [(left + 0.35, upper) for left in lefts], _SIZE, colours)
    for name, one, left in zip(names, slices, lefts, strict=True):
        write(figure, left, lower - 0.06, f"xz, {name}", va="baseline", size=9.5)
        greys, bar = comparison_greys(one, one), voxel_size if name == "before" else None
        draw_slice(figure, one.xz, (left, lower), (nx, nz), scale, (greys.low, greys.high), f"xz {name}", bar)
    words = [note, "left and right of the lines: measured", "each slice has its own greys"]
    write(figure, _EDGE, lower + nz * scale + 0.1, "; ".join(filter(None, words)), size=8, color=FAINT)
    return figure


draw_wedge = to_png(wedge_figure)
