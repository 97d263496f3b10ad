"""Fourier shell correlation: of methods with a known truth, and of two halves of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae.metrics import ShellCorrelation, fsc
from cryowae.report import style
from cryowae.report.spectra import Volume, block_about
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, place, to_png, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cryowae.metrics.regions import Range, Region

Curve = NDArray[np.float64]

SAME_NETWORK = "restored halves (same network: not a resolution)"

# cycles per voxel that, at 10 angstrom a voxel, resolve the two leaflets of a membrane
LEAFLETS = (0.26, 0.34)

# voxels along z, y and x of the central block of which `central_fsc` takes the correlation, at most
COMPARED = (192, 192, 192)

_TICKS = [0.1, 0.2, 0.3, 0.4, 0.5]
_SIDE, _BETWEEN, _END, _PANEL, _ROW, _ABOVE = 0.6, 0.42, 0.25, 2.7, 0.22, 0.55  # inches
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))  # when there are more methods than colours
_REFERENCES: dict[str, dict[str, Any]] = {
    "input": {"color": FAINT, "linestyle": (0, (4, 2)), "linewidth": 1.6},
    "floor": {"color": style.INK, "linestyle": "-", "linewidth": 0.8},
}


@dataclass(frozen=True, eq=False)
class FscCurve:
    """Agreement of one method with the truth.

    Attributes
    ----------
    name
        Name of the method.
    frequency
        `(n,)` middles of the shells, cycles per voxel.
    mean
        Region, such as `measured` or `missing wedge`, and the `(n,)` correlation there: the mean over seeds.
    spread
        Region and `(n,)` standard deviation over seeds; nothing for a single seed.
    kind
        `input` is drawn grey and dashed, `floor` as a thin line, methods in colour.
    """

    name: str
    frequency: Curve
    mean: Mapping[str, Curve]
    spread: Mapping[str, Curve] = field(default_factory=dict)
    kind: Literal["method", "input", "floor"] = "method"


@house_style()
def fsc_figure(curves: Sequence[FscCurve], voxel_size: float, title: str = "") -> Figure:
    """The curves of all methods, one panel per region, with the resolution in angstrom along the upper edge.

    The grey band has the shells of the `fine` scores, in which the leaflets of a membrane lie at 10 Å per voxel.

    Parameters
    ----------
    curves
        At least one; the regions of the first are drawn. A light band is one standard deviation over seeds to either
        side.
    voxel_size
        Angstrom.
    title
        Heading.
    """
    regions = list(curves[0].mean)
    width = min((WIDTH - _SIDE - _END - _BETWEEN * (len(regions) - 1)) / len(regions), 5.0)
    whole = max(_SIDE + len(regions) * (width + _BETWEEN) - _BETWEEN + _END, 6.0)
    rows = -(-len(curves) // max(1, int((whole - _SIDE) / 1.7)))  # of the legend
    head = 0.32 if title else 0.05
    top = head + rows * _ROW + _ABOVE
    least = np.nanmin(np.concatenate([np.ravel(v) for curve in curves for v in curve.mean.values()]), initial=0.0)
    lowest = min(-0.1, max(float(least) - 0.02, -1.0))
    colours = cycle({"color": c, "linestyle": dash, "linewidth": 1.6} for dash, c in product(_DASHES, style.SERIES))
    looks = [next(colours) if curve.kind == "method" else _REFERENCES[curve.kind] for curve in curves]
    figure = new_figure(whole, top + _PANEL + 0.5)  # below the panels: ticks and the label of the axis
    write(figure, 0.12, 0.1, title, size=11, weight="bold")
    for i, region in enumerate(regions):
        axes = place(figure, _SIDE + i * (width + _BETWEEN), top, width, _PANEL, label=region)
        _ground(axes, voxel_size)
        for curve, look in zip(curves, looks, strict=True):
            values, spread = curve.mean.get(region), curve.spread.get(region)
            if values is not None:
                axes.plot(curve.frequency, values, label=curve.name, **look)
            if values is not None and spread is not None and np.nanmax(spread, initial=0.0) > 0:
                band = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
                axes.fill_between(curve.frequency, values - spread, values + spread, **band)
        axes.set(xlim=(0, 0.5), ylim=(lowest, 1.02), xlabel="cycles per voxel; above: resolution")
        axes.set_title(region, pad=25, weight="bold")
    figure.axes[0].set_ylabel("Fourier shell correlation with the truth")
    corner = (_SIDE / whole, 1 - head / figure.get_size_inches()[1])
    space: dict[str, Any] = {"borderaxespad": 0, "borderpad": 0, "handlelength": 1.8, "columnspacing": 1.6}
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="upper left", bbox_to_anchor=corner, ncols=-(-len(curves) // rows), **space)
    return figure


draw_fsc_curves = to_png(fsc_figure)


@house_style()
def halves_figure(
    half1: Volume, half2: Volume, voxel_size: float, restored: tuple[Volume, Volume] | None = None
) -> Figure:
    """Fourier shell correlation of the input's halves over the whole spectrum.

    Parameters
    ----------
    half1, half2
        `(z, y, x)`, in memory or mapped; the central block that `central_fsc` compares is read.
    voxel_size
        Angstrom.
    restored
        The two halves after restoration. Their curve is drawn thin and labelled as no resolution: one network
        invents the same details in both.

    Raises
    ------
    TomogramError
        If the shapes differ.
    """
    figure = new_figure(WIDTH * 0.62, 3.4)
    axes = place(figure, 0.65, 0.45, WIDTH * 0.62 - 0.85, 2.3, label="fsc")
    _draw_halves(axes, central_fsc(half1, half2), voxel_size)
    if restored is not None:
        curve = central_fsc(*restored)
        axes.plot(curve.frequency[1:], curve.correlation[1:], color=style.VERMILION, linewidth=1.0, label=SAME_NETWORK)
    axes.set_title("Fourier shell correlation of the halves", pad=18)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=2, borderpad=0, handlelength=1.4)
    return figure


draw_halves_fsc = to_png(halves_figure)


@house_style()
def halves_panel(half1: Volume, half2: Volume, *, voxel_size: float, width: float = 4.4) -> Figure:
    """Fourier shell correlation of two halves of the input, for a window."""
    figure, axes = _panel(width, "FSC, halves of the input")
    _draw_halves(axes, central_fsc(half1, half2), voxel_size)
    return figure


@house_style()
def truth_panel(curves: Sequence[FscCurve], *, voxel_size: float, width: float = 4.4) -> Figure:
    """Curves of `truth_curves` for a window: solid in the measured region, dashed in the missing wedge."""
    figure, axes = _panel(width, "FSC, with the truth; dashed: in the missing wedge")
    _label(axes, voxel_size)
    for curve, colour in zip(curves, (style.ORANGE, style.BLUE, style.GREEN, style.PURPLE, style.SKY), strict=False):
        axes.plot(curve.frequency, curve.mean["measured"], color=colour, label=curve.name)
        axes.plot(curve.frequency, curve.mean["missing wedge"], color=colour, linestyle=(0, (3, 2)))
    axes.legend(loc="upper right")
    return figure


def truth_curves(volumes: Mapping[str, Volume], truth: Volume, tilts: tuple[float, float]) -> list[FscCurve]:
    """Fourier shell correlation of volumes with their truth, in the measured region and in the missing wedge.

    Only the central block of `central_fsc` is compared. The first volume is the input.
    """
    curves = []
    for i, (name, volume) in enumerate(volumes.items()):
        measured = central_fsc(truth, volume, tilts, "measured", width=0.02)
        missing = central_fsc(truth, volume, tilts, "missing", width=0.02)
        means = {"measured": measured.correlation, "missing wedge": missing.correlation}
        curves.append(FscCurve(name, measured.frequency, means, kind="method" if i else "input"))
    return curves


def central_fsc(
    a: Volume, b: Volume, tilts: Range | None = None, region: Region = "all", *, width: float = 0.01
) -> ShellCorrelation:
    """`cryowae.metrics.fsc` of the central blocks of two volumes, in memory or mapped.

    Shells are as wide as one frequency step of the longest axis, but at least `width` cycles per voxel.

    Raises
    ------
    TomogramError
        If the shapes differ.
    """
    one, other = (np.array(volume[block_about(volume.shape, COMPARED)], dtype=np.float32) for volume in (a, b))
    return fsc(one, other, tilts, region, width=max(1 / max(one.shape), width))


def _panel(width: float, title: str) -> tuple[Figure, Axes]:
    figure = new_figure(width, 3.1)
    return figure, place(figure, 0.55, 0.3, width - 0.7, 2.2, label="fsc", title=title)


def _draw_halves(axes: Axes, curve: ShellCorrelation, voxel_size: float) -> None:
    """The curve without zero frequency, and the threshold of 0.143 (Rosenthal and Henderson, 2003)."""
    frequency, correlation = curve.frequency[1:], curve.correlation[1:]
    _label(axes, voxel_size, lowest=min(-0.1, float(np.nanmin(correlation))))
    axes.axhline(0.143, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.text(0.495, 0.155, "0.143", color=FAINT, size=8, ha="right", va="bottom")
    axes.plot(frequency, correlation, color=style.BLUE, label="halves of the input")


def _label(axes: Axes, voxel_size: float, *, lowest: float = -0.1) -> None:
    """Frequency and resolution along x, correlation from `lowest` to 1 along y."""
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.set_xticks(_TICKS, [f"{k:g}\n{voxel_size / k:.0f} Å" for k in _TICKS])
    axes.set(xlim=(0, 0.5), ylim=(lowest, 1.02))
    axes.set(xlabel="cycles per voxel, and resolution (Å)", ylabel="Fourier shell correlation")


def _ground(axes: Axes, voxel_size: float) -> None:
    axes.axvspan(*LEAFLETS, color="#000000", alpha=0.06, linewidth=0)
    axes.text(sum(LEAFLETS) / 2, 0.985, "leaflets\nat 10 Å", color=FAINT, size=7, ha="center", va="top")
    for level in (0.0, 0.5):
        axes.axhline(level, color=FAINT, linewidth=0.6, alpha=0.6)
    axes.set_xticks(_TICKS, [f"{k:g}" for k in _TICKS])
    lengths = [voxel_size / k for k in _TICKS]
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(_TICKS, [f"{length:.0f} Å" if length >= 20 else f"{length:.3g} Å" for length in lengths])
    upper.tick_params(length=2, pad=2)
    upper.spines["top"].set_visible(False)
