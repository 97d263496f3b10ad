"""Pictures of baselines: images, figures over the epochs and over lambda, and bandwidths of a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor
from torch.nn.functional import one_hot, pad

from cryowae.baselines.digits import RestoredDigits
from cryowae.baselines.distances import Seen
from cryowae.baselines.model import SavedBaseline
from cryowae.data.images import signed, unsigned
from cryowae.report.style import FAINT, SERIES, WIDTH, count_in_decades, house_style, new_figure, place, save, write
from cryowae.train.state import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, str]
ACROSS = 10
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


@torch.no_grad()
@house_style()
def draw_baseline(saved: SavedBaseline, path: str | Path, seed: int = 0) -> Path:
    """Draw the images of a baseline, as titled mosaics in two columns.

    Parameters
    ----------
    saved
        From `read_baseline`, in evaluation mode.
    path
        PNG file; an existing file is replaced.
    seed
        Seed of the samples.

    Raises
    ------
    OutputError
        If `path` cannot be written.
    """
    gap, head, edge = 0.25, 0.3, 0.12
    width = (WIDTH - 2 * edge - gap) / 2
    tops, spots = [0.0, 0.0], []
    for title, images in baseline_mosaics(saved, seed).items():
        side, height = int(tops[0] > tops[1]), width * images.shape[0] / images.shape[1]
        spots.append((title, mosaic(images), (edge + side * (width + gap), tops[side] + head, width, height)))
        tops[side] += head + height + 0.05
    figure = new_figure(WIDTH, max(tops) + edge)
    for title, sheet, box in spots:
        write(figure, box[0], box[1] - 0.08, title, va="baseline", weight="bold")
        _show(figure, title, sheet, box, (0, 255))
    return save(figure, path)


@torch.no_grad()
def baseline_mosaics(saved: SavedBaseline, seed: int = 0) -> dict[str, Tensor]:
    """The images that are drawn, by title: `(rows, ACROSS, c, size, size)` uint8."""
    model, generator = saved.model, torch.Generator().manual_seed(seed)

    def made(codes: Tensor) -> Tensor:
        return unsigned(model.decode(codes)).cpu().view(-1, ACROSS, model.channels, model.size, model.size)

    found = {"samples of the prior": made(model.prior(6 * ACROSS, generator))}
    shown = saved.examples[:ACROSS].to(model.device)
    if model.encoder is not None and len(shown) == ACROSS:
        codes = model.encode(signed(shown))
        found["held-out images and their reconstructions"] = torch.cat([shown.cpu()[None], made(codes)])
        ends, between = codes, "interpolations between codes of held-out images"
    else:
        ends, between = model.prior(ACROSS, generator), "interpolations between samples of the prior"
    if model.classes:
        style = torch.randn(ACROSS, 1, model.style, generator=generator).expand(-1, model.classes, -1).flatten(0, 1)
        label = one_hot(torch.arange(model.classes), model.classes).float().repeat(ACROSS, 1)
        rows = made(torch.cat([label, style], 1).to(model.device))
        found["columns: classes; rows: random styles"] = rows[:6]
    shares = torch.linspace(0, 1, ACROSS, device=model.device)[:, None]
    ways = [torch.lerp(ends[i], ends[i + 1], shares) for i in range(0, 6, 2)]
    found[between] = made(torch.cat(ways))
    return found


def mosaic(images: Tensor) -> NDArray[np.uint8]:
    """`(rows, columns, c, size, size)` uint8 side by side with white lines between: `(y, x)`, or `(y, x, 3)`."""
    rows, columns, channels, size, _ = images.shape
    lined = pad(images, (0, 1, 0, 1), value=255).permute(0, 3, 1, 4, 2)
    sheet: NDArray[np.uint8] = lined.reshape(rows * (size + 1), columns * (size + 1), channels)[:-1, :-1].numpy()
    return sheet[..., 0] if channels == 1 else sheet


@house_style()
def draw_restored(restored: RestoredDigits, path: str | Path) -> Path:
    """Draw held-out digits as restored by every method, their scores, and decoded prior samples for every match."""
    rows: list[tuple[str, str, Tensor]] = []
    for name, images in restored.images.items():
        found = restored.scores.get(name)
        text = "" if found is None else f"NCC {found['ncc']:.2f}\nFSC {found['fsc_obs']:.2f} {found['fsc_mw']:.2f}"
        rows.append((f"match {name}" if name in restored.samples else name, text, images))
    rows += [(f"prior, {name}", "decoded samples", images) for name, images in restored.samples.items()]
    left, cell = 1.75, (WIDTH - 1.8) / ACROSS
    height = cell + 0.04
    figure = new_figure(WIDTH, 0.35 + len(rows) * height)
    write(figure, 0.1, 0.1, "FSC: outside and inside the wedge, up to half the Nyquist frequency", color=FAINT)
    for i, (title, text, images) in enumerate(rows):
        top, shown = 0.35 + i * height, images[:ACROSS, 0].float().cpu()
        write(figure, 0.1, top + 0.1, title, weight="bold")
        write(figure, 0.1, top + 0.3, text, size=8, color=FAINT)
        _show(figure, title, torch.cat(list(shown), 1).numpy(), (left, top, cell * len(shown), cell), (-1.5, 4.0))
    return save(figure, path)


def draw_log(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the terms of the objective over the epochs, from the rows of `log.csv`. Dashed: level of chance."""
    return _draw_history(rows, {title: {name: ""} for name, title in _TERMS.items()}, 1, path)


def draw_evaluation(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the figures over the epochs, from the rows of `evaluation.csv`: those that at least two rows have."""
    return _draw_history(rows, _FIGURES, 2, path)


@house_style()
def draw_weights(folders: Sequence[Path], path: str | Path) -> Path:
    """Draw a sweep on digits: errors, match and samples over lambda, and the accuracy of the discriminators."""
    ends = [read_rows(folder / "evaluation.csv")[-1] for folder in folders]
    models = list(dict.fromkeys(row["model"] for row in ends))
    opposed = [(folder, row) for folder, row in zip(folders, ends, strict=True) if row["model"] in ("wae-gan", "aae")]
    titles = [*_SWEEP, *([_TERMS["accuracy_style"]] if opposed else [])]
    figure, panels = _panels(titles, "lambda, for an error summed over the values of an image", top=0.6, height=2.0)
    for colour, model in zip(SERIES, models, strict=False):
        own = sorted((row for row in ends if row["model"] == model), key=lambda row: float(row["weight"]))
        for axes, lines in zip(panels, _SWEEP.values(), strict=False):
            axes.set_xscale("log")
            for name, line in lines.items():
                axes.plot(*_curve(own, name, "weight"), line, color=colour, label=model)
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


@house_style()
def draw_bandwidths(found: Sequence[Seen], path: str | Path) -> Path:
    """Draw the power over the bandwidth, one panel for each mismatch. Dotted lines: the sum over seven scales."""
    mismatches = list(dict.fromkeys(seen.mismatch for seen in found))
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


@house_style()
def _draw_history(rows: Sequence[Row], panels: Mapping[str, Mapping[str, str]], fewest: int, path: str | Path) -> Path:
    """Draw columns over the epochs: `panels` has the labels of the columns by title. Long curves are smoothed."""
    titles = [title for title, names in panels.items() if any(len(_curve(rows, n)[0]) >= fewest for n in names)]
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
    panels = []
    for i, title in enumerate(titles):
        left, down = 0.65 + i % across * (width + 0.7), top + i // across * (height + 0.75)
        panels.append(place(figure, left, down, width, height, label=title))
        panels[-1].set(title=title, xlabel=xlabel)
    return figure, panels


def _curve(rows: Sequence[Row], name: str, over: str = "epoch") -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns `over` and `name` of the rows that have a value of `name`."""
    there = [(float(row[over]), float(row[name])) for row in rows if row.get(name)]
    x, y = np.array(there).reshape(-1, 2).T
    return x, y


def _show(figure: Figure, title: str, sheet: NDArray[Any], box: tuple[float, ...], limits: tuple[float, float]) -> None:
    """An image in a box `(left, top, width, height)` in inches."""
    axes = place(figure, *box, label=title)
    axes.imshow(sheet, cmap="gray", vmin=limits[0], vmax=limits[1], origin="upper")
    axes.set_axis_off()
