"""One look for all pictures: quiet axes, colours that colour-blind readers tell apart, a size that suits a README."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 128
WIDTH = 9.0
"""Inches; at 100 pixels an inch, the width of a README, text of 9 points is read easily."""

INK = "#222222"
FAINT = "#777777"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Okabe and Ito's palette (Color Universal Design, 2008) without its yellow, which vanishes on white."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.origin": "lower",
    "image.cmap": "gray",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Everything that is drawn inside has the look of this module."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that no global state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
    """Axes whose box is given in inches from the left and from the top edge of the figure."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down), **options)


def write(figure: Figure, text_left: float, text_top: float, text: str, **options: Any) -> None:
    """Text whose upper left corner is given in inches from the left and from the top edge of the figure."""
    across, down = figure.get_size_inches()
    figure.text(text_left / across, 1 - text_top / down, text, **{"va": "top", "ha": "left", **options})


def as_array(figure: Figure) -> NDArray[np.uint8]:
    """A figure as `(rows, columns, 4)` red, green, blue and opacity, for a window."""
    with house_style():
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()  # type: ignore[attr-defined]  # Agg has it


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    target = Path(path)
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=DPI)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(buffer.getvalue())
        os.replace(scratch, target)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OutputError(
            f"cannot write the picture {target} ({reason}): choose a place that can be written"
        ) from error
    return target
