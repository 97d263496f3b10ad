"""Runs side by side: the last row of each run's evaluation, means and spread over the seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryowae.baselines.rows import read_rows
from cryowae.errors import ConfigError
from cryowae.io.text import write_text

_KEYS = ("data", "model", "preset", "weight", "code", "labels", "training_images", "epoch", "changed")
_HEADINGS = {
    "mse": ("MSE", 4),
    "power_of_means": ("E m²", 2),
    "power": ("E z²", 2),
    "power_ratio": ("E z² / d", 3),
    "mmd": ("MMD²", 4),
    "mmd_null95": ("null 95 %", 4),
    "sliced": ("sliced W", 3),
    "sliced_null": ("its null", 3),
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


def collect(runs: Sequence[Path]) -> list[dict[str, str]]:
    """The last row of each run's `evaluation.csv`, with the run's name; all rows of what is no training.

    Raises
    ------
    ConfigError
        If a folder holds none, or figures under different extractors would stand in one column.
    """
    rows = []
    for run in runs:
        path = run / "evaluation.csv" if run.is_dir() else run
        found = read_rows(path) if path.is_file() else []
        if not found:
            raise ConfigError(f"no figures in {path}; expected the folder of a run of `cryowae baseline`")
        rows += [
            {"run": str(run), **row} for row in (found if found[0].get("model", "").startswith("pca") else found[-1:])
        ]
    for kind in ("lenet", "inception"):
        names = {f"{row[kind]} of {row.get(f'{kind}_images') or 'all'} images" for row in rows if row.get(kind)}
        if len(names) > 1:
            raise ConfigError(
                f"got figures under {' and under '.join(sorted(names))}, which do not compare: use one {kind}, and as "
                "many images"
            )
    return rows


def write_table(rows: Sequence[dict[str, str]], path: Path) -> str:
    """Write all figures as `path`.csv, and means over seeds as `path`.md; returns the latter's text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path.with_suffix(".csv"), buffer.getvalue())
    text = markdown(rows)
    write_text(path.with_suffix(".md"), text)
    return text


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """A row for each configuration: mean, and the sample standard deviation where there are several seeds."""
    keys = [key for key in _KEYS if len({row.get(key, "") for row in rows}) > 1 or key in ("data", "model", "preset")]
    scores = [name for name in _HEADINGS if any(row.get(name) for row in rows)]
    lines = ["| " + " | ".join([*keys, "seeds", *(_HEADINGS[name][0] for name in scores)]) + " |"]
    lines.append("|" + "---|" * len(keys) + "---:|" * (len(scores) + 1))
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key, "") for key in _KEYS), []).append(row)
    for group in groups.values():
        cells = [group[0].get(key, "") for key in keys] + [str(len({row.get("seed") for row in group}))]
        lines.append("| " + " | ".join([*cells, *(_cell(group, name) for name in scores)]) + " |")
    return "\n".join(lines) + "\n"


def _cell(group: Sequence[dict[str, str]], name: str) -> str:
    values = [float(row[name]) for row in group if row.get(name)]
    if not values:
        return ""
    digits = _HEADINGS[name][1]
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
