"""Central slices of a volume, laid out as microscopists read them: xy, with xz below it and yz at its right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.report.style import FAINT, place, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    Volume = NDArray[Any] | Tensor

Plane = NDArray[np.float32]

TAILS = (10.0, 5.0, 2.0, 1.0)
"""Per cent of the input's voxels that may be black, and as many white."""

LONGEST = 1024
"""Longer axes are drawn with every n-th voxel only, so that a slice of a large mapped file costs few pages."""

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
    position
        `(z, y, x)` of the point, in voxels of the volume.
    extent
        `(z, y, x)` of the volume, in voxels.
    """

    xy: Plane
    xz: Plane
    yz: Plane
    position: tuple[int, int, int]
    extent: tuple[int, int, int]

    def voxels(self) -> Plane:
        """All that is drawn, in one row."""
        return np.concatenate([self.xy.ravel(), self.xz.ravel(), self.yz.ravel()])


def central_slices(volume: Volume, *, longest: int = LONGEST, centre: tuple[int, int, int] | None = None) -> Slices:
    """Slices through the centre `n // 2` of every axis, or another point; nothing else of the volume is read.

    Parameters
    ----------
    volume
        `(z, y, x)` of any real type, in memory or mapped; a tensor must be on the CPU.
    longest
        Every n-th voxel is taken where an axis is longer.
    centre
        `(z, y, x)` of the point, in voxels.
    """
    z, y, x = volume.shape
    at = (z // 2, y // 2, x // 2) if centre is None else centre
    step = -(-max(z, y, x) // longest)
    every = slice(None, None, step)
    return Slices(
        np.asarray(volume[at[0], every, every], dtype=np.float32),
        np.asarray(volume[every, at[1], every], dtype=np.float32),
        np.asarray(volume[every, every, at[2]], dtype=np.float32).T,
        at,
        (z, y, x),
    )


@dataclass(frozen=True)
class GreyLimits:
    """Black and white point for both sides of a comparison.

    Attributes
    ----------
    low, high
        Values of the file.
    percentiles
        What they are of the input's slices.
    """

    low: float
    high: float
    percentiles: tuple[float, float]


def grey_limits(before: Slices, after: Slices) -> GreyLimits:
    """Percentiles of the input's slices: the narrowest of `TAILS` that hold 99 % of the result's slices.

    Where noise is much stronger than what is restored, wide limits would show a plain grey result.
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
        """The largest that fits into `width` x `height` inches, labels included."""
        z, y, x = extent
        across, down = width - _LABEL - _GAP, height - _LABEL - _GAP
        return cls(extent, min(across / (x + z), down / (y + z)))

    @property
    def width(self) -> float:
        return _LABEL + _GAP + self.scale * (self.extent[2] + self.extent[0])

    @property
    def height(self) -> float:
        return _LABEL + _GAP + self.scale * (self.extent[1] + self.extent[0])


def draw_slices(
    figure: Figure,
    slices: Slices,
    layout: OrthoLayout,
    left: float,
    top: float,
    limits: GreyLimits,
    title: str,
    voxel_size: float | None = None,
) -> None:
    """Draw three slices with their upper left corner at `(left, top)` inches; a scale bar if `voxel_size` is given."""
    z, y, x = (n * layout.scale for n in slices.extent)
    nz, ny, nx = slices.extent
    first, second = left + _LABEL, left + _LABEL + x + _GAP
    upper, lower = top + _LABEL, top + _LABEL + y + _GAP
    barred = "xy" if y >= min(z, _ROOM) else "xz"  # where there is room for the bar and its length
    panels = (
        ("xy", slices.xy, (first, upper, x, y), (nx, ny)),
        ("yz", slices.yz, (second, upper, z, y), (nz, ny)),
        ("xz", slices.xz, (first, lower, x, z), (nx, nz)),
    )
    for name, plane, box, size in panels:
        axes = place(figure, *box, label=f"{name} {title}")
        show(axes, plane, size, (limits.low, limits.high))
        if name == barred and voxel_size is not None:
            scale_bar(axes, voxel_size, layout.scale)
    write(figure, first, top + _LABEL - 0.05, title, va="bottom", weight="bold")
    names = (("xy", left, upper + y / 2, 90), ("xz", left, lower + z / 2, 90), ("yz", second + z / 2, top + 0.03, 0))
    for name, across, down, angle in names:
        middle = {"ha": "center", "va": "center"}
        shift = (0.13, 0.0) if angle else (0.0, 0.09)
        write(figure, across + shift[0], down + shift[1], name, color=FAINT, rotation=angle, size=8.5, **middle)


def show(axes: Axes, plane: Plane, size: tuple[int, int], limits: tuple[float, float]) -> None:
    """One slice, first row at the bottom, its axes in voxels of the volume and without marks."""
    axes.imshow(
        plane,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, size[0], 0, size[1]),
        aspect="auto",
        origin="lower",
        interpolation="antialiased",
        interpolation_stage="data",
    )
    axes.set_axis_off()


def scale_bar(axes: Axes, voxel_size: float, scale: float) -> None:
    """A white bar of a round length in nanometres, at the lower left of axes that count voxels.

    Parameters
    ----------
    voxel_size
        Angstrom.
    scale
        Inches per voxel, which sets thickness and distances.
    """
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    across = axes.get_xlim()[1]
    length = round_length(across * voxel_size / 10 * 0.3)
    voxels = length * 10 / voxel_size
    inch = 1 / scale
    first, last = axes.get_ylim()
    up = inch if last > first else -inch  # rows may run downwards
    left, bottom, thick = 0.1 * inch, first + 0.1 * up, 0.045 * up
    axes.add_patch(
        Rectangle((left, bottom), voxels, thick, facecolor="white", edgecolor="black", linewidth=0.6, label="scale bar")
    )
    axes.text(
        left,
        bottom + thick + 0.03 * up,
        f"{length:g} nm",
        color="white",
        ha="left",
        va="bottom",
        size=8.5,
        weight="bold",
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, ... (and their tenths) that is not more than `most`."""
    decade = 10.0 ** np.floor(np.log10(most))
    return float(max(decade * m for m in (1, 2, 5) if decade * m <= most * (1 + 1e-9)))


def aspect_ratio(extent: Sequence[int]) -> float:
    """Width over height of the three slices laid out together."""
    z, y, x = extent
    return (x + z) / (y + z)
