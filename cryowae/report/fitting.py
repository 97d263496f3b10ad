"""The picture of a fit: its score on held-out data, and slices before and after."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cryowae.report.slices import Volume, central_slices, draw_slice
from cryowae.report.style import BLUE, FAINT, VERMILION, WIDTH, house_style, new_figure, place, to_png, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROW = 4.4
"""Inches: the width of the picture in a dock of a window."""

_LETTERS = 17.0  # letters of the smallest size in an inch
_EDGE, _GAP, _HEAD, _CURVE = 0.12, 0.08, 0.3, 1.9  # inches


@house_style()
def fit_figure(
    scores: Mapping[int, float],
    volumes: Mapping[str, Volume],
    voxel_size: float,
    question: str = "",
    width: float = WIDTH,
) -> Figure:
    """Score on held-out data against steps, and below it slices of the input and of restorations.

    Parameters
    ----------
    scores
        Score by step; that of the weights at the start is step 0, and not finite without such weights.
    volumes
        Name and `(z, y, x)`, of one shape: the input first. The grey limits of each are 0.5 and 99.5 % of its slices.
    voxel_size
        Angstrom, for a scale bar.
    question
        What the score tests.
    width
        Inches.
    """
    from matplotlib.ticker import MaxNLocator

    cuts = {name: central_slices(volume) for name, volume in volumes.items()}
    nz, ny, nx = next(iter(cuts.values())).extent
    column = min((width - 2 * _EDGE - (len(cuts) - 1) * _GAP) / len(cuts), 3.0)
    scale = column / nx
    lines = textwrap.wrap(question, int(_LETTERS * (width - 0.95)))
    small = width < WIDTH  # so that the names of the columns do not touch
    high = 0.7 * _CURVE if small else _CURVE
    top = 0.4 + high + 0.7 + 0.15 * max(1, len(lines))
    figure = new_figure(width, top + _HEAD + (ny + nz) * scale + _GAP + _EDGE)
    axes = place(figure, 0.75, 0.4, width - 0.95, high, label="held-out score")
    known = {step: score for step, score in sorted(scores.items()) if math.isfinite(score)}
    if 0 in known:
        axes.axhline(known[0], color=FAINT, linewidth=1.0, linestyle=(0, (4, 2)), label="weights at the start")
    axes.plot(list(known), list(known.values()), color=BLUE, marker="o", markersize=4, label="adapted weights")
    if known:
        best = max(known, key=lambda step: known[step])
        axes.plot([best], [known[best]], color=VERMILION, marker="o", markersize=7, linestyle="", label="written")
    axes.set(title="score on data that no step uses (higher is better)", xlabel="step", ylabel="score")
    axes.legend(loc="best", frameon=True, edgecolor="none", framealpha=0.7, borderpad=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(known) == 1:
        axes.set_xlim(min(known) - 1, min(known) + 1)
    write(figure, 0.75, 0.4 + high + 0.5, "\n".join(lines), size=8, color=FAINT)
    for i, (name, cut) in enumerate(cuts.items()):
        left = _EDGE + i * (column + _GAP)
        voxels = np.concatenate([cut.xy.ravel(), cut.xz.ravel()])
        low, high = np.percentile(voxels, (0.5, 99.5)).tolist()
        limits = (low, high) if high > low else (low - 1.0, low + 1.0)
        write(figure, left, top + 0.22, name, va="baseline", weight="bold", size=7.5 if small else 9)
        draw_slice(figure, cut, "xy", (left, top + _HEAD), scale, limits, f"xy {name}", 0 if i else voxel_size)
        below = top + _HEAD + ny * scale + _GAP
        draw_slice(figure, cut, "xz", (left, below), scale, limits, f"xz {name}")
    return figure


draw_fit = to_png(fit_figure)
