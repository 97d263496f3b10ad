"""Results as files: one a case and method, and all of them as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryowae.config.suite import FLOOR
from cryowae.io.outputs import write_text


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


KEYS = ("scene", "snr", "seed", "method", "seconds")
"""What a row of the CSV begins with."""


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
    "ice_blobs": Column("blobs in ice", 1, "low"),
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


def write_scores(path: Path, results: Sequence[Result], keys: Sequence[str] = KEYS) -> None:
    """Write all scores as CSV, one row a result; figures that do not exist are left empty."""
    fullest = sorted(results, key=lambda result: -len(result.scores))  # so that the order is that of the evaluation
    columns = list(dict.fromkeys(name for result in fullest for name in result.scores))
    rows: list[list[object]] = [[*keys, *columns]]
    for r in results:
        figures = [f"{r.scores[name]:.5g}" if name in r.scores else "" for name in columns]
        rows.append([*_labels(r, keys), *figures])
    write_text(path, _csv(rows))


def write_curves(path: Path, results: Sequence[Result], keys: Sequence[str] = KEYS[:4]) -> None:
    """Write all curves as CSV, one row a shell; `nan` where a shell holds too little."""
    shells = list(dict.fromkeys(name for result in results for name in result.curves))
    rows: list[list[object]] = [[*keys, *shells]]
    for r in results:
        for values in zip(*(r.curves[name] for name in shells if name in r.curves), strict=True):
            rows.append([*_labels(r, keys), *(f"{v:.5g}" for v in values)])
    write_text(path, _csv(rows))


def markdown(results: Sequence[Result]) -> str:
    """A table for each scene and signal-to-noise ratio: mean and spread over the seeds, the best method in bold."""
    parts = []
    for scene, snr in dict.fromkeys((r.scene, r.snr) for r in results):
        mine = [r for r in results if (r.scene, r.snr) == (scene, snr)]
        title = f"{scene}, " + (f"SNR {snr:g}" if snr else "no noise")
        parts.append(f"**{title}** ({_seeds(len({r.seed for r in mine}))})\n\n{markdown_table(mine)}")
    return "\n".join(parts)


@dataclass(frozen=True)
class Mean:
    """Over the seeds: `value`, its sample standard deviation (`spread`, NaN for one), and how many there were."""

    value: float
    spread: float
    seeds: int


def means(results: Sequence[Result]) -> dict[str, dict[str, Mean]]:
    """Means over the seeds by method and score, in the order of the results."""
    summary: dict[str, dict[str, Mean]] = {}
    for method in dict.fromkeys(r.method for r in results):
        mine = [r for r in results if r.method == method]
        values = {name: [r.scores[name] for r in mine if name in r.scores] for r in mine for name in r.scores}
        summary[method] = {
            name: Mean(float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else np.nan, len(v))
            for name, v in values.items()
        }
    return summary


def markdown_table(results: Sequence[Result]) -> str:
    """One table, a row a method: what fewer seeds than there are give says so, and is not the best."""
    summary, seeds = means(results), len({r.seed for r in results})
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
            mean, digits = scores[name], COLUMNS[name].digits
            text = _short(mean.value, digits)
            if method != FLOOR and (text, mean.seeds) == best[name]:
                text = f"**{text}**"
            spread = f" ± {_short(mean.spread, digits)}" if np.isfinite(mean.spread) else ""
            cells.append(text + spread + (f" ({_seeds(mean.seeds)})" if mean.seeds < seeds else ""))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _best(summary: Mapping[str, Mapping[str, Mean]], name: str) -> tuple[str, int] | None:
    """The best figure as it is printed (what looks the same is the same), of those over most seeds; None of one."""
    column = COLUMNS[name]
    figures = [scores[name] for method, scores in summary.items() if method != FLOOR and name in scores]
    if len(figures) < 2:
        return None
    most = max(figure.seeds for figure in figures)
    worth = {"high": lambda v: v, "low": lambda v: -v, "one": lambda v: -abs(v - 1)}[column.best]
    return _short(max((f.value for f in figures if f.seeds == most), key=worth), column.digits), most


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _labels(result: Result, keys: Sequence[str]) -> list[object]:
    texts = {"snr": f"{result.snr:g}", "seconds": f"{result.seconds:.2f}"}
    return [texts.get(key, getattr(result, key)) for key in keys]


def _short(value: float, digits: int) -> str:
    """Without the zero before the point where more than one digit follows it, and without a sign of nothing."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return re.sub(r"^(-?)0(?=\.\d\d)", r"\1", text)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
