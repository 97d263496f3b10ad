"""Several runs: a sweep of lambda, and tables of runs with means and standard deviations over seeds."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.experiment import run_baseline
from cryowae.baselines.model import read_baseline
from cryowae.config import BaselineConfig
from cryowae.errors import ConfigError, OutputError
from cryowae.io.outputs import write_text
from cryowae.progress import SILENT, Progress
from cryowae.train.rows import read_rows, write_rows

_KEYS = ("data", "model", "preset", "weight", "code", "labels", "training_images", "epoch", "epochs", "changed")
_HEADINGS = {
    "mse": ("MSE", 4),
    "power_of_means": ("E m²", 2),
    "power": ("E z²", 2),
    "power_ratio": ("E z² / d", 3),
    "mmd": ("MMD²", 4),
    "mmd_null95": ("null 95 %", 4),
    "sliced": ("sliced W", 3),
    "sliced_null95": ("null 95 %", 3),
    "lenet_fd_reconstruct": ("LeNet FD reconstruct", 2),
    "lenet_fd_sample": ("LeNet FD sample", 2),
    "lenet_fd_mixture": ("LeNet FD GMM", 2),
    "inception_fd_reconstruct": ("FID reconstruct", 2),
    "inception_fd_sample": ("FID sample", 2),
    "inception_fd_mixture": ("FID GMM", 2),
    "inception_kid_sample": ("KID sample", 4),
    "error": ("error", 4),
    "conditional": ("class as asked for", 3),
}


def sweep_weights(
    configs: Sequence[BaselineConfig],
    judge: Evaluation,
    output: Path,
    *,
    device: str = "auto",
    progress: Progress = SILENT,
) -> list[Path]:
    """Train baselines one after the other, each in the folder `output/MODEL-WEIGHT`. Returns the folders.

    A finished run is not repeated, and an interrupted run is resumed.

    Raises
    ------
    OutputError
        If a folder holds a run of another configuration.
    """
    folders = [output / f"{config.model}-{config.weight:g}" for config in configs]
    for config, folder in zip(configs, folders, strict=True):
        if not (folder / "weights.safetensors").exists():
            resume = (folder / "last.safetensors").exists()
            run_baseline(config, judge, folder, resume=resume, device=device, progress=progress)
        elif read_baseline(folder, "cpu").model.config != config:
            raise OutputError(f"{folder} holds a run with other settings; choose another --output")
    return folders


def collect(runs: Sequence[Path]) -> list[dict[str, str]]:
    """The last row of each run's `evaluation.csv`, with the name of the run; all rows of references.

    Raises
    ------
    ConfigError
        If a folder holds no figures, two runs have the same settings and seed, or figures of different extractors
        would be in one column.
    """
    rows: list[dict[str, str]] = []
    for run in runs:
        found = _figures(run / "evaluation.csv" if run.is_dir() else run)
        rows += [{"run": str(run), **row} for row in (found if found[0]["model"].startswith("pca") else found[-1:])]
    known: dict[tuple[str, ...], str] = {}
    for row in rows:
        key = (*_settings(row), row.get("seed", ""))
        if key in known:
            raise ConfigError(f"got {known[key]} and {row['run']}, of the same settings and seed; give one of them")
        known[key] = row["run"]
    for kind in ("lenet", "inception"):
        names = {f"{row[kind]} of {row.get(f'{kind}_images') or 'all'} images" for row in rows if row.get(kind)}
        if len(names) > 1:
            raise ConfigError(
                f"got figures under {' and under '.join(sorted(names))}, which do not compare: use one {kind}, and the "
                "same number of images"
            )
    return rows


def write_table(rows: Sequence[dict[str, str]], path: Path) -> str:
    """Write all figures as CSV and means over seeds as Markdown: the `table_files` of `path`. Returns the Markdown.

    The Markdown has a row for each configuration: the mean, and the sample standard deviation if there are several
    seeds.
    """
    figures, means = table_files(path)
    write_rows(rows, figures)
    keys = [key for key in _KEYS if len({row.get(key, "") for row in rows}) > 1 or key in ("data", "model", "preset")]
    scores = [name for name in _HEADINGS if any(row.get(name) for row in rows)]
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(_settings(row), []).append(row)
    lines = [[*keys, "seeds", *(_HEADINGS[name][0] for name in scores)]]
    for group in groups.values():
        cells = [group[0].get(key, "") for key in keys] + [str(len({row.get("seed") for row in group}))]
        lines.append([*cells, *(_cell(group, name) for name in scores)])
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    text = "\n".join([head, "|" + "---|" * len(keys) + "---:|" * (len(scores) + 1), *body, ""])
    write_text(means, text)
    return text


def table_files(path: Path) -> tuple[Path, Path]:
    """`path`.csv and `path`.md; `path` may end in either."""
    stem = path.with_suffix("") if path.suffix in (".csv", ".md") else path
    return stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.md")


def _figures(path: Path) -> list[dict[str, str]]:
    try:
        found = read_rows(path) if path.is_file() else []
    except (UnicodeDecodeError, csv.Error):
        found = []
    if not found or not found[0].get("model"):
        raise ConfigError(f"no figures in {path}; expected the folder of a run of `cryowae baseline`")
    return found


def _settings(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(key, "") for key in _KEYS)


def _cell(group: Sequence[dict[str, str]], name: str) -> str:
    values = [float(row[name]) for row in group if row.get(name)]
    if not values:
        return ""
    digits = _HEADINGS[name][1]
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
