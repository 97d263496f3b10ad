"""Figures for a window: slices through a point, spectra and shell correlations of a volume's versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cryowae.report.correlations import FscCurve, correlation_axes
from cryowae.report.correlations import truth_curves as truth_curves
from cryowae.report.halves import draw_halves, halves_curves
from cryowae.report.slices import central_slices, comparison_greys, draw_slice
from cryowae.report.spectra import Comparison, draw_spectra
from cryowae.report.style import BLUE, ORANGE, SERIES, VERMILION, house_style, new_figure, outlined, place, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Volume = NDArray[Any]

_EDGE, _GAP, _HEAD = 0.1, 0.08, 0.24
_TALLEST = 6.0


@house_style()
def slices_panel(
    volumes: Mapping[str, Volume],
    centre: tuple[int, int, int],
    *,
    voxel_size: float,
    width: float = 4.4,
    upward: bool = False,
) -> Figure:
    """The three slices of each volume through one point, a column a volume, with the point marked.

    Parameters
    ----------
    volumes
        Name and `(z, y, x)`, of one shape. Grey limits are percentiles of the first, see `comparison_greys`.
    centre
        `(z, y, x)` of the point, in voxels.
    voxel_size
        Angstrom.
    width
        Inches.
    upward
        Draw the first row at the bottom, as in 3dmod; otherwise at the top, as in napari.
    """
    cuts = {name: central_slices(volume, centre=centre) for name, volume in volumes.items()}
    first, last = next(iter(cuts.values())), list(cuts.values())[-1]
    greys = comparison_greys(first, last)
    nz, ny, nx = first.extent
    column = (width - 2 * _EDGE - _GAP * (len(cuts) - 1)) / len(cuts)
    scale = min(column / nx, _TALLEST / (ny + nz))
    z, y, x = centre
    figure = new_figure(width, _HEAD + 2 * _GAP + scale * (ny + nz + (nz * nx / ny)) + _EDGE)
    for i, (name, cut) in enumerate(cuts.items()):
        left, top = _EDGE + i * (column + _GAP), _HEAD
        write(figure, left, 0.07, name, weight="bold", size=9)
        for plane, values, size, mark, inch in (
            ("xy", cut.xy, (nx, ny), (x, y), scale),
            ("xz", cut.xz, (nx, nz), (x, z), scale),
            ("yz", cut.yz.T, (ny, nz), (y, z), scale * (nx / ny)),  # drawn as wide as the others
        ):
            bar = voxel_size if i == 0 and plane == "xy" else None
            label, limits = f"{plane} {name}", (greys.low, greys.high)
            axes = draw_slice(figure, values, (left, top), size, inch, limits, label, bar, upward)
            for line, at in zip((axes.axvline, axes.axhline), mark, strict=True):
                line(at + 0.5, color="#FFD54F", linewidth=0.5, alpha=0.6)  # thin, so that the point stays visible
            outlined(axes, 0.02, 0.98, plane, transform=axes.transAxes, size=8, ha="left", va="top")
            top += size[1] * inch + _GAP
    return figure


@house_style()
def spectra_panel(comparison: Comparison, *, width: float = 4.4) -> Figure:
    """Power over kx and kz before and after, with a line at either extreme tilt, and the inferred share of it."""
    side = (width - 0.42 - 0.12 - 0.2) / 2
    figure = new_figure(width, 0.3 + side + 1.3)
    corners = [(0.42, 0.3), (0.42 + side + 0.2, 0.3)]
    draw_spectra(figure, comparison, ("before", "after"), corners, side)
    low, high = comparison.tilts
    lines = [
        f"Measured: left and right of the lines ({low:+.3g} to {high:+.3g}°);",
        "above and below them lies the missing wedge.",
        f"{comparison.inferred_share:.0%} of the power after lies in the wedge: inferred.",
        f"Correlation where it was measured: {comparison.measured_correlation:.2f}.",
    ]
    for i, line in enumerate(lines):
        write(figure, 0.12, 0.3 + side + 0.5 + 0.19 * i, line, size=8.5)
    return figure


@house_style()
def halves_panel(half1: Volume, half2: Volume, *, voxel_size: float, width: float = 4.4) -> Figure:
    """Fourier shell correlation of two halves of the input."""
    figure, axes = _fsc_panel(width, "FSC, halves of the input")
    draw_halves(axes, halves_curves(half1, half2), voxel_size)
    return figure


@house_style()
def truth_panel(curves: Sequence[FscCurve], *, voxel_size: float, width: float = 4.4) -> Figure:
    """Curves of `truth_curves`: solid in the measured region, dashed in the missing wedge."""
    colours = (ORANGE, BLUE, *(c for c in SERIES if c not in (ORANGE, BLUE, VERMILION)))
    figure, axes = _fsc_panel(width, "FSC, with the truth; dashed: in the missing wedge")
    correlation_axes(axes, voxel_size)
    for curve, colour in zip(curves, colours, strict=False):
        axes.plot(curve.frequency, curve.mean["measured"], color=colour, label=curve.name)
        axes.plot(curve.frequency, curve.mean["missing wedge"], color=colour, linestyle=(0, (3, 2)))
    axes.legend(loc="upper right")
    return figure


def _fsc_panel(width: float, title: str) -> tuple[Figure, Axes]:
    figure = new_figure(width, 3.1)
    axes = place(figure, 0.55, 0.3, width - 0.7, 2.2, label="fsc")
    axes.set_title(title)
    return figure, axes
