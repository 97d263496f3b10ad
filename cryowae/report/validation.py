"""The picture of a validation: agreement with data that were held out, by frequency and by image, and the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cryowae.metrics.rings import BANDS, Agreement, curve_edges
from cryowae.metrics.significance import estimate_mean
from cryowae.report import style
from cryowae.report.slices import round_length
from cryowae.report.style import FAINT, INK, WIDTH, house_style, new_figure, outlined, place, to_png, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
_LAST = 0.35  # cycles per voxel; beyond, a tilt image has hardly any signal
_SIDE, _BETWEEN, _END, _TOP, _PANEL = 0.6, 0.75, 0.15, 0.95, 2.5  # inches
_MOST_NAMES = 9  # of units along an axis
_TALLEST = 4.0  # inches
_NARROWEST = 2.4  # inches between two images, for their titles
_EYE = (2.0, 10.0)  # pixels: the difference of two Gaussians shows what the eye can compare in a noisy image
_HALF = np.sqrt(np.log(2) / 2) / np.pi  # a Gaussian of s pixels passes half of the amplitude at this over s
_SIGMAS = 2.5  # grey limits of the images
_GREYS: tuple[dict[str, Any], ...] = (
    {"color": FAINT, "linestyle": (0, (4, 2)), "marker": "o"},
    {"color": "#AAAAAA", "linestyle": (0, (1, 1)), "marker": "s"},
)
_TITLES = ("real image, not used", "predicted by the tomogram", "predicted by its restoration")


@dataclass(frozen=True)
class ValidationFacts:
    """The words of the picture.

    Attributes
    ----------
    name
        The data.
    question
        What was tested.
    voxel_size
        Angstrom.
    kind
        `tilts` or `halves`.
    units
        Names of the images or blocks.
    model
        Name of the weights.
    """

    name: str
    question: str
    voxel_size: float
    kind: Literal["tilts", "halves"]
    units: tuple[str, ...]
    model: str


@house_style()
def validation_figure(
    agreements: Sequence[Agreement],
    facts: ValidationFacts,
    *,
    ceiling: NDArray[np.float64] | None = None,
    images: Sequence[NDArray[np.float32]] = (),
    shown: int = 0,
) -> Figure:
    """Correlation by frequency with its 95 % interval, and by image; below them the images.

    Parameters
    ----------
    agreements
        Of the input, a Gaussian filter of it, and restorations.
    facts
        The words.
    ceiling
        `(rings,)` the highest correlation possible, if it is known.
    images
        The real image and its predictions by the input and by the first restoration, `(y, x)`. They are filtered
        alike, and drawn from -2.5 to 2.5 of their own standard deviations.
    shown
        Number of their unit.
    """
    looks = [_GREYS[i] if i < 2 else {"color": style.SERIES[i - 2], "marker": "o"} for i in range(len(agreements))]
    width = (WIDTH - _SIDE - _BETWEEN - _END) / 2
    tall = _picture_height(images)
    figure = new_figure(WIDTH, _TOP + _PANEL + 0.65 + tall)
    write(figure, 0.12, 0.1, f"Validation of {facts.name}", size=11, weight="bold")
    write(figure, 0.12, 0.36, f"{facts.question}   Weights {facts.model}.", color=FAINT)
    left = place(figure, _SIDE, _TOP, width, _PANEL, label="curves")
    kind = "ring" if facts.kind == "tilts" else "shell"
    partner = "images left out" if facts.kind == "tilts" else "the other half"
    _ground(left, facts.voxel_size)
    edges = curve_edges()
    frequency = (edges[1:] + edges[:-1]) / 2
    for agreement, look in zip(agreements, looks, strict=True):
        _draw_curve(left, frequency, agreement, look)
    if ceiling is not None:
        left.plot(frequency, ceiling, color=INK, linewidth=0.8, label="ceiling: perfect restoration")
    left.set_title(f"Fourier {kind} correlation with {partner}; band: 95 %")
    left.legend(loc="upper right", handlelength=1.8)
    lengths = [f"{facts.voxel_size / k:.0f}" for k in BANDS]
    right = place(figure, _SIDE + width + _BETWEEN, _TOP, width, _PANEL, label="units")
    for i, (agreement, look) in enumerate(zip(agreements, looks, strict=True)):
        _draw_units(right, agreement, look, (i - (len(agreements) - 1) / 2) * 0.12)
    step = -(-len(facts.units) // _MOST_NAMES)
    at = list(range(0, len(facts.units), step))
    right.set_xticks(at, [facts.units[i].replace(", ", "\n") for i in at])
    right.axhline(0, color=FAINT, linewidth=0.7)
    each = "image (its tilt)" if facts.kind == "tilts" else "block"
    right.set_title(f"The band of {lengths[2]} to {lengths[1]} Å, for each {each}")
    if len(images) > 0:
        _draw_images(figure, images, facts, shown, _TOP + _PANEL + 1.2)
    return figure


draw_validation = to_png(validation_figure)


def _ground(axes: Axes, voxel_size: float) -> None:
    for edge in BANDS:
        axes.axvline(edge, color=FAINT, linewidth=0.5, alpha=0.5)
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.set_xticks(_TICKS, [f"{k:g}\n{voxel_size / k:.0f} Å" for k in _TICKS])
    axes.set(xlim=(0, _LAST), ylim=(-0.3, 1.02), xlabel="cycles per voxel, and length of one cycle")


def _draw_curve(axes: Axes, frequency: NDArray[np.float64], agreement: Agreement, look: dict[str, Any]) -> None:
    found = [estimate_mean(column, np.random.default_rng(0)) for column in agreement.curve.T]
    mean, low, high = (np.array([getattr(one, name) for one in found]) for name in ("mean", "low", "high"))
    line = {key: value for key, value in look.items() if key != "marker"}
    axes.plot(frequency, mean, label=agreement.name, **line)
    axes.fill_between(frequency, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _draw_units(axes: Axes, agreement: Agreement, look: dict[str, Any], offset: float) -> None:
    values = agreement.bands[:, 1]
    at = np.arange(len(values)) + offset
    axes.plot(at, values, color=look["color"], marker=look["marker"], linestyle="none", markersize=4)
    mean = float(np.nanmean(values))
    axes.axhline(mean, color=look["color"], linewidth=0.9, linestyle=look.get("linestyle", "-"), alpha=0.7)


def _picture_height(images: Sequence[NDArray[np.float32]]) -> float:
    if len(images) == 0:
        return 0.0
    rows, columns = images[0].shape
    return float(min(_column() * rows / columns, _TALLEST)) + 0.95


def _column() -> float:
    return (WIDTH - 0.3 - 2 * 0.12) / 3


def _draw_images(
    figure: Figure, images: Sequence[NDArray[np.float32]], facts: ValidationFacts, shown: int, top: float
) -> None:
    """Images side by side, each in units of its own standard deviation, black at -2.5 and white at 2.5."""
    rows, columns = images[0].shape
    scale = min(_column() / columns, _TALLEST / rows)
    shortest, longest = (facts.voxel_size * sigma / _HALF for sigma in _EYE)
    words = f"Filtered alike, to about {shortest:.0f} to {longest:.0f} Å, each in units of its own standard deviation."
    write(figure, 0.15, top - 0.5, words, color=FAINT)
    for i, (image, title) in enumerate(zip(images, _TITLES, strict=True)):
        left = 0.15 + i * (max(columns * scale, _NARROWEST) + 0.12)
        axes = place(figure, left, top, columns * scale, rows * scale, label=title)
        band = gaussian_filter(image, _EYE[0]) - gaussian_filter(image, _EYE[1])
        axes.imshow(band / (float(band.std()) or 1.0), clim=(-_SIGMAS, _SIGMAS), aspect="auto")
        axes.set_axis_off()
        axes.set_title(f"{title}, {facts.units[shown]}" if i == 0 else title, weight="bold")
    axes = figure.axes[-len(images)]
    length = round_length(columns * facts.voxel_size / 10 * 0.4)
    pixels = length * 10 / facts.voxel_size
    axes.plot((columns * 0.05, columns * 0.05 + pixels), (rows * 0.04,) * 2, color="white", linewidth=4)
    outlined(axes, columns * 0.05, rows * 0.06, f"{length:g} nm", size=8.5, weight="bold")
