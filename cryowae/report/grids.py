"""Sheets of central slices: methods side by side, samples of a prior, walks between two codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryowae.report.slices import Plane, central_slices, scale_bar, show
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, place, save, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryowae.report.slices import Volume

_EDGE = 0.12
_GAP = 0.06
_LINE = 0.17
_HEAD = 0.24
_CAPTION = "xy above, xz below; every volume at zero mean and unit standard deviation, the same grey for all"


@dataclass(frozen=True)
class SheetEntry:
    """One column of a contact sheet.

    Attributes
    ----------
    title
        Name of the method.
    volume
        `(z, y, x)`, the same shape in all columns.
    scores
        Name and value, written beneath in this order.
    """

    title: str
    volume: Volume
    scores: Mapping[str, float] = field(default_factory=dict)


def draw_contact_sheet(
    path: str | Path, entries: Sequence[SheetEntry], *, voxel_size: float, title: str = "", across: int = 5
) -> Path:
    """Draw xy and xz slices of methods side by side, scores beneath.

    Methods have scales of their own, so every volume is brought to zero mean and unit standard deviation over its two
    slices first; values beyond their 1 and 99 % percentiles count as these there, for gold beads. All are then drawn
    with the same grey limits, the 2 and 99.5 % percentiles of all of them together: those of the truth alone, much of
    which is empty, would make black of the lower half of every noisy volume.

    Parameters
    ----------
    path
        Where the PNG goes; an existing file is replaced.
    entries
        Ground truth first, then input, then methods; they wrap after `across` columns.
    voxel_size
        Angstrom.
    title
        Heading.
    across
        Columns at most.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    return save(contact_sheet_figure(entries, voxel_size, title, across), path)


def contact_sheet_figure(entries: Sequence[SheetEntry], voxel_size: float, title: str = "", across: int = 5) -> Figure:
    """The figure that `draw_contact_sheet` writes."""
    cells = [_Cell(entry.title, _normalised(entry.volume), entry.scores) for entry in entries]
    z, y, x = entries[0].volume.shape
    return _sheet(
        cells,
        _limits([cell.planes for cell in cells], tails=(2.0, 99.5)),
        (z, y, x),
        across,
        voxel_size,
        title,
        _CAPTION,
    )


def draw_volumes_grid(
    volumes: Sequence[Volume],
    titles: Sequence[str],
    path: str | Path,
    *,
    across: int = 5,
    voxel_size: float | None = None,
) -> Path:
    """Draw volumes by their xy and xz slices: decoded samples of a prior, the way from one code to another.

    Parameters
    ----------
    volumes
        `(z, y, x)` each, of one shape.
    titles
        One a volume.
    path
        Where the PNG goes; an existing file is replaced.
    across
        Columns at most.
    voxel_size
        Angstrom: draws a scale bar into the first slice.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    return save(volumes_figure(volumes, titles, across, voxel_size), path)


def volumes_figure(
    volumes: Sequence[Volume], titles: Sequence[str], across: int = 5, voxel_size: float | None = None
) -> Figure:
    """The figure that `draw_volumes_grid` writes: one pair of grey limits for all, 0.5 and 99.5 % of all slices."""
    slices = [central_slices(volume) for volume in volumes]
    pairs = [(one.xy, one.xz) for one in slices]
    cells = [_Cell(title, pair, {}) for title, pair in zip(titles, pairs, strict=True)]
    return _sheet(cells, _limits(pairs), slices[0].extent, across, voxel_size, "", "")


@dataclass(frozen=True)
class _Cell:
    title: str
    planes: tuple[Plane, Plane]
    scores: Mapping[str, float]


def _sheet(
    cells: Sequence[_Cell],
    limits: tuple[float, float],
    extent: tuple[int, int, int],
    across: int,
    voxel_size: float | None,
    title: str,
    caption: str,
) -> Figure:
    nz, ny, nx = extent
    rows = -(-len(cells) // across)
    columns = -(-len(cells) // rows)  # as even as it goes: six are three and three
    width = min((WIDTH - 2 * _EDGE - (columns - 1) * _GAP) / columns, 3.0)
    scale = width / nx
    block = _HEAD + (ny + nz) * scale + _GAP + _LINE * max(len(cell.scores) for cell in cells) + 0.12
    head = _EDGE / 2 + (0.26 if title else 0.0)
    with house_style():
        total = head + rows * block + (0.3 if caption else 0.0)
        figure = new_figure(max(2 * _EDGE + columns * (width + _GAP) - _GAP, 5.8 if caption else 0.0), total)
        if title:
            write(figure, _EDGE, _EDGE, title, size=11, weight="bold")
        if caption:
            write(figure, _EDGE, total - 0.24, caption, size=8, color=FAINT)
        for i, cell in enumerate(cells):
            left, top = _EDGE + (i % columns) * (width + _GAP), head + (i // columns) * block
            write(figure, left, top + _HEAD - 0.06, _shortened(cell.title, width), va="baseline", weight="bold")
            upper = place(figure, left, top + _HEAD, width, ny * scale, label=f"xy {cell.title}")
            show(upper, cell.planes[0], (nx, ny), limits)
            if i == 0 and voxel_size is not None:
                scale_bar(upper, voxel_size, scale)
            below = top + _HEAD + ny * scale + _GAP
            lower = place(figure, left, below, width, nz * scale, label=f"xz {cell.title}")
            show(lower, cell.planes[1], (nx, nz), limits)
            for j, (name, value) in enumerate(cell.scores.items()):
                row = below + nz * scale + (j + 1) * _LINE
                write(figure, left, row, name, color=FAINT, size=8.5, va="baseline")
                write(figure, left + width - 0.04, row, f"{value:.3f}", size=8.5, va="baseline", ha="right")
    return figure


def _limits(pairs: Sequence[tuple[Plane, Plane]], tails: tuple[float, float] = (0.5, 99.5)) -> tuple[float, float]:
    low, high = np.percentile(np.concatenate([plane.ravel() for pair in pairs for plane in pair]), tails)
    return (float(low), float(high)) if high > low else (float(low) - 1.0, float(high) + 1.0)


def _shortened(title: str, width: float) -> str:
    """As much of a title as fits above a column of `width` inches."""
    most = int(width / 0.078)  # a bold letter of 9 points
    return title if len(title) <= most else title[: most - 1] + "…"


def _normalised(volume: Volume) -> tuple[Plane, Plane]:
    slices = central_slices(volume)
    voxels = np.concatenate([slices.xy.ravel(), slices.xz.ravel()])
    voxels = voxels.clip(*np.percentile(voxels, (1, 99)))  # a gold bead would leave no contrast for all else
    mean, spread = float(voxels.mean()), float(voxels.std()) or 1.0
    return (slices.xy - mean) / spread, (slices.xz - mean) / spread
