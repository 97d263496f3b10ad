"""Pictures of scores: FSC curves of all methods, and sheets of slices to judge them by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.benchmark.score_tables import Result
from cryowae.config.suite import FLOOR, TRUTH
from cryowae.report import FscCurve, SheetEntry, draw_contact_sheet, draw_fsc_curves

REGION_TITLES = {"fsc_obs": "measured", "fsc_mw": "missing wedge"}
"""Name of a curve and the title of its panel."""

SHOWN = {"ncc": "NCC", "fsc_mw": "FSC wedge", "fsc_obs": "FSC measured"}
"""Scores beneath the slices."""


def draw_scores(path: Path, results: Sequence[Result], voxel_size: float, title: str) -> list[Path]:
    """Draw the FSC curves of all methods: means over the seeds with their spread. No picture if there are no curves."""
    curves = []
    for method in dict.fromkeys(r.method for r in results if r.curves):
        mine = [r.curves for r in results if r.method == method and r.curves]
        stacked = {title: np.array([c[name] for c in mine]) for name, title in REGION_TITLES.items()}
        curves.append(
            FscCurve(
                method,
                np.array(mine[0]["frequency"]),
                {title: values.mean(0) for title, values in stacked.items()},
                {title: v.std(0, ddof=1) for title, v in stacked.items() if len(v) > 1},
                kind="floor" if method == FLOOR else "input" if method == "input" else "method",
            )
        )
    return [draw_fsc_curves(path, curves, voxel_size=voxel_size, title=title)] if curves else []


def draw_slices_of(
    path: Path, results: Sequence[Result], volumes: Mapping[str, NDArray[Any]], voxel_size: float, title: str
) -> Path:
    """Draw the slices of the truth and of every method in `volumes`, with its scores beneath."""
    entries = [SheetEntry(TRUTH, volumes[TRUTH])]
    for r in results:
        if r.method in volumes:
            shown = {heading: r.scores[name] for name, heading in SHOWN.items() if name in r.scores}
            entries.append(SheetEntry(r.method, volumes[r.method], shown))
    return draw_contact_sheet(path, entries, voxel_size=voxel_size, title=title)
