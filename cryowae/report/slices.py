"""Central slices of a volume in the usual layout: xy, with xz below it and yz at its right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.report.style import FAINT, Point, outlined, place, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    Volume = NDArray[Any] | Tensor

Plane = NDArray[np.float32]

TAILS = (10.0, 5.0, 2.0, 1.0)
"""Per cent of the input's voxels that may be black; the same share may be white."""

LONGEST = 1024
"""Longer axes are drawn with every n-th voxel only, so that little is read of a large mapped file."""

_GAP = 0.05
_ROOM = 0.4
_LABEL = 0.24


@dataclass(frozen=True)
class Slices:
    """Three slices through one point of a volume.

    Attributes
    ----------
    xy, xz, yz
        `(y, x)`, `(z, x)` and `(y, z)` float32: yz has z to the right, so that it continues xy.
    extent
        `(z, y, x)` of the volume, in voxels.
    """

    xy: Plane
    xz: Plane
    yz: Plane
    extent: tuple[int, int, int]

    def voxels(self) -> Plane:
        """The voxels of the three slices, in one row."""
        return np.concatenate([self.xy.ravel(), self.xz.ravel(), self.yz.ravel()])


def central_slices(volume: Volume, *, centre: tuple[int, int, int] | None = None) -> Slices:
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
    xy, xz, zy = (np.asarray(volume[cut], dtype=np.float32) for cut in cuts)
    return Slices(xy, xz, zy.T, (z, y, x))


@dataclass(frozen=True)
class GreyLimits:
    """Values that are drawn black and white on both sides of a comparison.

    Attributes
    ----------
    low, high
        In the unit of the file.
    percentiles
        The same, as percentiles of the input's slices.
    """

    low: float
    high: float
    percentiles: tuple[float, float]


def comparison_greys(before: Slices, after: Slices) -> GreyLimits:
    """Percentiles of the input's slices: the narrowest of `TAILS` that contain 99 % of the result's slices.

    Where noise is much stronger than the restored signal, wide limits would show a plain grey result.
    """
    voxels = before.voxels()
    least, most = np.percentile(after.voxels(), (0.5, 99.5))
    for tail in TAILS:
        low, high = np.percentile(voxels, (tail, 100 - tail))
        if low <= least and most <= high:
            break
    if not high > low:
        low, high = low - 1.0, high + 1.0
    return GreyLimits(float(low), float(high), (tail, 100 - tail))


@dataclass(frozen=True)
class OrthoLayout:
    """Sizes in inches of the three slices at one scale, with their labels.

    Attributes
    ----------
    scale
        Inches per voxel, the same along every axis.
    """

    extent: tuple[int, int, int]
    scale: float

    @classmethod
    def fit(cls, extent: tuple[int, int, int], width: float, height: float) -> OrthoLayout:
        """The largest layout that fits into `width` x `height` inches, labels included."""
        z, y, x = extent
        across, down = width - _LABEL - _GAP, height - _LABEL - _GAP
        return cls(extent, min(across / (x + z), down / (y + z)))

    @property
    def width(self) -> float:
        return _LABEL + _GAP + self.scale * (self.extent[2] + self.extent[0])

    @property
    def height(self) -> float:
        return _LABEL + _GAP + self.scale * (self.extent[1] + self.extent[0])

    def draw(
        self, figure: Figure, slices: Slices, corner: Point, limits: GreyLimits, title: str, voxel_size: float
    ) -> None:
        """Draw three slices with their upper left corner at `corner`, and a scale bar; `voxel_size` in angstrom."""
        left, top = corner
        z, y, x = (n * self.scale for n in self.extent)
        nz, ny, nx = self.extent
        first, second = left + _LABEL, left + _LABEL + x + _GAP
        upper, lower = top + _LABEL, top + _LABEL + y + _GAP
        barred = "xy" if y >= min(z, _ROOM) else "xz"  # where there is room for the bar and its length
        for name, plane, at, size in (
            ("xy", slices.xy, (first, upper), (nx, ny)),
            ("yz", slices.yz, (second, upper), (nz, ny)),
            ("xz", slices.xz, (first, lower), (nx, nz)),
        ):
            bar = voxel_size if name == barred else None
            draw_slice(figure, plane, at, size, self.scale, (limits.low, limits.high), f"{name} {title}", bar)
        write(figure, first, top + _LABEL - 0.05, title, va="bottom", weight="bold")
        for name, across, down, angle in (
            ("xy", left + 0.13, upper + y / 2, 90),
            ("xz", left + 0.13, lower + z / 2, 90),
            ("yz", second + z / 2, top + 0.12, 0),
        ):
            write(figure, across, down, name, color=FAINT, rotation=angle, size=8.5, ha="center", va="center")


def draw_slice(
    figure: Figure,
    plane: Plane,
    corner: Point,
    size: tuple[int, int],
    scale: float,
    limits: tuple[float, float],
    label: str,
    voxel_size: float | None = None,
    upward: bool = True,
) -> Axes:
    """Draw one slice on axes that count voxels of the volume and have no marks.

    Parameters
    ----------
    plane
        `(rows, columns)`.
    corner
        Upper left corner, inches from the left and the top of the figure.
    size
        Columns and rows in voxels of the volume, which may be more than those of `plane`.
    scale
        Inches per voxel.
    limits
        Values that are drawn black and white.
    label
        Of the axes.
    voxel_size
        Angstrom; with a scale bar if given.
    upward
        The first row is at the bottom; otherwise at the top.
    """
    axes = place(figure, *corner, size[0] * scale, size[1] * scale, label=label)
    extent = (0, size[0], 0, size[1])
    axes.imshow(plane, clim=limits, extent=extent, aspect="auto", interpolation_stage="data")
    axes.set_axis_off()
    if not upward:
        axes.set_ylim(size[1], 0)
    if voxel_size is not None:
        _scale_bar(axes, voxel_size, scale)
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
