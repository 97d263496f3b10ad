"""Pictures of a volume before and after: restored, or without its wedge. Slices, power spectra, figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from cryowae.report.slices import (
    LONGEST,
    central_slices,
    comparison_greys,
    draw_slice,
    draw_slices,
    fit_slices,
    greys_of_sides,
)
from cryowae.report.spectra import Comparison, Volume, colour_limits, compare_spectra, draw_spectra
from cryowae.report.style import FAINT, WIDTH, Point, house_style, new_figure, to_png, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE, _GAP, _LINE = 0.12, 0.3, 0.185  # inches
_CHARACTERS = 42  # of a line of text
_TALLEST = 6.0  # inches: slices of a restoration
_CUT_SIDE, _CUT_TALLEST = 3.2, 4.4  # inches: spectra, and slices, of a volume whose wedge was cut


@dataclass(frozen=True)
class RestorationFacts:
    """Facts for the picture of a restoration, in addition to the figures measured for it.

    Attributes
    ----------
    voxel_size
        Angstrom.
    tilt_min, tilt_max
        Extreme tilts in degrees.
    tilt_source
        Their source, e.g. the name of a file or `--tilt-range`.
    contrast
        `"dark"` or `"bright"`: how protein looks in the file.
    model
        Name of the weights.
    seconds
        Time that the restoration took; left out when None.
    notes
        Further `(name, value)` pairs, drawn beneath.
    """

    voxel_size: float
    tilt_min: float
    tilt_max: float
    tilt_source: str = ""
    contrast: str = ""
    model: str = ""
    seconds: float | None = None
    notes: Sequence[tuple[str, str]] = ()


@house_style()
def restoration_figure(
    before: Volume, after: Volume, facts: RestorationFacts, title: str = "", comparison: Comparison | None = None
) -> Figure:
    """A restoration: slices before and after, power spectra, and the most important figures.

    The picture states the grey limits: the same on both sides, unless the result would look flat. The sign is that of
    the file: protein is dark or bright as in the file.

    Parameters
    ----------
    before, after
        `(z, y, x)` input and result, in memory or mapped. Three slices and one central block of each are read.
    facts
        Text beside the spectra.
    title
        Heading, e.g. the name of the file.
    comparison
        Comparison of the two, if it exists already.
    """
    comparison = comparison or compare_spectra(before, after, facts.tilt_min, facts.tilt_max)
    names = ("input", "restored")
    sides = [central_slices(before), central_slices(after)]
    *limits, greys = greys_of_sides(*sides)
    lines = _lines(facts, comparison, sides[0].extent, greys)
    head = _EDGE + (0.22 if title else 0.0)
    height, scale, corners, spectra, side, text = _plan(sides[0].extent, head, len(lines) * _LINE)
    figure = new_figure(WIDTH, height)
    write(figure, _EDGE + 0.24, _EDGE, title, size=11, weight="bold")
    for name, slices, corner, grey in zip(names, sides, corners, limits, strict=True):
        draw_slices(figure, slices, corner, scale, grey, name, facts.voxel_size)
    draw_spectra(figure, comparison, names, spectra, side, _GAP, colour_limits(comparison.before))
    for i, (name, value) in enumerate(lines, 1):
        write(figure, text[0], text[1] + i * _LINE, name, color=FAINT, size=8.5, va="baseline")
        write(figure, text[0] + 0.85, text[1] + i * _LINE, value, size=8.5, va="baseline")
    return figure


draw_restoration = to_png(restoration_figure)


@house_style()
def wedge_figure(
    before: Volume, after: Volume, tilts: tuple[float, float], voxel_size: float, title: str = "", note: str = ""
) -> Figure:
    """A volume before and after the wedge was cut: power over kx and kz with the extreme tilts, and xz slices.

    Both spectra have one scale of colours. Each slice has its own grey limits: noise, if some was added, would have no
    contrast with the limits of a volume without noise.

    Parameters
    ----------
    before, after
        `(z, y, x)`, in memory or mapped; a slice and the central block of each are read.
    tilts
        Lowest and highest, degrees.
    voxel_size
        Angstrom.
    title, note
        Heading, and text beneath.
    """
    comparison = compare_spectra(before, after, *tilts)
    sides = [central_slices(volume) for volume in (before, after)]
    names = ("before", "after")
    nz, _, nx = sides[0].extent
    column = (WIDTH - 2 * _EDGE - _GAP) / 2
    scale = min(column / nx, _CUT_TALLEST / nz)  # inches per voxel
    upper = _EDGE + (0.3 if title else 0.0) + 0.2
    lower = upper + _CUT_SIDE + 0.72
    figure = new_figure(WIDTH, lower + nz * scale + 0.32)
    write(figure, _EDGE, _EDGE, title[:85], size=11, weight="bold")
    colours = max(colour_limits(power) for power in (comparison.before, comparison.after))
    draw_spectra(figure, comparison, names, (_EDGE + 0.35, upper), _CUT_SIDE, column + _GAP - _CUT_SIDE, colours)
    for i, (name, one) in enumerate(zip(names, sides, strict=True)):
        left, (limits, _) = _EDGE + i * (column + _GAP), comparison_greys(one, one)
        write(figure, left, lower - 0.06, f"xz, {name}", va="baseline", size=9.5)
        draw_slice(figure, one, "xz", (left, lower), scale, limits, f"xz {name}", 0 if i else voxel_size)
    words = [note, "left and right of the lines: measured", "each slice has its own grey limits"]
    write(figure, _EDGE, lower + nz * scale + 0.1, "; ".join(filter(None, words)), size=8, color=FAINT)
    return figure


draw_wedge = to_png(wedge_figure)


def _plan(
    extent: tuple[int, int, int], head: float, words: float
) -> tuple[float, float, list[Point], Point, float, Point]:
    """Inches: height of the figure, scale and corners of the slices, corner and side of the spectra, corner of text.

    `head` is the height of the title, `words` that of the text.
    """
    z, y, x = extent
    ratio = (x + z) / (y + z)  # width over height of the three slices together
    if ratio < 0.65:  # tall slices side by side, the rest in a column at their right
        size = 1.75
        column = 2 * size + 1.0
        scale, _, tall = fit_slices(extent, (WIDTH - column - 2 * _EDGE) / 2, _TALLEST)
        left, top = WIDTH - column + 0.45, head + 0.3
        corners = [(_EDGE, head), (_EDGE + (left - 0.5) / 2, head)]
        height = head + max(tall, 0.3 + size + 0.5 + words) + _EDGE
        return height, scale, corners, (left, top), size, (left - 0.1, top + size + 0.45)
    size = 2.05
    if ratio > 1.9:  # flat slices, one side above the other
        scale, _, tall = fit_slices(extent, WIDTH - 2 * _EDGE, _TALLEST)
        corners = [(_EDGE, head), (_EDGE, head + tall + 0.08)]
    else:
        scale, wide, tall = fit_slices(extent, (WIDTH - 3 * _EDGE) / 2, _TALLEST)
        corners = [(_EDGE, head), (WIDTH - _EDGE - wide, head)]
    left, top = _EDGE + 0.4, corners[1][1] + tall + 0.42
    height = top + max(size + 0.45, words + _EDGE)
    return height, scale, corners, (left, top), size, (left + 2 * size + 0.65, top - 0.1)


def _lines(
    facts: RestorationFacts, comparison: Comparison, extent: tuple[int, int, int], greys: str
) -> list[tuple[str, str]]:
    """Names and values in lines of at most `_CHARACTERS`; an empty value has no line."""
    z, y, x = extent
    step = -(-max(extent) // LONGEST)
    seconds = facts.seconds or 0.0
    time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
    lines = [
        ("volume", f"{x} x {y} x {z} voxels (x, y, z) of {facts.voxel_size:.4g} Å"),
        ("tilts", f"{facts.tilt_min:+.4g}° to {facts.tilt_max:+.4g}°"),
        ("", re.sub(r"\S*/", "", facts.tilt_source)),  # names of files without their folders
        ("protein", f"{facts.contrast}, drawn as in the file" if facts.contrast else ""),
        ("slices", "central, one voxel thick" + (f", one voxel in {step} drawn" if step > 1 else "")),
        ("grey", greys),
        ("in the wedge", f"{comparison.inferred_share:.1%} of the power: nothing was measured there"),
        ("the rest", f"denoised by the network, correlation {comparison.measured_correlation:.2f} with the input"),
        ("model", facts.model),
        ("time", "" if facts.seconds is None else time),
        *facts.notes,
    ]
    return [(name if i == 0 else "", part) for name, value in lines for i, part in enumerate(wrap(value, _CHARACTERS))]
