"""The sweep of lambda: what the weight of the match does to reconstructions, codes and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from cryowae.baselines.curves import mark_chance
from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.experiment import run_baseline
from cryowae.baselines.model import read_baseline
from cryowae.config import BaselineConfig
from cryowae.errors import OutputError
from cryowae.progress import SILENT, Progress
from cryowae.report.curves import count_in_decades
from cryowae.report.style import FAINT, SERIES, WIDTH, house_style, new_figure, place, save
from cryowae.train.rows import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, str]
_ACCURACY = "accuracy_style"


def sweep_weights(
    configs: Sequence[BaselineConfig],
    judge: Evaluation,
    output: Path,
    *,
    device: str = "auto",
    progress: Progress = SILENT,
) -> list[Path]:
    """Train baselines one after the other, each in `output/MODEL-WEIGHT`; their folders.

    What is finished there is left as it is, and what was interrupted goes on.

    Raises
    ------
    OutputError
        If a folder holds a run of another configuration.
    """
    folders = []
    for config in configs:
        folder = output / f"{config.model}-{config.weight:g}"
        folders.append(folder)
        weights, last = folder / "weights.safetensors", folder / "last.safetensors"
        if weights.exists():
            if read_baseline(weights, "cpu").model.config != config:
                raise OutputError(f"{folder} holds a run of other settings; choose another --output")
            continue
        run_baseline(config, judge, folder, resume=last.exists(), device=device, progress=progress)
    return folders


def draw_weights(folders: Sequence[Path], path: str | Path) -> Path:
    """Draw a sweep on digits: errors, match and samples over lambda, and the discriminators while they learn."""
    ends = [read_rows(folder / "evaluation.csv")[-1] for folder in folders]
    models = list(dict.fromkeys(row["model"] for row in ends))
    judged = [(folder, row) for folder, row in zip(folders, ends, strict=True) if row["model"] in ("wae-gan", "aae")]
    width, height = (WIDTH - 1.6) / 2, 2.0
    with house_style():
        figure = new_figure(WIDTH, 2 * height + 1.95)
        panels = [
            place(figure, 0.7 + i % 2 * (width + 0.75), 0.6 + i // 2 * (height + 0.85), width, height, label=str(i))
            for i in range(4 if judged else 3)
        ]
        for colour, model in zip(SERIES, models, strict=False):
            mine = sorted((row for row in ends if row["model"] == model), key=lambda row: float(row["weight"]))
            _plot(panels[0], mine, "mse", colour, "o-", model)
            _plot(panels[1], mine, "mmd", colour, "o-", model)
            for name, line in (("sample", "o-"), ("mixture", ".:"), ("reconstruct", ".--")):
                _plot(panels[2], mine, f"lenet_fd_{name}", colour, line, name)
        mark_chance(panels[1], [float(row["mmd"]) for row in ends], median(float(row["mmd_null95"]) for row in ends))
        count_in_decades(panels[2])
        titles = (
            "mean squared error",
            "MMD² of 2000 codes; dashed: chance, 95 %",
            "LeNet distance: samples —, mixture ···, reconstructions - -",
        )
        for axes, title in zip(panels[:3], titles, strict=True):
            axes.set(title=title, xscale="log", xlabel="lambda, beside a sum over the values of an image")
        if judged:
            _draw_discriminators(panels[3], judged)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=len(models))
    return save(figure, path)


def _plot(axes: Axes, rows: Sequence[Row], name: str, colour: str, line: str, label: str) -> None:
    there = [row for row in rows if row.get(name)]
    if there:
        values = [float(row[name]) for row in there]
        axes.plot([float(row["weight"]) for row in there], values, line, color=colour, label=label)


def _draw_discriminators(axes: Axes, judged: Sequence[tuple[Path, Row]]) -> None:
    axes.axhline(0.5, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
    for colour, (folder, end) in zip(SERIES, judged, strict=False):
        log = [row for row in read_rows(folder / "log.csv") if row.get(_ACCURACY)]
        epochs = sorted({-(-float(row["epoch"]) // 0.5) / 2 for row in log})  # means over half an epoch
        means = []
        for epoch in epochs:
            some = [float(row[_ACCURACY]) for row in log if epoch - 0.5 < float(row["epoch"]) <= epoch]
            means.append(sum(some) / len(some))
        axes.plot(epochs, means, color=colour, label=f"lambda {float(end['weight']):g}")
    axes.set(title="discriminator: share of right answers", xlabel="epoch", ylim=(0, 1))
    axes.legend(fontsize=7, loc="lower left", ncols=2)
