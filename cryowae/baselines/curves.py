"""How the training of a baseline went: the terms of its objective, and what was measured, over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryowae.report.style import BLUE, FAINT, SERIES, WIDTH, count_in_decades, house_style, new_figure, place, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, str]
_TITLES = {
    "reconstruction": "reconstruction cost",
    "match": "match of the codes",
    "accuracy_style": "discriminator of the style: share of right answers",
    "accuracy_label": "discriminator of the class: share of right answers",
    "supervision": "cross-entropy of the known classes",
    "wasserstein": "distance that the critic sees",
    "penalty": "gradient penalty",
    "generator": "loss of the generator",
}
_DISTANCES = {"sample": "samples", "reconstruct": "reconstructions", "mixture": "mixture"}
_PANELS = {
    "LeNet distance to held-out images": {f"lenet_fd_{name}": label for name, label in _DISTANCES.items()},
    "FID": {f"inception_fd_{name}": label for name, label in _DISTANCES.items()},
    "mean squared error": {"mse": ""},
    "E z² / d; dashed: the prior's": {"power_ratio": ""},
    "MMD² of 2000 codes; dashed: chance, 95 %": {"mmd": ""},
    "sliced Wasserstein of codes; dashed: chance, 95 %": {"sliced": ""},
    "share of test digits with a wrong class": {"error": ""},
    "share of made digits with the class asked for": {"conditional": ""},
}
_DASHED: dict[str, Any] = {"color": FAINT, "linewidth": 0.7, "linestyle": (0, (4, 3))}


def draw_log(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the terms of the objective over the epochs, from the rows of `log.csv`; a dashed line is chance."""
    names = [name for name in _TITLES if any(row.get(name) for row in rows)]
    with house_style():
        figure, panels = _panels(names)
        for axes, name in zip(panels, names, strict=True):
            x, y = _curve(rows, name)
            axes.plot(x, y, color=BLUE, linewidth=0.6, alpha=0.35)
            axes.plot(x, _smoothed(y), color=BLUE, marker="o" if len(x) == 1 else "")  # a line needs two
            if name.startswith("accuracy"):
                axes.axhline(0.5, **_DASHED)
                axes.set_ylim(0, 1)
            axes.set_title(_TITLES[name])
    return save(figure, path)


def draw_evaluation(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw what was measured over the epochs, from the rows of `evaluation.csv`: what at least two of them have."""
    titles = [title for title, names in _PANELS.items() if any(len(_curve(rows, name)[0]) > 1 for name in names)]
    with house_style():
        figure, panels = _panels(titles, 0.55)
        for axes, title in zip(panels, titles, strict=True):
            names = [name for name in _PANELS[title] if len(_curve(rows, name)[0])]
            for colour, name in zip(SERIES, names, strict=False):
                axes.plot(*_curve(rows, name), ".-", color=colour, label=_PANELS[title][name])
            axes.set_title(title)
            axes.locator_params(axis="x", integer=True)
            null = _curve(rows, f"{names[0]}_null95")[1]
            if names == ["mmd"]:
                mark_chance(axes, _curve(rows, "mmd")[1], null.max())
            elif len(null) or names == ["power_ratio"]:
                axes.axhline(null.max() if len(null) else 1, **_DASHED)
            elif len(_PANELS[title]) > 1:
                count_in_decades(axes)
                axes.set_title(title, pad=18)
                axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.97), ncols=3, borderpad=0, handlelength=1.4)
    return save(figure, path)


def mark_chance(axes: Axes, values: Sequence[float] | NDArray[Any], limit: float) -> None:
    """Draw where chance ends, on an axis that is linear below the decade of it and logarithmic beyond."""
    linear = 10.0 ** math.floor(math.log10(max(limit, 1e-9)))
    axes.axhline(limit, **_DASHED)
    axes.set_yscale("symlog", linthresh=linear)
    axes.set_ylim(1.2 * min(-linear, *values), 2 * max(limit, *values))


def _panels(names: Sequence[str], top: float = 0.3) -> tuple[Figure, list[Axes]]:
    # two abreast, over the epochs
    width, height = (WIDTH - 1.6) / 2, 1.5
    figure = new_figure(WIDTH, top - 0.2 + -(-len(names) // 2) * (height + 0.75))
    panels = [
        place(figure, 0.65 + i % 2 * (width + 0.7), top + i // 2 * (height + 0.75), width, height, label=name)
        for i, name in enumerate(names)
    ]
    for axes in panels:
        axes.set_xlabel("epoch")
    return figure, panels


def _curve(rows: Sequence[Row], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    there = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    x, y = np.array(there).reshape(-1, 2).T
    return x, y


def _smoothed(values: NDArray[Any]) -> NDArray[Any]:
    width = max(len(values) // 25, 1) * 2 - 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
