"""Pictures of a suite: FSC curves of all methods, and sheets of slices that a person judges in one look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryowae.benchmark.cases import Specification
from cryowae.benchmark.checks import TRUTH
from cryowae.benchmark.tables import Result
from cryowae.config import SuiteConfig
from cryowae.config.suite import FLOOR
from cryowae.io.mrc import read_mrc
from cryowae.report import FscCurve, SheetEntry, draw_contact_sheet, draw_fsc_curves

REGIONS = {"obs": "measured", "mw": "missing wedge"}
"""Suffix of a curve's name and what it is called."""

SHOWN = {"ncc": "NCC", "fsc_mw": "FSC wedge", "fsc_obs": "FSC measured"}
"""Scores beneath the slices."""


def draw_suite(suite: SuiteConfig, results: Sequence[Result], folder: Path) -> list[Path]:
    """Draw, for each scene and signal-to-noise ratio, `fsc_SCENE_snrSNR.png` and `sheet_SCENE_snrSNR.png`."""
    paths = []
    for scene in suite.scenes:
        specification = Specification(scene, suite.seeds[0])
        for snr in specification.snrs:
            mine = [r for r in results if (r.scene, r.snr) == (scene.name, snr)]
            title = f"{scene.name}, " + (f"SNR {snr:g}" if snr else "no noise")
            name = f"{scene.name}_snr{snr:g}.png"
            if any(r.curves for r in mine):
                paths.append(
                    draw_fsc_curves(folder / f"fsc_{name}", curves_of(mine), voxel_size=scene.voxel_size, title=title)
                )
            entries = _entries(mine, folder / "volumes" / specification.case_name(snr), suite.seeds[0])
            heading = f"{title}, seed {suite.seeds[0]}"
            paths.append(
                draw_contact_sheet(folder / f"sheet_{name}", entries, voxel_size=scene.voxel_size, title=heading)
            )
    return paths


def curves_of(results: Sequence[Result]) -> list[FscCurve]:
    """Mean curves over the seeds, with their spread, one a method."""
    curves = []
    for method in dict.fromkeys(r.method for r in results):
        mine = [r.curves for r in results if r.method == method and r.curves]
        if mine:
            stacked = {title: np.array([c[f"fsc_{key}"] for c in mine]) for key, title in REGIONS.items()}
            curves.append(
                FscCurve(
                    method,
                    np.array(mine[0]["frequency"]),
                    {title: values.mean(0) for title, values in stacked.items()},
                    {title: v.std(0, ddof=1) for title, v in stacked.items() if len(v) > 1},
                    kind="floor" if method == FLOOR else "input" if method == "input" else "method",
                )
            )
    return curves


def _entries(results: Sequence[Result], folder: Path, seed: int) -> list[SheetEntry]:
    entries = [SheetEntry(TRUTH, read_mrc(folder / f"{TRUTH}.mrc").data)]
    for r in results:
        path = folder / f"{r.method}.mrc"
        if r.seed == seed and r.method != FLOOR and path.is_file():
            shown = {title: r.scores[name] for name, title in SHOWN.items() if name in r.scores}
            entries.append(SheetEntry(r.method, read_mrc(path).data, shown))
    return entries
