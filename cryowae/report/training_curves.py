"""Curves of a training: its losses, and the match of the codes with the prior."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.report.style import FAINT, SERIES, WIDTH, count_in_decades, house_style, new_figure, place, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = NDArray[np.float64]

_LOSSES = ("loss", "supervised", "gradient", "fidelity")
_MANY = 50  # longer curves are a running mean over this fraction of their length


def draw_training_curves(csv_path: str | Path, png_path: str | Path) -> Path:
    """Draw the log of a training: its losses, and the match of every scale beside its null 95 % quantile.

    Parameters
    ----------
    csv_path
        Has a column `step` and any of `loss`, `supervised`, `gradient`, `fidelity`, `match_<scale>`, `null95_<scale>`;
        empty fields and other columns are ignored.
    png_path
        Path of the PNG; an existing file is replaced.

    Raises
    ------
    TomogramError
        If the log has no `step` column or no row.
    OutputError
        If `png_path` cannot be written.
    """
    return save(training_figure(_read(Path(csv_path))), png_path)


@house_style()
def training_figure(columns: Mapping[str, Curve]) -> Figure:
    """The figure that `draw_training_curves` writes; `columns` contain NaN where the log is empty."""
    known = [name for name, values in columns.items() if np.isfinite(values).any()]
    losses = [name for name in _LOSSES if name in known]
    scales = [name.removeprefix("match_") for name in known if name.startswith("match_")]
    upper, lower = (2.6 if losses else 0.0), (2.0 if scales else 0.0)
    gap = 0.95
    steps = columns["step"]
    low, high = float(steps.min()), float(steps.max())
    along: dict[str, Any] = {"xlabel": "step", "xlim": (low, high) if high > low else (low - 1, high + 1)}
    figure = new_figure(WIDTH, 0.45 + upper + (gap if losses and scales else 0.0) + lower + 0.55)
    if losses:
        axes = place(figure, 0.75, 0.45, WIDTH - 0.95, upper, label="losses")
        for colour, name in zip(SERIES, losses, strict=False):
            _trace(axes, steps, columns[name], colour, "total loss" if name == "loss" else name)
        if all(np.nanmin(columns[name]) > 0 for name in losses):
            count_in_decades(axes)
        axes.legend(loc="lower right", bbox_to_anchor=(1.01, 0.98), ncols=len(losses), borderpad=0)
        axes.set(title="losses", **along)
    width = (WIDTH - 0.95 + 0.65) / max(len(scales), 1) - 0.65
    top = 0.45 + (upper + gap if losses else 0.0)
    for i, scale in enumerate(scales):
        axes = place(figure, 0.75 + i * (width + 0.65), top, width, lower, label=f"match {scale}")
        _trace(axes, steps, columns[f"match_{scale}"], SERIES[0], "codes and prior")
        null = columns.get(f"null95_{scale}", np.full_like(steps, np.nan))
        if (there := np.isfinite(null)).any():
            style: dict[str, Any] = {"color": SERIES[1], "linewidth": 1.2, "linestyle": (0, (4, 2))}
            axes.plot(steps[there], _smooth(null[there]), label="95 % quantile if matched", **style)
        axes.axhline(0, color=FAINT, linewidth=0.7)
        axes.set_title(
            f"match of the codes at 1/{scale}" if scale.isdigit() else f"match of the codes, {scale}", pad=18
        )
        axes.set(**along)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        if i == 0:  # the limit is the same for all
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=2, borderpad=0)
    return figure


def _trace(axes: Axes, steps: Curve, values: Curve, colour: str, label: str) -> None:
    there = np.isfinite(values)
    smooth = _smooth(values[there])
    if len(smooth) >= _MANY:
        axes.plot(steps[there], values[there], color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(steps[there], smooth, color=colour, label=label, marker="o" if len(smooth) == 1 else "")


def _smooth(values: Curve) -> Curve:
    """Running mean over a fiftieth of the curve, narrower at its ends."""
    window = np.ones(2 * (len(values) // (2 * _MANY)) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")


def _read(path: Path) -> dict[str, Curve]:
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("step")]
    if not rows:
        raise TomogramError(f"got no row with a step in {path}, expected the log of a training: give its CSV file")
    return {name: np.array([_number(row.get(name)) for row in rows]) for name in rows[0] if name is not None}


def _number(field: str | None) -> float:
    try:
        return float(field or "nan")
    except ValueError:
        return float("nan")
