"""Fourier shell correlation of two halves of the data over the whole spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.report.correlations import Curve, central_fsc, correlation_axes
from cryowae.report.style import BLUE, FAINT, VERMILION, WIDTH, house_style, new_figure, place, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAME_NETWORK = "restored halves (same network: not a resolution)"


def draw_halves_fsc(
    path: str | Path,
    half1: NDArray[Any],
    half2: NDArray[Any],
    *,
    voxel_size: float,
    restored: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> dict[str, Curve]:
    """Draw the Fourier shell correlation of the input's halves.

    Parameters
    ----------
    path
        Where the PNG goes; an existing file is replaced.
    half1, half2
        `(z, y, x)`, in memory or mapped; the central block that `central_fsc` compares is read.
    voxel_size
        Angstrom.
    restored
        The two halves after restoration. Their curve is drawn thin and labelled as no resolution: one network
        invents the same details in both.

    Returns
    -------
    curves
        `frequency` in cycles per voxel, `input`, and `restored` where given.

    Raises
    ------
    TomogramError
        If the shapes differ.
    """
    curves = halves_curves(half1, half2)
    if restored is not None:
        curves["restored"] = halves_curves(*restored)["input"]
    save(halves_figure(curves, voxel_size), path)
    return curves


def halves_curves(half1: NDArray[Any], half2: NDArray[Any]) -> dict[str, Curve]:
    """`frequency` in cycles per voxel and the correlation of the halves there, `input`; without zero frequency."""
    curve = central_fsc(half1, half2)
    return {"frequency": curve.frequency[1:], "input": curve.correlation[1:]}


@house_style()
def halves_figure(curves: Mapping[str, Curve], voxel_size: float) -> Figure:
    """The figure that `draw_halves_fsc` writes."""
    figure = new_figure(WIDTH * 0.62, 3.4)
    axes = place(figure, 0.65, 0.45, WIDTH * 0.62 - 0.85, 2.3, label="fsc")
    draw_halves(axes, curves, voxel_size)
    axes.set_title("Fourier shell correlation of the halves", pad=18)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=2, borderpad=0, handlelength=1.4)
    return figure


def draw_halves(axes: Axes, curves: Mapping[str, Curve], voxel_size: float) -> None:
    """Draw the curves of `draw_halves_fsc` with the threshold of 0.143 (Rosenthal and Henderson, 2003)."""
    correlation_axes(axes, voxel_size, lowest=min(-0.1, float(np.nanmin(curves["input"]))))
    axes.axhline(0.143, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.text(0.495, 0.155, "0.143", color=FAINT, size=8, ha="right", va="bottom")
    axes.plot(curves["frequency"], curves["input"], color=BLUE, label="halves of the input")
    if "restored" in curves:
        axes.plot(curves["frequency"], curves["restored"], color=VERMILION, linewidth=1.0, label=SAME_NETWORK)
