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
from cryowae.benchmark.checks import TRUTH, check_suite
from cryowae.benchmark.evaluation import evaluate
from cryowae.benchmark.methods import apply_method
from cryowae.benchmark.pictures import draw_suite
from cryowae.benchmark.tables import Result, markdown, read_result, write_curves, write_result, write_scores
from cryowae.config import MethodConfig, SuiteConfig
from cryowae.config.suite import FLOOR
from cryowae.io.mrc import write_mrc
from cryowae.io.outputs import make_folder, write_text
from cryowae.models.weights import RestorationModel, find_weights, load_model
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library


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

    Results are kept one by one in `output/results`; those of the same case, method, weights, crop and version of this
    package are not made again. The volumes of the first seed stay in `output/volumes`, protein dark.

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
        If the suite cannot be run: a structure, a library or an external volume is missing, a name is taken, a scene is
        smaller than the crop. Most of it is told before anything is simulated.
    CheckpointError
        If there are no such weights.
    """
    began = time.perf_counter()
    check_suite(suite)
    networks = {m.title: load_model(m.weights, device) for m in suite.methods if m.weights is not None}
    folder = Path(output)
    plan = {each: _wanted(each, suite, folder) for each in specifications(suite)}
    there = {w.path: found for some in plan.values() for w in some if (found := w.found())}
    todo = {each for each, some in plan.items() if not all(w.path in there for w in some)}
    libraries = {names: load_library(names) for names in {each.scene.molecules.library for each in todo}}
    make_folder(folder)
    fresh, results = 0, []
    progress.begin(f"benchmark {suite.name}", sum(map(len, plan.values())), "results")
    progress.advance(len(there))
    for specification, some in plan.items():
        cases = (
            make_cases(specification, libraries[specification.scene.molecules.library]) if specification in todo else []
        )
        for each in some:
            result = there.get(each.path)
            if result is None:
                case = next(case for case in cases if case.snr == each.snr)
                result = _measure(each, case, suite.crop, networks)
                write_result(each.path, each.fingerprint, result)
                fresh += 1
                progress.advance()
            results.append(result)
    progress.end()
    progress.say("drawing up the tables")
    table, csv, curves = (folder / name for name in ("table.md", "table.csv", "curves.csv"))
    text = markdown(results)
    write_text(table, text)
    write_scores(csv, results)
    write_curves(curves, results)
    pictures = draw_suite(suite, results, folder)
    return SuiteResult(table, csv, curves, tuple(pictures), text, fresh, time.perf_counter() - began)


@dataclass(frozen=True)
class _Wanted:
    specification: Specification
    snr: float
    method: MethodConfig
    fingerprint: str
    keeps_volume: bool
    folder: Path

    @property
    def name(self) -> str:
        return self.specification.case_name(self.snr)

    @property
    def path(self) -> Path:
        return self.folder / "results" / self.name / f"{self.method.title}.json"

    def volume(self, title: str) -> Path:
        return self.folder / "volumes" / self.name / f"{title}.mrc"

    def found(self) -> Result | None:
        """What an earlier run left, if nothing of it is missing."""
        kept = (TRUTH, self.method.title) if self.keeps_volume else ()
        return read_result(self.path, self.fingerprint) if all(self.volume(t).is_file() for t in kept) else None


def _wanted(specification: Specification, suite: SuiteConfig, folder: Path) -> list[_Wanted]:
    """One specimen with all methods, at one signal-to-noise ratio after the other."""
    return [
        _Wanted(
            specification,
            snr,
            method,
            _fingerprint(suite, specification, snr, method),
            specification.seed == suite.seeds[0],
            folder,
        )
        for snr in specification.snrs
        for method in (MethodConfig(name=FLOOR), *suite.methods)
    ]


def _measure(wanted: _Wanted, case: Case, crop: int, networks: Mapping[str, RestorationModel]) -> Result:
    method = wanted.method
    began = time.perf_counter()
    restored, twin = apply_method(method, case, networks.get(method.title))
    seconds = time.perf_counter() - began
    found = evaluate(case, restored, twin, crop)
    wanted.path.unlink(missing_ok=True)  # or a stop right now would leave another's figures beside this volume
    if wanted.keeps_volume:
        for title, volume in {TRUTH: case.truth, method.title: restored}.items():
            path = wanted.volume(title)
            path.parent.mkdir(parents=True, exist_ok=True)
            small = method.external is None  # other tools may have any scale, which 16 bits may not hold
            write_mrc(path, -volume, voxel_size=case.specimen.voxel_size, float16=small, overwrite=True)
    return Result(case.scene.name, case.snr, case.seed, method.title, seconds, dict(found.scores), dict(found.curves))


def _fingerprint(suite: SuiteConfig, specification: Specification, snr: float, method: MethodConfig) -> str:
    """Of all that a result depends on, but for the versions of libraries, the device, and the structures' files."""
    made_of: dict[str, Any] = {
        "case": specification.fingerprint(snr),  # and the version of this package
        "crop": suite.crop,
        "method": method.title,
    }
    if method.weights is not None:
        made_of["weights"] = hashlib.sha256(find_weights(method.weights).read_bytes()).hexdigest()
        made_of["fast"] = method.fast
    if method.external is not None:
        name = specification.case_name(snr)
        paths = [method.external.path / f"{name}{end}.mrc" for end in ("", "_noise")]
        stats = [path.stat() for path in paths if path.is_file()]
        made_of["volumes"] = [*map(str, paths), *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
