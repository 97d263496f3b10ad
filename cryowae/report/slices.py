"""Slices of a volume: central ones in the usual layout (xy, xz below it, yz at its right), or through a point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cryowae.report.style import FAINT, Limits, Point, Voxel, house_style, new_figure, outlined, place, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

Volume: TypeAlias = "NDArray[Any] | Tensor"

# per cent of the input's voxels that may be black; the same share may be white
TAILS = (10.0, 5.0, 2.0, 1.0)

# share of common limits below which a result would look flat
_FLAT = 0.5

# longer axes are drawn with every n-th voxel, to read only a small part of a large mapped file
LONGEST = 1024

_GAP, _ROOM, _LABEL = 0.05, 0.4, 0.24  # inches, in the layout of three slices
_EDGE, _BETWEEN, _HEAD, _TALLEST = 0.1, 0.08, 0.24, 6.0  # inches, in a window


@dataclass(frozen=True)
class Slices:
    """Three slices through one point of a volume.

    Attributes
    ----------
    xy, xz, yz
        `(y, x)`, `(z, x)` and `(z, y)` float32.
    extent
        `(z, y, x)` of the volume, in voxels.
    """

    xy: NDArray[np.float32]
    xz: NDArray[np.float32]
    yz: NDArray[np.float32]
    extent: Voxel

    @property
    def zy(self) -> NDArray[np.float32]:
        """`(y, z)`: z lies to the right, so that it continues xy."""
        return self.yz.T

    def voxels(self) -> NDArray[np.float32]:
        """The voxels of the three slices, in one row."""
        return np.concatenate([self.xy.ravel(), self.xz.ravel(), self.yz.ravel()])


def central_slices(volume: Volume, *, centre: Voxel | None = None) -> Slices:
    """Slices through the centre `n // 2` of every axis, or another point. The rest of the volume is not read.

    Where an axis is longer than `LONGEST`, only every n-th voxel is taken.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type, in memory or mapped; a tensor must be on the CPU.
    centre
        `(z, y, x)` of the point, in voxels.
    """
    z, y, x = volume.shape
    at = (z // 2, y // 2, x // 2) if centre is None else centre
    step = -(-max(z, y, x) // LONGEST)
    every = slice(None, None, step)
    cuts = (at[0], every, every), (every, at[1], every), (every, every, at[2])
    xy, xz, yz = (np.asarray(volume[cut], dtype=np.float32) for cut in cuts)
    return Slices(xy, xz, yz, (z, y, x))


def comparison_greys(before: Slices, after: Slices) -> tuple[Limits, float]:
    """Percentiles of the input's slices: the narrowest of `TAILS` that contain 99 % of the result's slices.

    Where noise is much stronger than the restored signal, wide limits would show a plain grey result.

    Returns
    -------
    limits, tail
        Values drawn black and white on both sides, in the unit of the file; the per cent of the input beyond each.
    """
    voxels = before.voxels()
    least, most = np.percentile(after.voxels(), (0.5, 99.5))
    for tail in TAILS:
        low, high = np.percentile(voxels, (tail, 100 - tail))
        if low <= least and most <= high:
            break
    if not high > low:
        low, high = low - 1.0, high + 1.0
    return (float(low), float(high)), tail


def greys_of_sides(before: Slices, after: Slices) -> tuple[Limits, Limits, str]:
    """Grey limits of a volume and its result, and words for them.

    They are those of `comparison_greys` on both sides. Where these would show a flat grey result, since noise is much
    stronger than the restored signal, each side has percentiles of its own.
    """
    common, tail = comparison_greys(before, after)
    least, most = np.percentile(after.voxels(), (0.5, 99.5))
    if not 0 < most - least < _FLAT * (common[1] - common[0]):
        return common, common, f"{tail:g} to {100 - tail:g} % of the input, on both sides"
    own = TAILS[-1]
    sides = [comparison_greys(one, one)[0] for one in (before, after)]
    return sides[0], sides[1], f"{own:g} to {100 - own:g} % of each side: the result has less contrast"


def fit_slices(extent: Voxel, width: float, height: float) -> tuple[float, float, float]:
    """The largest layout of three slices, with their labels, that fits into `width` x `height` inches.

    Returns
    -------
    scale, width, height
        Inches per voxel, the same along every axis, and the inches that the layout takes.
    """
    z, y, x = extent
    across, down = width - _LABEL - _GAP, height - _LABEL - _GAP
    scale = min(across / (x + z), down / (y + z))
    return scale, _LABEL + _GAP + scale * (x + z), _LABEL + _GAP + scale * (y + z)


def draw_slices(
    figure: Figure, slices: Slices, corner: Point, scale: float, limits: Limits, title: str, voxel_size: float
) -> None:
    """Draw three slices with their upper left corner at `corner`, and a scale bar; see `fit_slices` for `scale`."""
    left, top = corner
    z, y, x = (n * scale for n in slices.extent)
    first, second = left + _LABEL, left + _LABEL + x + _GAP
    upper, lower = top + _LABEL, top + _LABEL + y + _GAP
    barred = "xy" if y >= min(z, _ROOM) else "xz"  # where there is room for the bar and its length
    write(figure, first, top + _LABEL - 0.05, title, va="bottom", weight="bold")
    for name, plane, at, words, angle in (
        ("xy", "xy", (first, upper), (left + 0.13, upper + y / 2), 90),
        ("xz", "xz", (first, lower), (left + 0.13, lower + z / 2), 90),
        ("yz", "zy", (second, upper), (second + z / 2, top + 0.12), 0),
    ):
        bar = voxel_size if name == barred else 0
        draw_slice(figure, slices, plane, at, scale, limits, f"{name} {title}", bar)
        write(figure, *words, name, color=FAINT, rotation=angle, size=8.5, ha="center", va="center")


@house_style()
def slices_panel(
    volumes: Mapping[str, Volume], centre: Voxel, *, voxel_size: float, width: float = 4.4, upward: bool = False
) -> Figure:
    """The three slices of each volume through one point, one column per volume, with the point marked: for a window.

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
    shown = list(cuts.values())
    limits, _ = comparison_greys(shown[0], shown[-1])
    nz, ny, nx = shown[0].extent
    column = (width - 2 * _EDGE - _BETWEEN * (len(cuts) - 1)) / len(cuts)
    scale = min(column / nx, _TALLEST / (ny + nz))
    z, y, x = centre
    figure = new_figure(width, _HEAD + 2 * _BETWEEN + scale * (ny + nz + (nz * nx / ny)) + _EDGE)
    for i, (name, cut) in enumerate(cuts.items()):
        left, top = _EDGE + i * (column + _BETWEEN), _HEAD
        write(figure, left, 0.07, name, weight="bold", size=9)
        # yz is drawn as wide as the others
        for plane, mark, inch in (("xy", (x, y), scale), ("xz", (x, z), scale), ("yz", (y, z), scale * (nx / ny))):
            axes = draw_slice(figure, cut, plane, (left, top), inch, limits, f"{plane} {name}")
            if not upward:
                axes.set_ylim(axes.get_ylim()[::-1])
            if i == 0 and plane == "xy":
                _scale_bar(axes, voxel_size, scale)
            for line, at in zip((axes.axvline, axes.axhline), mark, strict=True):
                line(at + 0.5, color="#FFD54F", linewidth=0.5, alpha=0.6)  # thin, so that the point stays visible
            outlined(axes, 0.02, 0.98, plane, transform=axes.transAxes, size=8, ha="left", va="top")
            top += max(axes.get_ylim()) * inch + _BETWEEN
    return figure


def draw_slice(
    figure: Figure, slices: Slices, plane: str, corner: Point, scale: float, limits: Limits, label: str, bar: float = 0
) -> Axes:
    """Draw one slice, with its first row at the bottom, on axes that count voxels of the volume and have no marks.

    Parameters
    ----------
    plane
        `xy`, `xz`, `yz` or `zy`: the axes along the columns and along the rows.
    corner
        Upper left corner, inches from the left and the top of the figure.
    scale
        Inches per voxel.
    label
        Label of the axes.
    bar
        Voxel size in angstrom, for a scale bar; without one if 0.
    """
    columns, rows = (slices.extent["zyx".index(axis)] for axis in plane)
    axes = place(figure, *corner, columns * scale, rows * scale, label=label)
    extent = (0, columns, 0, rows)
    axes.imshow(getattr(slices, plane), clim=limits, extent=extent, aspect="auto", interpolation_stage="data")
    axes.set_axis_off()
    if bar:
        _scale_bar(axes, bar, scale)
    return axes


def _scale_bar(axes: Axes, voxel_size: float, scale: float) -> None:
    """A white bar of a round length in nanometres at the lower left; `scale` in inches per voxel sets its thickness."""
    from matplotlib.patches import Rectangle

    length = round_length(axes.get_xlim()[1] * voxel_size / 10 * 0.3)
    first, last = axes.get_ylim()
    inch = 1 / scale
    up = inch if last > first else -inch  # rows may run downwards
    left, bottom, thick = 0.1 * inch, first + 0.1 * up, 0.045 * up
    box: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.6, "label": "scale bar"}
    axes.add_patch(Rectangle((left, bottom), length * 10 / voxel_size, thick, **box))
    words = {"ha": "left", "va": "bottom", "size": 8.5, "weight": "bold"}
    outlined(axes, left, bottom + thick + 0.03 * up, f"{length:g} nm", **words)


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, ... (and their tenths) that is not more than `most`."""
    decade = 10.0 ** np.floor(np.log10(most))
    return float(max(decade * m for m in (1, 2, 5) if decade * m <= most * (1 + 1e-9)))
