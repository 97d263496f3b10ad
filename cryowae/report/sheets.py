"""Sheets of central slices: methods side by side, samples of a prior, steps between two codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cryowae.report.slices import Slices, Volume, central_slices, draw_slice
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, to_png, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE, _GAP, _LINE, _HEAD = 0.12, 0.06, 0.17, 0.24  # inches
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


@house_style()
def contact_sheet_figure(
    entries: Sequence[SheetEntry], voxel_size: float = 0, title: str = "", across: int = 5, *, normalise: bool = True
) -> Figure:
    """Slices xy and xz of volumes side by side, scores beneath; all with one pair of grey limits.

    Methods have scales of their own. Every volume is therefore brought to zero mean and unit standard deviation over
    its two slices first; for this, values beyond their 1 and 99 % percentiles are clipped, because of gold beads. All
    volumes are then drawn with the same grey limits, the 2 and 99.5 % percentiles of all of them together. The limits
    of the truth alone, much of which is empty, would make half of every noisy volume black.

    Parameters
    ----------
    entries
        Ground truth first, then input, then methods; they wrap after `across` columns.
    voxel_size
        Angstrom: draws a scale bar into the first slice; none if 0.
    title
        Heading.
    across
        Columns at most.
    normalise
        Scale the grey values as above, with a caption. Otherwise the volumes are unchanged (decoded samples of a prior,
        the steps from one code to another), and the limits are 0.5 and 99.5 % of all slices.
    """
    slices = [(_normalised if normalise else central_slices)(entry.volume) for entry in entries]
    tails, caption = ((2.0, 99.5), _CAPTION) if normalise else ((0.5, 99.5), "")
    nz, ny, nx = slices[0].extent
    low, high = np.percentile(np.concatenate([p.ravel() for cut in slices for p in (cut.xy, cut.xz)]), tails).tolist()
    limits = (low, high) if high > low else (low - 1.0, high + 1.0)
    rows = -(-len(entries) // across)
    columns = -(-len(entries) // rows)  # rows of equal length: six are three and three
    width = min((WIDTH - 2 * _EDGE - (columns - 1) * _GAP) / columns, 3.0)
    scale = width / nx
    block = _HEAD + (ny + nz) * scale + _GAP + _LINE * max(len(entry.scores) for entry in entries) + 0.12
    head = _EDGE / 2 + (0.26 if title else 0.0)
    total = head + rows * block + (0.3 if caption else 0.0)
    figure = new_figure(max(2 * _EDGE + columns * (width + _GAP) - _GAP, 5.8 if caption else 0.0), total)
    write(figure, _EDGE, _EDGE, title, size=11, weight="bold")
    write(figure, _EDGE, total - 0.24, caption, size=8, color=FAINT)
    for i, (entry, cut) in enumerate(zip(entries, slices, strict=True)):
        left, top = _EDGE + (i % columns) * (width + _GAP), head + (i // columns) * block + _HEAD
        write(figure, left, top - 0.06, _shortened(entry.title, width), va="baseline", weight="bold")
        bar = 0 if i else voxel_size
        draw_slice(figure, cut, "xy", (left, top), scale, limits, f"xy {entry.title}", bar)
        below = top + ny * scale + _GAP
        draw_slice(figure, cut, "xz", (left, below), scale, limits, f"xz {entry.title}")
        for j, (name, value) in enumerate(entry.scores.items(), 1):
            row = below + nz * scale + j * _LINE
            write(figure, left, row, name, color=FAINT, size=8.5, va="baseline")
            write(figure, left + width - 0.04, row, f"{value:.3f}", size=8.5, va="baseline", ha="right")
    return figure


draw_contact_sheet = to_png(contact_sheet_figure)


def _shortened(title: str, width: float) -> str:
    """The title, cut to the width of a column of `width` inches."""
    most = int(width / 0.078)  # a bold letter of 9 points
    return title if len(title) <= most else title[: most - 1] + "…"


def _normalised(volume: Volume) -> Slices:
    cut = central_slices(volume)
    voxels = np.concatenate([cut.xy.ravel(), cut.xz.ravel()])
    voxels = voxels.clip(*np.percentile(voxels, (1, 99)))  # a gold bead would reduce the contrast of the rest
    mean, spread = float(voxels.mean()), float(voxels.std()) or 1.0
    return replace(cut, xy=(cut.xy - mean) / spread, xz=(cut.xz - mean) / spread)
