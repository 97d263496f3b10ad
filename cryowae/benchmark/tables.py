"""Results as files: one a case and method, and all of them as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryowae.config.suite import FLOOR
from cryowae.io.text import write_text


@dataclass(frozen=True)
class Result:
    """One method on one case.

    Attributes
    ----------
    scene, snr, seed, method
        Which.
    seconds
        That the method took for the tomogram and for its noise alone.
    scores
        Name and value.
    curves
        Name and one value a shell.
    """

    scene: str
    snr: float
    seed: int
    method: str
    seconds: float
    scores: Mapping[str, float]
    curves: Mapping[str, list[float]]


@dataclass(frozen=True)
class Column:
    """A column of the Markdown tables: heading, digits, and which figure is the best: high, low, or nearest to 1."""

    heading: str
    digits: int
    best: str


COLUMNS: Mapping[str, Column] = {
    "ncc": Column("NCC", 3, "high"),
    "fsc_mw": Column("FSC wedge", 3, "high"),
    "fsc_obs": Column("FSC measured", 3, "high"),
    "fine_mw": Column("fine wedge", 3, "high"),
    "fine_obs": Column("fine measured", 3, "high"),
    "r_mw": Column("power wedge", 2, "one"),
    "psnr": Column("PSNR", 1, "high"),
    "ssim": Column("SSIM", 3, "high"),
    "particle": Column("particle", 3, "high"),
    "elongation": Column("elongation", 2, "one"),
    "found": Column("found", 3, "high"),
    "shell": Column("shell", 3, "high"),
    "caps": Column("caps", 3, "high"),
    "blobs": Column("blobs", 1, "low"),
    "noise_ratio": Column("noise ratio", 3, "low"),
}
"""Name of a score and its column; `docs/metrics.md` defines them."""


def write_result(path: Path, fingerprint: str, result: Result) -> None:
    """Keep one result, with what it depends on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"fingerprint": fingerprint, **asdict(result)}, indent=1) + "\n")


def read_result(path: Path, fingerprint: str) -> Result | None:
    """A result that is there, complete and of the same scene, method and weights; else None."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Result(**values) if values.pop("fingerprint") == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_tables(results: Sequence[Result], table: Path, scores: Path, curves: Path) -> str:
    """Write the Markdown table, the CSV of all scores and that of all shells; returns the Markdown."""
    text = markdown(results)
    write_text(table, text)
    columns = list(dict.fromkeys(name for result in results for name in result.scores))
    rows: list[list[object]] = [["scene", "snr", "seed", "method", "seconds", *columns]]
    for r in results:
        figures = [f"{r.scores[name]:.5g}" if name in r.scores else "" for name in columns]
        rows.append([r.scene, f"{r.snr:g}", r.seed, r.method, f"{r.seconds:.2f}", *figures])
    write_text(scores, _csv(rows))
    shells = list(dict.fromkeys(name for result in results for name in result.curves))
    rows = [["scene", "snr", "seed", "method", *shells]]
    for r in results:
        for values in zip(*(r.curves[name] for name in shells if name in r.curves), strict=True):
            rows.append([r.scene, f"{r.snr:g}", r.seed, r.method, *(f"{v:.5g}" for v in values)])
    write_text(curves, _csv(rows))
    return text


def markdown(results: Sequence[Result]) -> str:
    """A table for each scene and signal-to-noise ratio: mean and spread over the seeds, the best method in bold."""
    parts = []
    for scene, snr in dict.fromkeys((r.scene, r.snr) for r in results):
        mine = [r for r in results if (r.scene, r.snr) == (scene, snr)]
        seeds = len({r.seed for r in mine})
        title = f"{scene}, " + (f"SNR {snr:g}" if snr else "no noise")
        parts.append(f"**{title}** ({seeds} seed{'s' * (seeds > 1)})\n\n{_table(mine)}")
    return "\n".join(parts)


def means(results: Sequence[Result]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation over the seeds (NaN for one), by method and score, in the order of the results."""
    summary: dict[str, dict[str, tuple[float, float]]] = {}
    for method in dict.fromkeys(r.method for r in results):
        mine = [r for r in results if r.method == method]
        values = {name: [r.scores[name] for r in mine if name in r.scores] for r in mine for name in r.scores}
        summary[method] = {
            name: (float(np.mean(v)), float(np.std(v)) if len(v) > 1 else np.nan) for name, v in values.items()
        }
    return summary


def _table(results: Sequence[Result]) -> str:
    summary = means(results)
    names = [name for name in COLUMNS if any(name in scores for m, scores in summary.items() if m != FLOOR)]
    best = {name: _best(summary, name) for name in names}
    lines = ["| method | " + " | ".join(COLUMNS[name].heading for name in names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    for method, scores in summary.items():
        cells = []
        for name in names:
            if name not in scores:
                cells.append("")
                continue
            digits = COLUMNS[name].digits
            text = _short(scores[name][0], digits)
            if method != FLOOR and text == best[name]:
                text = f"**{text}**"
            spread = scores[name][1]
            cells.append(text + (f" ± {_short(spread, digits)}" if np.isfinite(spread) else ""))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _best(summary: Mapping[str, Mapping[str, tuple[float, float]]], name: str) -> str:
    """The best figure as it is printed: what looks the same is the same."""
    column = COLUMNS[name]
    figures = [scores[name][0] for method, scores in summary.items() if method != FLOOR and name in scores]
    worth = {"high": lambda v: v, "low": lambda v: -v, "one": lambda v: -abs(v - 1)}[column.best]
    return _short(max(figures, key=worth), column.digits)


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-0.", "-.").removeprefix("0") if abs(value) < 1 else f"{value:.{digits}f}"


def _csv(rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
