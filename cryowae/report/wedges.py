"""What cutting a wedge did to a volume: both power spectra, and the slices in which it is seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cryowae.report.slices import central_slices, grey_limits, scale_bar, show
from cryowae.report.spectra import colour_limits, compare_spectra, draw_spectrum
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, place, save, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE = 0.12
_GAP = 0.3
_SIZE = 3.2
_TALLEST = 4.4


def draw_wedge(
    path: str | Path,
    before: NDArray[Any],
    after: NDArray[Any],
    tilts: tuple[float, float],
    *,
    voxel_size: float,
    title: str = "",
    note: str = "",
) -> Path:
    """Draw a volume before and after the wedge was cut: power over kx and kz with the extreme tilts, and xz slices.

    Parameters
    ----------
    path
        Where the PNG goes; an existing file is replaced.
    before, after
        `(z, y, x)`, in memory or mapped; a slice and the central block of each are read.
    tilts
        Lowest and highest, degrees.
    voxel_size
        Angstrom.
    title, note
        Heading, and what is written beneath.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    return save(wedge_figure(before, after, tilts, voxel_size, title, note), path)


def wedge_figure(
    before: NDArray[Any],
    after: NDArray[Any],
    tilts: tuple[float, float],
    voxel_size: float,
    title: str = "",
    note: str = "",
) -> Figure:
    """The figure that `draw_wedge` writes: one scale of colours for both, but each side its own greys.

    Noise, if some was added, would have no shade left on the scale of a volume without.
    """
    comparison = compare_spectra(before, after, *tilts)
    slices = [central_slices(volume) for volume in (before, after)]
    nz, _, nx = slices[0].extent
    column = (WIDTH - 2 * _EDGE - _GAP) / 2
    scale = min(column / nx, _TALLEST / nz)  # inches per voxel
    colours = max(colour_limits(power) for power in (comparison.before, comparison.after))
    upper = _EDGE + (0.3 if title else 0.0) + 0.2
    lower = upper + _SIZE + 0.72
    with house_style():
        figure = new_figure(WIDTH, lower + nz * scale + 0.32)
        if title:
            write(figure, _EDGE, _EDGE, title[:85], size=11, weight="bold")
        powers = (comparison.before, comparison.after)
        for i, (name, power, one) in enumerate(zip(("before", "after"), powers, slices, strict=True)):
            left = _EDGE + i * (column + _GAP)
            axes = place(figure, left + 0.35, upper, _SIZE, _SIZE, label=f"spectrum {name}")
            draw_spectrum(axes, power, colours, tilts, f"power, {name}", labelled=i == 0)
            write(figure, left, lower - 0.06, f"xz, {name}", va="baseline", size=9.5)
            axes = place(figure, left, lower, nx * scale, nz * scale, label=f"xz {name}")
            limits = grey_limits(one, one)
            show(axes, one.xz, (nx, nz), (limits.low, limits.high))
            if i == 0:
                scale_bar(axes, voxel_size, scale)
        words = ["left and right of the lines: measured", "each slice has its own greys"]
        write(figure, _EDGE, lower + nz * scale + 0.1, "; ".join([note, *words][not note :]), size=8, color=FAINT)
    return figure
