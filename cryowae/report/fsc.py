"""Fourier shell correlations with a known truth: methods side by side, where it was measured and in the wedge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae.report.style import FAINT, INK, SERIES, WIDTH, house_style, new_figure, place, save, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = NDArray[np.float64]

LEAFLETS = (0.26, 0.34)
"""Cycles per voxel where, at 10 angstrom a voxel, the two leaflets of a membrane are told apart."""

_SIDE, _BETWEEN, _END, _PANEL, _ROW, _ABOVE = 0.6, 0.42, 0.25, 2.7, 0.22, 0.55
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))  # when there are more methods than colours


@dataclass(frozen=True, eq=False)
class FscCurve:
    """How well one method agrees with the truth.

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


def draw_fsc_curves(path: str | Path, curves: Sequence[FscCurve], *, voxel_size: float, title: str = "") -> Path:
    """Draw the curves of all methods, one panel a region, with the length of one cycle along the upper edge.

    Parameters
    ----------
    path
        Where the PNG goes; an existing file is replaced.
    curves
        At least one; the regions of the first are drawn. A light band is one standard deviation over seeds to either
        side.
    voxel_size
        Angstrom.
    title
        Heading.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    return save(fsc_figure(curves, voxel_size, title), path)


def fsc_figure(curves: Sequence[FscCurve], voxel_size: float, title: str = "") -> Figure:
    """The figure that `draw_fsc_curves` writes."""
    regions = list(curves[0].mean)
    width = min((WIDTH - _SIDE - _END - _BETWEEN * (len(regions) - 1)) / len(regions), 5.0)
    whole = max(_SIDE + len(regions) * (width + _BETWEEN) - _BETWEEN + _END, 6.0)
    rows = -(-len(curves) // max(1, int((whole - _SIDE) / 1.7)))  # of the legend
    head = 0.32 if title else 0.05
    top = head + rows * _ROW + _ABOVE
    lowest = min(-0.1, _floor_of(curves))
    with house_style():
        figure = new_figure(whole, top + _PANEL + 0.5)  # below: marks and the label of the axis
        if title:
            write(figure, 0.12, 0.1, title, size=11, weight="bold")
        for i, region in enumerate(regions):
            axes = place(figure, _SIDE + i * (width + _BETWEEN), top, width, _PANEL, label=region)
            _ground(axes, voxel_size)
            for curve, look in zip(curves, _looks(curves), strict=True):
                _draw(axes, curve, region, look)
            axes.set(xlim=(0, 0.5), ylim=(lowest, 1.02))
            axes.set_title(region, pad=25, weight="bold")
            axes.set_xlabel("cycles per voxel; above: one cycle")
            if i == 0:
                axes.set_ylabel("Fourier shell correlation with the truth")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            names,
            loc="upper left",
            bbox_to_anchor=(_SIDE / whole, 1 - head / figure.get_size_inches()[1]),
            ncols=-(-len(curves) // rows),
            borderaxespad=0,
            borderpad=0,
            handlelength=1.8,
            columnspacing=1.6,
        )
    return figure


def _ground(axes: Axes, voxel_size: float) -> None:
    axes.axvspan(*LEAFLETS, color="#000000", alpha=0.06, linewidth=0)
    axes.text(sum(LEAFLETS) / 2, 0.985, "leaflets", color=FAINT, size=8, ha="center", va="top")
    for level in (0.0, 0.5):
        axes.axhline(level, color=FAINT, linewidth=0.6, alpha=0.6)
    ticks = [0.1, 0.2, 0.3, 0.4, 0.5]
    axes.set_xticks(ticks, [f"{k:g}" for k in ticks])
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(ticks, [f"{_rounded(voxel_size / k)} Å" for k in ticks])
    upper.tick_params(length=2, pad=2)
    upper.spines["top"].set_visible(False)


def _rounded(length: float) -> str:
    return f"{length:.0f}" if length >= 20 else f"{length:.3g}"


def _draw(axes: Axes, curve: FscCurve, region: str, look: Mapping[str, Any]) -> None:
    values = curve.mean.get(region)
    if values is None:
        return
    axes.plot(curve.frequency, values, label=curve.name, **look)
    spread = curve.spread.get(region)
    if spread is not None and np.nanmax(spread, initial=0.0) > 0:
        axes.fill_between(
            curve.frequency, values - spread, values + spread, color=look["color"], alpha=0.15, linewidth=0
        )


def _looks(curves: Sequence[FscCurve]) -> list[dict[str, Any]]:
    """How each curve is drawn: colours go round, and then the dashes change."""
    looks: list[dict[str, Any]] = []
    count = 0
    for curve in curves:
        if curve.kind == "input":
            looks.append({"color": FAINT, "linestyle": (0, (4, 2)), "linewidth": 1.6})
        elif curve.kind == "floor":
            looks.append({"color": INK, "linestyle": "-", "linewidth": 0.8})
        else:
            dashes = _DASHES[count // len(SERIES) % len(_DASHES)]
            looks.append({"color": SERIES[count % len(SERIES)], "linestyle": dashes, "linewidth": 1.6})
            count += 1
    return looks


def _floor_of(curves: Sequence[FscCurve]) -> float:
    values = np.concatenate([np.ravel(v) for curve in curves for v in curve.mean.values()])
    return float(max(np.nanmin(values, initial=0.0) - 0.02, -1.0))
