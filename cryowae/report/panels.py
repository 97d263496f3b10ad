"""Small pictures for a window: slices through a point, spectra and shell correlations of a volume's versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.metrics import fsc
from cryowae.report.curves import HALVES_BLOCK, shell_correlation
from cryowae.report.fsc import FscCurve
from cryowae.report.slices import central_slices, grey_limits, scale_bar, show
from cryowae.report.spectra import Comparison, central_block, colour_limits, draw_spectrum
from cryowae.report.style import BLUE, FAINT, ORANGE, SERIES, VERMILION, house_style, new_figure, place, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Volume = NDArray[Any]
Point = tuple[int, int, int]

_EDGE, _GAP, _HEAD, _FOOT = 0.1, 0.08, 0.24, 0.42
_TALLEST = 6.0


def slices_panel(
    volumes: Mapping[str, Volume], centre: Point, *, voxel_size: float, width: float = 4.4, upward: bool = False
) -> Figure:
    """The three slices of each volume through one point, a column a volume, with the point marked.

    Parameters
    ----------
    volumes
        Name and `(z, y, x)`, of one shape. The greys are those of the first, as far as the last needs them.
    centre
        `(z, y, x)` of the point, in voxels.
    voxel_size
        Angstrom.
    width
        Inches.
    upward
        Draw the first row at the bottom, as 3dmod does; otherwise at the top, as napari does.
    """
    cuts = {name: central_slices(volume, centre=centre) for name, volume in volumes.items()}
    first, last = next(iter(cuts.values())), list(cuts.values())[-1]
    limits = grey_limits(first, last)
    nz, ny, nx = first.extent
    column = (width - 2 * _EDGE - _GAP * (len(cuts) - 1)) / len(cuts)
    scale = min(column / nx, _TALLEST / (ny + nz))
    inner = 2 * _GAP + scale * (ny + nz + (nz * nx / ny))
    z, y, x = centre
    with house_style():
        figure = new_figure(width, _HEAD + inner + _EDGE)
        for i, (name, cut) in enumerate(cuts.items()):
            left = _EDGE + i * (column + _GAP)
            write(figure, left, 0.07, name, weight="bold", size=9)
            shrink = nx / ny  # yz is drawn as wide as the others
            rows = (
                ("xy", cut.xy, (nx, ny), (x, y), scale),
                ("xz", cut.xz, (nx, nz), (x, z), scale),
                ("yz", cut.yz.T, (ny, nz), (y, z), scale * shrink),
            )
            top = _HEAD
            for plane, values, size, mark, inch in rows:
                axes = place(figure, left, top, size[0] * inch, size[1] * inch, label=f"{plane} {name}")
                show(axes, values, size, (limits.low, limits.high))
                if not upward:
                    axes.set_ylim(size[1], 0)
                _cross(axes, mark)
                _name(axes, plane)
                if i == 0 and plane == "xy":
                    scale_bar(axes, voxel_size, inch)
                top += size[1] * inch + _GAP
    return figure


def spectra_panel(comparison: Comparison, tilts: tuple[float, float], *, width: float = 4.4) -> Figure:
    """Power over kx and kz before and after, with a line at either extreme tilt, and what of it was inferred."""
    side = (width - 0.42 - 0.12 - 0.2) / 2
    colours = colour_limits(comparison.before)
    with house_style():
        figure = new_figure(width, 0.3 + side + 1.3)
        powers = (comparison.before, comparison.after)
        for i, (name, power) in enumerate(zip(("before", "after"), powers, strict=True)):
            axes = place(figure, 0.42 + i * (side + 0.2), 0.3, side, side, label=f"spectrum {name}")
            draw_spectrum(axes, power, colours, tilts, name, labelled=i == 0)
            axes.set_xlabel("$k_x$, cycles per voxel", labelpad=1, color=FAINT)
        low, high = tilts
        lines = [
            f"Measured: left and right of the lines ({low:+.3g} to {high:+.3g}°);",
            "above and below them lies the missing wedge.",
            f"{comparison.inferred_share:.0%} of the power after lies in the wedge: inferred.",
            f"Correlation where it was measured: {comparison.measured_correlation:.2f}.",
        ]
        for i, line in enumerate(lines):
            write(figure, 0.12, 0.3 + side + 0.5 + 0.19 * i, line, size=8.5)
    return figure


def halves_panel(half1: Volume, half2: Volume, *, voxel_size: float, width: float = 4.4) -> Figure:
    """Fourier shell correlation of two halves of the input."""
    frequency, correlation = shell_correlation(half1, half2)
    with house_style():
        figure, axes = _correlation_axes(width, voxel_size, "halves of the input")
        axes.axhline(0.143, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
        axes.text(0.495, 0.155, "0.143", color=FAINT, size=8, ha="right", va="bottom")
        axes.plot(frequency, correlation, color=BLUE)
        axes.set_ylim(min(-0.1, float(np.nanmin(correlation))), 1.02)
    return figure


def truth_curves(volumes: Mapping[str, Volume], truth: Volume, tilts: tuple[float, float]) -> list[FscCurve]:
    """Fourier shell correlation of volumes with their truth, where they were measured and in the missing wedge.

    Of the central `HALVES_BLOCK` voxels. The first volume is taken for the input.
    """
    block = central_block(truth.shape, HALVES_BLOCK)
    reference = np.array(truth[block], dtype=np.float32)
    width = max(1 / max(reference.shape), 0.02)
    curves = []
    for i, (name, volume) in enumerate(volumes.items()):
        values = np.array(volume[block], dtype=np.float32)
        measured = fsc(reference, values, tilts, "measured", width=width)
        missing = fsc(reference, values, tilts, "missing", width=width)
        means = {"measured": measured.correlation, "missing wedge": missing.correlation}
        curves.append(FscCurve(name, measured.frequency, means, kind="method" if i else "input"))
    return curves


def truth_panel(curves: Sequence[FscCurve], *, voxel_size: float, width: float = 4.4) -> Figure:
    """Curves of `truth_curves`: solid where it was measured, dashed in the missing wedge."""
    colours = (ORANGE, BLUE, *(c for c in SERIES if c not in (ORANGE, BLUE, VERMILION)))
    with house_style():
        figure, axes = _correlation_axes(width, voxel_size, "with the truth; dashed: in the missing wedge")
        for curve, colour in zip(curves, colours, strict=False):
            for region, values in curve.mean.items():
                solid = region == "measured"
                axes.plot(
                    curve.frequency,
                    values,
                    color=colour,
                    linestyle="-" if solid else (0, (3, 2)),
                    label=curve.name if solid else None,
                )
        axes.set_ylim(-0.1, 1.02)
        axes.legend(loc="upper right")
    return figure


def _correlation_axes(width: float, voxel_size: float, title: str) -> tuple[Figure, Axes]:
    figure = new_figure(width, 3.1)
    axes = place(figure, 0.45, 0.3, width - 0.6, 2.2, label="fsc")
    axes.axhline(0, color=FAINT, linewidth=0.7)
    ticks = [0.1, 0.2, 0.3, 0.4, 0.5]
    axes.set_xticks(ticks, [f"{k:g}\n{voxel_size / k:.0f} Å" for k in ticks])
    axes.set(xlim=(0, 0.5), title=f"FSC, {title}")
    axes.set_xlabel("cycles per voxel, and the length of one cycle", color=FAINT)
    return figure, axes


def _cross(axes: Axes, at: tuple[int, int]) -> None:
    """The point, without covering what lies there."""
    for line, position in ((axes.axvline, at[0] + 0.5), (axes.axhline, at[1] + 0.5)):
        line(position, color="#FFD54F", linewidth=0.5, alpha=0.6)


def _name(axes: Axes, plane: str) -> None:
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2, foreground="black")]
    axes.text(
        0.02, 0.98, plane, transform=axes.transAxes, color="white", size=8, ha="left", va="top", path_effects=outline
    )
