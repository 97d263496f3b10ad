"""One style for all pictures: thin axes, colours for colour-blind readers, width for a README."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from cryowae.io.outputs import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
Point = tuple[float, float]  # inches from the left and from the top edge of a figure
Voxel = tuple[int, int, int]  # (z, y, x)
Limits = tuple[float, float]  # values that are drawn in the first and in the last colour: black and white

DPI = 128
WIDTH = 9.0  # inches; at 100 pixels an inch, the width of a README, text of 9 points is easy to read

INK, FAINT = "#222222", "#777777"
# Okabe and Ito's palette (Color Universal Design, 2008) without its yellow, which is hardly visible on white
SERIES = BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"

_TICKS = {"labelsize": 8, "color": FAINT, "labelcolor": INK, "major.width": 0.7}
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor"), "white"),
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in _TICKS.items()},
    "text.color": INK,
    "lines.linewidth": 1.6,
    "legend.fontsize": 8.5,
    "image.origin": "lower",
    "image.cmap": "gray",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Context in which figures have the style of this module; also a decorator of functions that draw."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches, independent of the global state of matplotlib."""
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


def outlined(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """White text with a black outline, which can be read on any grey."""
    from matplotlib.patheffects import withStroke

    axes.text(x, y, text, color="white", path_effects=[withStroke(linewidth=2, foreground="black")], **options)


def count_in_decades(axes: Axes) -> None:
    """A logarithmic axis with plain numbers at 1, 2, 3 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def as_array(figure: Figure) -> NDArray[np.uint8]:
    """A figure as `(rows, columns, 4)` red, green, blue and opacity, for a window."""
    with house_style():
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()  # type: ignore[attr-defined]  # Agg has it


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG; an existing file is replaced when the new one is complete.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=DPI)
    write_bytes(Path(path), buffer.getvalue(), what="picture")
    return Path(path)


def to_png(figure: Callable[P, Figure]) -> Callable[Concatenate[str | Path, P], Path]:
    """A function that writes the figure of `figure` as PNG. Its first argument is the path, see `save` for the errors.

    The other arguments are those of `figure`.
    """

    def draw(path: str | Path, /, *args: P.args, **options: P.kwargs) -> Path:
        return save(figure(*args, **options), path)

    draw.__doc__ = f"Write this picture to the PNG `path` and return it; other arguments as below.\n\n{figure.__doc__}"
    return draw
