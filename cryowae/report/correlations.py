"""Fourier shell correlation with a known truth: methods side by side, in the measured region and in the wedge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae.metrics import ShellCorrelation, fsc
from cryowae.report.spectra import Volume, block_about
from cryowae.report.style import FAINT, INK, SERIES, WIDTH, house_style, new_figure, place, to_png, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cryowae.metrics.regions import Range, Region

Curve = NDArray[np.float64]

LEAFLETS = (0.26, 0.34)
"""Cycles per voxel that, at 10 angstrom a voxel, resolve the two leaflets of a membrane."""

COMPARED = (192, 192, 192)
"""Voxels along z, y and x of the central block of which `central_fsc` takes the correlation, at most."""

_TICKS = [0.1, 0.2, 0.3, 0.4, 0.5]

_SIDE, _BETWEEN, _END, _PANEL, _ROW, _ABOVE = 0.6, 0.42, 0.25, 2.7, 0.22, 0.55
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))  # when there are more methods than colours
_REFERENCES: dict[str, dict[str, Any]] = {
    "input": {"color": FAINT, "linestyle": (0, (4, 2)), "linewidth": 1.6},
    "floor": {"color": INK, "linestyle": "-", "linewidth": 0.8},
}


@dataclass(frozen=True, eq=False)
class FscCurve:
    """Agreement of one method with the truth.

    Attributes
    ----------
    name
        Of the method.
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
    """The curves of all methods, one panel a region, with the length of one cycle along the upper edge.

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
    lowest = min(-0.1, _floor_of(curves))
    figure = new_figure(whole, top + _PANEL + 0.5)  # below: marks and the label of the axis
    write(figure, 0.12, 0.1, title, size=11, weight="bold")
    for i, region in enumerate(regions):
        axes = place(figure, _SIDE + i * (width + _BETWEEN), top, width, _PANEL, label=region)
        _ground(axes, voxel_size)
        for curve, look in zip(curves, _looks(curves), strict=True):
            _draw(axes, curve, region, look)
        axes.set(xlim=(0, 0.5), ylim=(lowest, 1.02), xlabel="cycles per voxel; above: one cycle")
        axes.set_title(region, pad=25, weight="bold")
    figure.axes[0].set_ylabel("Fourier shell correlation with the truth")
    corner = (_SIDE / whole, 1 - head / figure.get_size_inches()[1])
    space: dict[str, Any] = {"borderaxespad": 0, "borderpad": 0, "handlelength": 1.8, "columnspacing": 1.6}
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="upper left", bbox_to_anchor=corner, ncols=-(-len(curves) // rows), **space)
    return figure


draw_fsc_curves = to_png(fsc_figure)


def truth_curves(volumes: Mapping[str, Volume], truth: Volume, tilts: tuple[float, float]) -> list[FscCurve]:
    """Fourier shell correlation of volumes with their truth, in the measured region and in the missing wedge.

    Of the central block that `central_fsc` compares. The first volume is taken for the input.
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


def correlation_axes(axes: Axes, voxel_size: float, *, lowest: float = -0.1) -> None:
    """Label axes for a shell correlation: frequency and resolution along x, from `lowest` to 1 along y."""
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.set_xticks(_TICKS, [f"{k:g}\n{voxel_size / k:.0f} Å" for k in _TICKS])
    axes.set(xlim=(0, 0.5), ylim=(lowest, 1.02))
    axes.set(xlabel="cycles per voxel, and resolution (Å)", ylabel="Fourier shell correlation")


def _ground(axes: Axes, voxel_size: float) -> None:
    axes.axvspan(*LEAFLETS, color="#000000", alpha=0.06, linewidth=0)
    axes.text(sum(LEAFLETS) / 2, 0.985, "leaflets", color=FAINT, size=8, ha="center", va="top")
    for level in (0.0, 0.5):
        axes.axhline(level, color=FAINT, linewidth=0.6, alpha=0.6)
    axes.set_xticks(_TICKS, [f"{k:g}" for k in _TICKS])
    lengths = [voxel_size / k for k in _TICKS]
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(_TICKS, [f"{length:.0f} Å" if length >= 20 else f"{length:.3g} Å" for length in lengths])
    upper.tick_params(length=2, pad=2)
    upper.spines["top"].set_visible(False)


def _draw(axes: Axes, curve: FscCurve, region: str, look: Mapping[str, Any]) -> None:
    values = curve.mean.get(region)
    if values is None:
        return
    axes.plot(curve.frequency, values, label=curve.name, **look)
    spread = curve.spread.get(region)
    if spread is not None and np.nanmax(spread, initial=0.0) > 0:
        band = (values - spread, values + spread)
        axes.fill_between(curve.frequency, *band, color=look["color"], alpha=0.15, linewidth=0)


def _looks(curves: Sequence[FscCurve]) -> list[dict[str, Any]]:
    """Colour and line of each curve; the dashes change when all colours are used."""
    styles = cycle({"color": colour, "linestyle": dash, "linewidth": 1.6} for dash, colour in product(_DASHES, SERIES))
    return [next(styles) if curve.kind == "method" else _REFERENCES[curve.kind] for curve in curves]


def _floor_of(curves: Sequence[FscCurve]) -> float:
    values = np.concatenate([np.ravel(v) for curve in curves for v in curve.mean.values()])
    return float(max(np.nanmin(values, initial=0.0) - 0.02, -1.0))
