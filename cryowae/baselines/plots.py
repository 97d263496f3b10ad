"""Plots of baselines: terms and figures over the epochs, a sweep of lambda, and the bandwidths of a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from cryowae.baselines.bandwidth import Seen
from cryowae.report.style import FAINT, SERIES, WIDTH, count_in_decades, house_style, new_figure, place, save
from cryowae.train.rows import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, str]
_TERMS = {
    "reconstruction": "reconstruction cost",
    "match": "match of the codes",
    "accuracy_style": "accuracy of the style discriminator",
    "accuracy_label": "accuracy of the class discriminator",
    "supervision": "cross-entropy of the known classes",
    "wasserstein": "Wasserstein distance by the critic",
    "penalty": "gradient penalty",
    "generator": "loss of the generator",
}
_MMD = "MMD² of 2000 codes; dashed: chance, 95 %"
_DISTANCES = {"sample": "samples", "reconstruct": "reconstructions", "mixture": "mixture"}
_FIGURES = {
    "LeNet distance to held-out images": {f"lenet_fd_{name}": label for name, label in _DISTANCES.items()},
    "FID": {f"inception_fd_{name}": label for name, label in _DISTANCES.items()},
    "mean squared error": {"mse": ""},
    "E z² / d; dashed: of the prior": {"power_ratio": ""},
    _MMD: {"mmd": ""},
    "sliced Wasserstein of codes; dashed: chance, 95 %": {"sliced": ""},
    "share of test digits with a wrong class": {"error": ""},
    "share of samples with the requested class": {"conditional": ""},
}
_SWEEP = {
    "mean squared error": {"mse": "o-"},
    _MMD: {"mmd": "o-"},
    "LeNet distance: samples —, mixture ···, reconstructions - -": {
        "lenet_fd_sample": "o-",
        "lenet_fd_mixture": ".:",
        "lenet_fd_reconstruct": ".--",
    },
}
_KERNELS = {"imq": "inverse multiquadratic", "gaussian": "Gaussian"}
_CHANCE: dict[str, Any] = {"color": FAINT, "linewidth": 0.7, "linestyle": (0, (4, 3))}


def draw_log(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the terms of the objective over the epochs, from the rows of `log.csv`. A dashed line is chance."""
    return _draw_history(rows, {title: {name: ""} for name, title in _TERMS.items()}, 1, path)


def draw_evaluation(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the figures over the epochs, from the rows of `evaluation.csv`: those that at least two rows have."""
    return _draw_history(rows, _FIGURES, 2, path)


def draw_weights(folders: Sequence[Path], path: str | Path) -> Path:
    """Draw a sweep on digits: errors, match and samples over lambda, and the accuracy of the discriminators."""
    ends = [read_rows(folder / "evaluation.csv")[-1] for folder in folders]
    models = list(dict.fromkeys(row["model"] for row in ends))
    opposed = [(folder, row) for folder, row in zip(folders, ends, strict=True) if row["model"] in ("wae-gan", "aae")]
    titles = [*_SWEEP, *([_TERMS["accuracy_style"]] if opposed else [])]
    with house_style():
        figure, panels = _panels(titles, "lambda, for an error summed over the values of an image", top=0.6, height=2.0)
        for colour, model in zip(SERIES, models, strict=False):
            own = sorted((row for row in ends if row["model"] == model), key=lambda row: float(row["weight"]))
            for axes, lines in zip(panels, _SWEEP.values(), strict=False):
                for name, line in lines.items():
                    axes.plot(*_curve(own, name, "weight"), line, color=colour, label=model)
        for axes in panels[:3]:
            axes.set_xscale("log")
        _mark_chance(panels[1], _curve(ends, "mmd", "weight")[1], median(_curve(ends, "mmd_null95", "weight")[1]))
        count_in_decades(panels[2])
        for colour, (folder, end) in zip(SERIES, opposed, strict=False):
            x, y = _curve(read_rows(folder / "log.csv"), "accuracy_style")
            epochs, which = np.unique(np.ceil(2 * x) / 2, return_inverse=True)  # means over half an epoch
            means = np.bincount(which, y) / np.bincount(which)
            panels[3].plot(epochs, means, color=colour, label=f"lambda {float(end['weight']):g}")
        if opposed:
            panels[3].axhline(0.5, **_CHANCE)
            panels[3].set(xlabel="epoch", ylim=(0, 1))
            panels[3].legend(fontsize=7, loc="lower left", ncols=2)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=len(models))
    return save(figure, path)


def draw_bandwidths(found: Sequence[Seen], path: str | Path) -> Path:
    """Draw the power over the bandwidth, one panel for each mismatch. Dotted lines: the sum over seven scales."""
    mismatches = list(dict.fromkeys(seen.mismatch for seen in found))
    with house_style():
        figure, panels = _panels(mismatches, "bandwidth / mean squared distance", top=0.65, across=len(mismatches))
        for axes, mismatch in zip(panels, mismatches, strict=True):
            axes.axhline(0.05, **_CHANCE)
            for colour, (kernel, name) in zip(SERIES, _KERNELS.items(), strict=False):
                own = [seen for seen in found if (seen.mismatch, seen.kernel) == (mismatch, kernel)]
                x, y = np.array([(seen.bandwidth, seen.power) for seen in own if seen.bandwidth]).reshape(-1, 2).T
                axes.plot(x, y, ".-", color=colour, label=name)
                for seen in own:
                    if not seen.bandwidth:
                        axes.axhline(seen.power, color=colour, linewidth=1.0, linestyle=":")
            axes.set(xscale="log", ylim=(-0.02, 1.04))
        panels[0].set_ylabel("share of rejected batches")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=2)
    return save(figure, path)


def _draw_history(rows: Sequence[Row], panels: Mapping[str, Mapping[str, str]], fewest: int, path: str | Path) -> Path:
    """Draw columns over the epochs: `panels` has the labels of the columns by title. Long curves are smoothed."""
    titles = [title for title, names in panels.items() if any(len(_curve(rows, n)[0]) >= fewest for n in names)]
    with house_style():
        figure, placed = _panels(titles, "epoch", top=0.55)
        for axes, title in zip(placed, titles, strict=True):
            names = [name for name in panels[title] if len(_curve(rows, name)[0])]
            for colour, name in zip(SERIES, names, strict=False):
                x, y = _curve(rows, name)
                smooth = uniform_filter1d(y, max(len(y) // 25, 1) * 2 - 1, mode="nearest")
                axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.35)
                axes.plot(x, smooth, marker="." if len(x) < 50 else "", color=colour, label=panels[title][name])
            axes.locator_params(axis="x", integer=True)
            null = _curve(rows, f"{names[0]}_null95")[1]
            if names[0].startswith("accuracy"):
                axes.axhline(0.5, **_CHANCE)
                axes.set_ylim(0, 1)
            elif names == ["mmd"]:
                _mark_chance(axes, _curve(rows, "mmd")[1], null.max())
            elif len(null) or names == ["power_ratio"]:
                axes.axhline(null.max() if len(null) else 1, **_CHANCE)
            elif len(panels[title]) > 1:
                count_in_decades(axes)
                axes.set_title(title, pad=18)
                axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.97), ncols=3, borderpad=0, handlelength=1.4)
    return save(figure, path)


def _mark_chance(axes: Axes, values: NDArray[Any], limit: float) -> None:
    """Draw the limit of chance on an axis that is linear below its decade and logarithmic beyond."""
    linear = 10.0 ** math.floor(math.log10(max(limit, 1e-9)))
    axes.axhline(limit, **_CHANCE)
    axes.set_yscale("symlog", linthresh=linear)
    axes.set_ylim(1.2 * min(-linear, *values), 2 * max(limit, *values))


def _panels(
    titles: Sequence[str], xlabel: str, top: float = 0.3, height: float = 1.5, across: int = 2
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, `across` side by side; `top` and `height` in inches."""
    width = (WIDTH - 0.2) / across - 0.7
    figure = new_figure(WIDTH, top - 0.2 + -(-len(titles) // across) * (height + 0.75))
    panels = [
        place(
            figure, 0.65 + i % across * (width + 0.7), top + i // across * (height + 0.75), width, height, label=title
        )
        for i, title in enumerate(titles)
    ]
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xlabel=xlabel)
    return figure, panels


def _curve(rows: Sequence[Row], name: str, over: str = "epoch") -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns `over` and `name` of the rows that have a value of the latter."""
    there = [(float(row[over]), float(row[name])) for row in rows if row.get(name)]
    x, y = np.array(there).reshape(-1, 2).T
    return x, y
