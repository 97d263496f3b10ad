"""The picture of a restoration: slices before and after, power spectra, and the most important figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cryowae.report.slices import LONGEST, GreyLimits, OrthoLayout, central_slices, comparison_greys
from cryowae.report.spectra import Comparison, compare_spectra, draw_spectra
from cryowae.report.style import FAINT, WIDTH, Point, house_style, new_figure, save, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE = 0.12
_LINE = 0.185
_CHARACTERS = 42
_TALLEST = 6.0


@dataclass(frozen=True)
class RestorationFacts:
    """Facts that the picture of a restoration states, besides those that it measures itself.

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


def draw_restoration(
    path: str | Path, before: NDArray[Any], after: NDArray[Any], facts: RestorationFacts, *, title: str = ""
) -> Comparison:
    """Draw a restoration into a PNG.

    Both sides have the same grey limits, percentiles of the input that the picture states. The sign is that of the
    file: protein is dark or bright as in the file.

    Parameters
    ----------
    path
        Where the PNG goes; an existing file is replaced.
    before, after
        `(z, y, x)` input and result, in memory or mapped. Three slices and one central block of each are read.
    facts
        What is written beside the spectra.
    title
        Heading, e.g. the name of the file.

    Returns
    -------
    comparison
        The spectra of the central block and the two figures made of them.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    comparison = compare_spectra(before, after, facts.tilt_min, facts.tilt_max)
    save(restoration_figure(before, after, facts, comparison, title), path)
    return comparison


@house_style()
def restoration_figure(
    before: NDArray[Any], after: NDArray[Any], facts: RestorationFacts, comparison: Comparison, title: str = ""
) -> Figure:
    """The figure that `draw_restoration` writes."""
    names = ("input", "restored")
    sides = [central_slices(before), central_slices(after)]
    limits = comparison_greys(*sides)
    lines = _lines(facts, comparison, sides[0].extent, limits)
    plan = _plan(sides[0].extent, _EDGE + (0.22 if title else 0.0), len(lines))
    figure = new_figure(WIDTH, plan.height)
    write(figure, _EDGE + 0.24, _EDGE, title, size=11, weight="bold")
    for name, slices, corner in zip(names, sides, plan.slices, strict=True):
        plan.layout.draw(figure, slices, corner, limits, name, facts.voxel_size)
    draw_spectra(figure, comparison, names, plan.spectra, plan.spectrum)
    for i, (name, value) in enumerate(lines):
        row = plan.text[1] + (i + 1) * _LINE
        write(figure, plan.text[0], row, name, color=FAINT, size=8.5, va="baseline")
        write(figure, plan.text[0] + 0.85, row, value, size=8.5, va="baseline")
    return figure


@dataclass(frozen=True)
class _Plan:
    """Upper left corners and sizes of the parts, in inches."""

    height: float
    layout: OrthoLayout
    slices: list[Point]
    spectra: list[Point]
    spectrum: float
    text: Point


def _plan(extent: tuple[int, int, int], head: float, lines: int) -> _Plan:
    z, y, x = extent
    ratio = (x + z) / (y + z)  # width over height of the three slices together
    words = lines * _LINE
    if ratio < 0.65:  # tall slices side by side, all else in a column at their right
        size = 1.75
        column = 2 * size + 1.0
        layout = OrthoLayout.fit(extent, (WIDTH - column - 2 * _EDGE) / 2, _TALLEST)
        left = WIDTH - column + 0.45
        top = head + 0.3
        corners = [(_EDGE, head), (_EDGE + (left - 0.5) / 2, head)]
        spectra = [(left, top), (left + size + 0.3, top)]
        height = head + max(layout.height, 0.3 + size + 0.5 + words) + _EDGE
        return _Plan(height, layout, corners, spectra, size, (left - 0.1, top + size + 0.45))
    size = 2.05
    if ratio > 1.9:  # flat slices, one side above the other
        layout = OrthoLayout.fit(extent, WIDTH - 2 * _EDGE, _TALLEST)
        corners = [(_EDGE, head), (_EDGE, head + layout.height + 0.08)]
    else:
        layout = OrthoLayout.fit(extent, (WIDTH - 3 * _EDGE) / 2, _TALLEST)
        corners = [(_EDGE, head), (WIDTH - _EDGE - layout.width, head)]
    top = corners[1][1] + layout.height + 0.42
    left = _EDGE + 0.4
    spectra = [(left, top), (left + size + 0.3, top)]
    height = top + max(size + 0.45, words + _EDGE)
    return _Plan(height, layout, corners, spectra, size, (spectra[1][0] + size + 0.35, top - 0.1))


def _lines(
    facts: RestorationFacts, comparison: Comparison, extent: tuple[int, int, int], grey: GreyLimits
) -> list[tuple[str, str]]:
    """Names and values in lines of at most `_CHARACTERS`; an empty value has no line."""
    z, y, x = extent
    low, high = grey.percentiles
    step = -(-max(extent) // LONGEST)
    seconds = facts.seconds or 0.0
    time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
    lines = [
        ("volume", f"{x} x {y} x {z} voxels (x, y, z) of {facts.voxel_size:.4g} Å"),
        ("tilts", f"{facts.tilt_min:+.4g}° to {facts.tilt_max:+.4g}°"),
        ("", re.sub(r"\S*/", "", facts.tilt_source)),  # names of files without their folders
        ("protein", f"{facts.contrast}, drawn as the file has it" if facts.contrast else ""),
        ("slices", "central, one voxel thick" + (f", one voxel in {step} drawn" if step > 1 else "")),
        ("grey", f"{low:g} to {high:g} % of the input, on both sides"),
        ("inferred", f"{comparison.inferred_share:.1%} of the result's power is in the wedge"),
        ("correlation", f"{comparison.measured_correlation:.2f} with the input where it was measured"),
        ("model", facts.model),
        ("time", "" if facts.seconds is None else time),
        *facts.notes,
    ]
    return [(name if i == 0 else "", part) for name, value in lines for i, part in enumerate(wrap(value, _CHARACTERS))]
