"""Results as files: one per case and method, and tables of all as Markdown, as CSV and as pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowae.config.suite import FLOOR, TRUTH
from cryowae.io.outputs import write_text
from cryowae.metrics import Profile
from cryowae.report import FscCurve, SheetEntry, draw_contact_sheet, draw_fsc_curves


@dataclass(frozen=True)
class Result:
    """One method on one case.

    Attributes
    ----------
    scene, snr, seed, method
        Case and method.
    seconds
        Time of the method for the tomogram and for its noise alone.
    scores
        Name and value.
    curves
        Name and one value per shell.
    """

    scene: str
    snr: float
    seed: int
    method: str
    seconds: float
    scores: Mapping[str, float]
    curves: Mapping[str, list[float]]

    @classmethod
    def of(cls, profile: Profile, scene: str, snr: float, seed: int, method: str, seconds: float) -> Result:
        """The result that a profile gives, without the scores that do not exist."""
        scores = {name: float(value) for name, value in profile.scores.items() if np.isfinite(value)}
        curves = {name: [float(value) for value in values] for name, values in profile.curves.items()}
        return cls(scene, snr, seed, method, seconds, scores, curves)


@dataclass(frozen=True)
class BenchmarkResult:
    """The output of `run_suite` or `score_volumes`.

    Attributes
    ----------
    files
        The tables as Markdown and CSV, the curves as CSV, and the pictures.
    text
        The Markdown table.
    fresh
        Number of new results; the others existed.
    seconds
        Run time.
    """

    files: tuple[Path, ...]
    text: str
    fresh: int
    seconds: float


KEYS = ("scene", "snr", "seed", "method", "seconds")
"""First columns of the CSV."""


@dataclass(frozen=True)
class Column:
    """A column of the Markdown tables: heading, digits, and the best figure: `high`, `low`, or nearest to a number.

    A figure up to `chance` is one that noise can reach: it is not the best of anything.
    """

    heading: str
    digits: int
    best: str | float
    chance: float = -math.inf


_CHANCE = 0.05  # correlation that volumes without anything in common can have

COLUMNS: Mapping[str, Column] = {
    "ncc": Column("NCC", 3, "high", _CHANCE),
    "fsc_mw": Column("FSC wedge", 3, "high", _CHANCE),
    "fsc_obs": Column("FSC measured", 3, "high", _CHANCE),
    "fine_mw": Column("fine wedge", 3, "high", _CHANCE),
    "fine_obs": Column("fine measured", 3, "high", _CHANCE),
    "r_mw": Column("amplitude wedge", 2, 1.0),
    "psnr": Column("PSNR", 1, "high"),
    "ssim": Column("SSIM", 3, "high"),
    "particle": Column("particle", 3, "high"),
    "elongation": Column("elongation", 2, 1.0),
    "found": Column("found", 3, "high"),
    "shell": Column("shell", 3, "high"),
    "caps": Column("caps", 3, "high"),
    "blobs": Column("blobs", 1, "low"),
    "ice_blobs": Column("blobs in ice", 1, "low"),
    "noise_ratio": Column("noise ratio", 3, "low"),
    "sample_ncc": Column("NCC of a sample", 3, "high"),
    "sample_r_mw": Column("amplitude of a sample", 2, 1.0),
    "coverage_mw": Column("coverage 90 % wedge", 2, 0.9),
    "coverage_obs": Column("coverage 90 % measured", 2, 0.9),
    "crps": Column("CRPS", 3, "low"),
    "mean_gain": Column("gain of mean - exact (dB)", 2, "high"),
}
"""Name of a score and its column; `docs/metrics.md` defines them."""


REGION_TITLES = {"fsc_obs": "measured", "fsc_mw": "missing wedge"}
"""Name of a curve and the title of its panel."""

SHOWN = ("ncc", "fsc_mw", "fsc_obs")
"""Scores beneath the slices."""

_KINDS: Mapping[str, Literal["floor", "input"]] = {FLOOR: "floor", "input": "input"}  # line style of a curve


def write_result(path: Path, fingerprint: str, result: Result) -> None:
    """Write one result, with the fingerprint of everything that affects it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"fingerprint": fingerprint, **asdict(result)}, indent=1) + "\n")


def read_result(path: Path, fingerprint: str) -> Result | None:
    """An earlier result, if the file is complete and has this fingerprint; otherwise None."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Result(**values) if values.pop("fingerprint") == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_tables(files: Sequence[Path], text: str, results: Sequence[Result], keys: Sequence[str] = KEYS) -> None:
    """Write the text as Markdown, all scores as CSV and all curves as CSV, in this order of the files.

    The CSV of the scores has one row per result, that of the curves one row per shell. The keys come first in each
    row. Cells of scores that do not exist are empty; shells with too few components have `nan`.
    """
    table, scores, curves = files
    write_text(table, text)
    _write_csv(scores, keys, [(r, r.scores) for r in results])
    shells = [(r, zip(*r.curves.values(), strict=True)) for r in results]
    rows = [(r, dict(zip(r.curves, values, strict=True))) for r, shell in shells for values in shell]
    _write_csv(curves, [key for key in keys if key != "seconds"], rows)


def markdown_tables(results: Sequence[Result]) -> str:
    """One table per scene and signal-to-noise ratio: mean and spread over the seeds, the best method in bold."""
    parts = []
    for scene, snr in dict.fromkeys((r.scene, r.snr) for r in results):
        mine = [r for r in results if (r.scene, r.snr) == (scene, snr)]
        seeds = _seeds(len({r.seed for r in mine}))
        parts.append(f"**{case_title(scene, snr)}** ({seeds})\n\n{markdown_table(mine)}")
    return "\n".join(parts)


def markdown_table(results: Sequence[Result]) -> str:
    """One table, one row per method. A mean over fewer seeds than available is marked, and is never the best."""
    seeds = len({r.seed for r in results})
    rows: dict[str, list[str]] = {r.method: [] for r in results}
    names = [name for name in COLUMNS if any(name in r.scores for r in results if r.method != FLOOR)]
    for column, name in ((COLUMNS[name], name) for name in names):
        values = {m: [r.scores[name] for r in results if r.method == m and name in r.scores] for m in rows}
        best = _best(column, [mine for method, mine in values.items() if method != FLOOR and mine])
        for method, mine in values.items():
            rows[method].append(_cell(mine, column.digits, seeds, None if method == FLOOR else best))
    lines = ["| method | " + " | ".join(COLUMNS[name].heading for name in names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    lines += [f"| {method} | " + " | ".join(cells) + " |" for method, cells in rows.items()]
    return "\n".join(lines) + "\n"


def draw_scores(path: Path, results: Sequence[Result], voxel_size: float, title: str) -> list[Path]:
    """Draw the FSC curves of all methods: means over the seeds with their spread. No picture if there are no curves."""
    curves = []
    for method in dict.fromkeys(r.method for r in results if r.curves):
        mine = [r.curves for r in results if r.method == method and r.curves]
        stacked = {title: np.array([c[name] for c in mine]) for name, title in REGION_TITLES.items()}
        mean = {title: values.mean(0) for title, values in stacked.items()}
        spread = {title: values.std(0, ddof=1) for title, values in stacked.items() if len(values) > 1}
        curves.append(FscCurve(method, np.array(mine[0]["frequency"]), mean, spread, _KINDS.get(method, "method")))
    return [draw_fsc_curves(path, curves, voxel_size=voxel_size, title=title)] if curves else []


def draw_slices_of(
    path: Path, results: Sequence[Result], volumes: Mapping[str, NDArray[Any]], voxel_size: float, title: str
) -> Path:
    """Draw the slices of the truth and of every method in `volumes`, with its scores beneath."""
    rows = [(r.method, {COLUMNS[n].heading: r.scores[n] for n in SHOWN if n in r.scores}) for r in results]
    shown = [SheetEntry(method, volumes[method], scores) for method, scores in rows if method in volumes]
    return draw_contact_sheet(path, [SheetEntry(TRUTH, volumes[TRUTH]), *shown], voxel_size=voxel_size, title=title)


def case_title(scene: str, snr: float) -> str:
    """Heading of a table or picture."""
    return f"{scene}, " + (f"SNR {snr:g}" if snr else "no noise")


def _best(column: Column, figures: Sequence[Sequence[float]]) -> tuple[str, int] | None:
    """The best mean over most seeds as it is printed, and the number of seeds; None if there is no other figure.

    Figures that are printed equally are equally good.
    """
    if len(figures) < 2:
        return None
    most = max(map(len, figures))
    if max(float(np.mean(v)) for v in figures if len(v) == most) <= column.chance:
        return None
    best = column.best
    worth = {"high": lambda v: v, "low": lambda v: -v}.get(str(best)) or (lambda v: -abs(v - float(best)))
    return _short(max((float(np.mean(v)) for v in figures if len(v) == most), key=worth), column.digits), most


def _cell(values: Sequence[float], digits: int, seeds: int, best: tuple[str, int] | None) -> str:
    """Mean and sample standard deviation over the seeds, bold if it is the best."""
    if not values:
        return ""
    text = _short(float(np.mean(values)), digits)
    cell = f"**{text}**" if (text, len(values)) == best else text
    spread = f" ± {_short(float(np.std(values, ddof=1)), digits)}" if len(values) > 1 else ""
    return cell + spread + (f" ({_seeds(len(values))})" if len(values) < seeds else "")


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _short(value: float, digits: int) -> str:
    """Without the zero before the point if more than one digit follows it; zero has no sign."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return re.sub(r"^(-?)0(?=\.\d\d)", r"\1", text)


def _write_csv(path: Path, keys: Sequence[str], rows: Sequence[tuple[Result, Mapping[str, float]]]) -> None:
    """Write rows of a result's keys and of figures; the row with most figures gives the order of the columns."""
    fullest = sorted(rows, key=lambda row: -len(row[1]))
    columns = dict.fromkeys(name for _, figures in fullest for name in figures)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*keys, *columns], restval="", lineterminator="\n")
    writer.writeheader()
    for r, figures in rows:
        texts = {"snr": f"{r.snr:g}", "seconds": f"{r.seconds:.2f}"}
        labels = {key: texts.get(key, getattr(r, key)) for key in keys}
        writer.writerow(labels | {name: f"{value:.5g}" for name, value in figures.items()})
    write_text(path, buffer.getvalue())
