"""`run_suite`: methods x scenes, one small file a result, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryowae.benchmark.cases import Case, Specification, make_cases, specifications
from cryowae.benchmark.evaluation import evaluate
from cryowae.benchmark.methods import apply_method
from cryowae.benchmark.pictures import draw_suite
from cryowae.benchmark.tables import Result, read_result, write_result, write_tables
from cryowae.config import MethodConfig, SuiteConfig
from cryowae.config.suite import FLOOR
from cryowae.errors import OutputError
from cryowae.io.mrc import write_mrc
from cryowae.models.pretrained import RestorationModel, find_weights, load_model
from cryowae.progress import SILENT, Progress


@dataclass(frozen=True)
class SuiteResult:
    """What a run left behind.

    Attributes
    ----------
    table, csv, curves
        `table.md`, `table.csv` and `curves.csv`.
    pictures
        FSC curves and contact sheets.
    text
        The Markdown table.
    fresh
        How many results are new; the others were there.
    seconds
        Of this run.
    """

    table: Path
    csv: Path
    curves: Path
    pictures: tuple[Path, ...]
    text: str
    fresh: int
    seconds: float


def run_suite(
    suite: SuiteConfig, output: str | Path, *, device: str = "auto", progress: Progress = SILENT
) -> SuiteResult:
    """Run every method on every case of a suite, and draw up the tables.

    Results are kept one by one in `output/results`; those of the same scene, method and weights are not made again. The
    volumes of the first seed stay in `output/volumes`, protein dark.

    Parameters
    ----------
    suite
        What to compare.
    output
        Folder; made if it is not there.
    device
        Where networks run.
    progress
        Told every result.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    ConfigError
        If a structure, a library or an external volume is missing.
    CheckpointError
        If there are no such weights.
    """
    began = time.perf_counter()
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder} ({error.strerror}): choose another with --output"
        ) from error
    networks = {m.title: load_model(m.weights, device) for m in suite.methods if m.weights is not None}
    methods = [MethodConfig(name=FLOOR), *suite.methods]
    todo = specifications(suite)
    fresh, results = 0, []
    progress.begin(f"benchmark {suite.name}", sum(len(s.snrs) for s in todo) * len(methods), "results")
    for specification in todo:
        wanted = [
            _Wanted(specification, snr, method, _fingerprint(suite, specification, snr, method), folder)
            for snr in specification.snrs
            for method in methods
        ]
        there = {(w.snr, w.method.title): found for w in wanted if (found := read_result(w.path, w.fingerprint))}
        progress.advance(len(there))
        cases = make_cases(specification) if len(there) < len(wanted) else []
        for each in wanted:
            result = there.get((each.snr, each.method.title))
            if result is None:
                case = next(case for case in cases if case.snr == each.snr)
                result = _measure(each, case, suite, networks)
                write_result(each.path, each.fingerprint, result)
                fresh += 1
                progress.advance()
            results.append(result)
    progress.end()
    progress.say("drawing up the tables")
    table, csv, curves = (folder / name for name in ("table.md", "table.csv", "curves.csv"))
    text = write_tables(results, table, csv, curves)
    pictures = draw_suite(suite, results, folder)
    return SuiteResult(table, csv, curves, tuple(pictures), text, fresh, time.perf_counter() - began)


@dataclass(frozen=True)
class _Wanted:
    specification: Specification
    snr: float
    method: MethodConfig
    fingerprint: str
    folder: Path

    @property
    def name(self) -> str:
        return self.specification.case_name(self.snr)

    @property
    def path(self) -> Path:
        return self.folder / "results" / self.name / f"{self.method.title}.json"

    def volume(self, method: str) -> Path:
        return self.folder / "volumes" / self.name / f"{method}.mrc"


def _measure(wanted: _Wanted, case: Case, suite: SuiteConfig, networks: Mapping[str, RestorationModel]) -> Result:
    method = wanted.method
    began = time.perf_counter()
    restored, twin = apply_method(method, case, networks.get(method.title))
    seconds = time.perf_counter() - began
    found = evaluate(case, restored, twin, suite.crop)
    if case.seed == suite.seeds[0]:
        for name, volume in {"ground truth": case.truth, method.title: restored}.items():
            path = wanted.volume(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mrc(path, -volume, voxel_size=case.specimen.voxel_size, float16=True, overwrite=True)
    return Result(case.scene.name, case.snr, case.seed, method.title, seconds, dict(found.scores), dict(found.curves))


def _fingerprint(suite: SuiteConfig, specification: Specification, snr: float, method: MethodConfig) -> str:
    """Of all that a result depends on, but for the versions of the libraries."""
    made_of: dict[str, Any] = {
        "scene": specification.scene.model_dump(mode="json"),
        "seed": specification.seed,
        "snr": snr,
        "crop": suite.crop,
        "method": method.model_dump(mode="json"),
    }
    if method.weights is not None:
        made_of["weights"] = hashlib.sha256(find_weights(method.weights).read_bytes()).hexdigest()
    if method.external is not None:
        path = method.external.path / f"{specification.case_name(snr)}.mrc"
        made_of["volume"] = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
