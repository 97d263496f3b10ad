"""`run_suite`: methods x scenes. Every result is a small file of its own, so that an interrupted run can continue."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from cryowae.benchmark import score_files
from cryowae.benchmark.case_scores import score_case
from cryowae.benchmark.cases import Case, Specification, check_scenes, make_cases, specifications
from cryowae.benchmark.methods import apply_method, check_method
from cryowae.benchmark.score_files import Result
from cryowae.config import MethodConfig, SuiteConfig
from cryowae.config.suite import FLOOR, TRUTH, check_title
from cryowae.errors import ConfigError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import make_folder
from cryowae.models.weights import RestorationModel, find_weights, load_model
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library


@dataclass(frozen=True)
class SuiteResult:
    """The output of a run.

    Attributes
    ----------
    table, csv, curves
        `table.md`, `table.csv` and `curves.csv`.
    pictures
        FSC curves and contact sheets.
    text
        The Markdown table.
    fresh
        Number of new results; the others existed.
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
    """Run every method on every case of a suite, and write the tables.

    Results are kept one by one in `output/results`. A result of the same case, method, weights, crop and version of
    this package is not computed again. The volumes of the first seed stay in `output/volumes`, protein dark.

    Parameters
    ----------
    suite
        What to compare.
    output
        Folder; made if it does not exist.
    device
        Where networks run.
    progress
        Is told when a result is done.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    ConfigError
        If the suite cannot be run: a structure, a library or an external volume is missing, a name is not allowed, a
        scene is smaller than the crop. Most of it is checked before anything is simulated.
    CheckpointError
        If there are no such weights.
    """
    began = time.perf_counter()
    check_suite(suite)
    networks = {m.title: load_model(m.weights, device) for m in suite.methods if m.weights is not None}
    folder = Path(output)
    methods = (MethodConfig(name=FLOOR), *suite.methods)
    tasks = [
        _Task(suite, each, snr, method, folder)
        for each in specifications(suite)
        for snr in each.snrs
        for method in methods
    ]
    earlier = [task.earlier_result() for task in tasks]
    todo = {task.specification.library for task, result in zip(tasks, earlier, strict=True) if result is None}
    libraries = {names: load_library(names) for names in todo}
    make_folder(folder)

    @lru_cache(maxsize=1)
    def cases(each: Specification) -> dict[float, Case]:
        return {case.snr: case for case in make_cases(each, libraries[each.library])}

    results = []
    fresh = earlier.count(None)
    progress.begin(f"benchmark {suite.name}", len(tasks), "results")
    progress.advance(len(tasks) - fresh)
    for task, result in zip(tasks, earlier, strict=True):
        if result is None:
            result = task.run(cases(task.specification)[task.snr], networks)
            progress.advance()
        results.append(result)
    progress.end()
    progress.say("writing the tables")
    files = table, csv, curves = [folder / name for name in ("table.md", "table.csv", "curves.csv")]
    text = score_files.markdown_tables(results)
    score_files.write_tables(files, text, results)
    pictures = _draw(suite, results, folder)
    return SuiteResult(table, csv, curves, tuple(pictures), text, fresh, time.perf_counter() - began)


def check_suite(suite: SuiteConfig) -> None:
    """Raise `ConfigError` if the scenes of a suite cannot be made, or its methods cannot be run."""
    check_scenes(suite)
    if not suite.methods:
        raise ConfigError("the suite has no methods, expected at least one, such as input")
    cases = [each.case_name(snr) for each in specifications(suite) for snr in each.snrs]
    for method in suite.methods:
        check_title(method.title)
        check_method(method, cases)


@dataclass(frozen=True)
class _Task:
    """One method on one case, and the files of its result."""

    suite: SuiteConfig
    specification: Specification
    snr: float
    method: MethodConfig
    folder: Path

    @property
    def name(self) -> str:
        return self.specification.case_name(self.snr)

    @property
    def path(self) -> Path:
        return self.folder / "results" / self.name / f"{self.method.title}.json"

    @property
    def keeps_volume(self) -> bool:
        return self.specification.seed == self.suite.seeds[0]

    @cached_property
    def fingerprint(self) -> str:
        """Of all that a result depends on, but the versions of libraries, the device, and the structures' files."""
        made_of: dict[str, Any] = {
            "case": self.specification.fingerprint(self.snr),  # it has the version of this package
            "crop": self.suite.crop,
            "method": self.method.title,
        }
        if self.method.weights is not None:
            made_of["weights"] = hashlib.sha256(find_weights(self.method.weights).read_bytes()).hexdigest()
            made_of["fast"] = self.method.fast
        if self.method.external is not None:
            paths = [self.method.external.path / f"{self.name}{end}.mrc" for end in ("", "_noise")]
            stats = [path.stat() for path in paths if path.is_file()]
            made_of["volumes"] = [*map(str, paths), *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def volume(self, title: str) -> Path:
        return _volume(self.folder, self.name, title)

    def earlier_result(self) -> Result | None:
        """The result of an earlier run, if none of its files is missing."""
        kept = (TRUTH, self.method.title) if self.keeps_volume else ()
        return (
            score_files.read_result(self.path, self.fingerprint)
            if all(self.volume(t).is_file() for t in kept)
            else None
        )

    def run(self, case: Case, networks: Mapping[str, RestorationModel]) -> Result:
        """Restore the case, score the result and write the files."""
        title, began = self.method.title, time.perf_counter()
        restored, twin = apply_method(self.method, case, networks.get(title))
        seconds = time.perf_counter() - began
        found = score_case(case, restored, twin, self.suite.crop)
        self.path.unlink(missing_ok=True)  # an interrupt now must not leave old figures beside the new volume
        if self.keeps_volume:
            self.volume(title).parent.mkdir(parents=True, exist_ok=True)
            small = self.method.external is None  # other tools may have any scale, too large for 16 bits
            for name, volume in ((TRUTH, case.truth), (title, restored)):
                path, voxel_size = self.volume(name), case.specimen.voxel_size
                write_mrc(path, -volume, voxel_size=voxel_size, float16=small, overwrite=True)
        result = Result.of(found, case.scene.name, case.snr, case.seed, title, seconds)
        score_files.write_result(self.path, self.fingerprint, result)
        return result


def _draw(suite: SuiteConfig, results: list[Result], folder: Path) -> list[Path]:
    """`fsc_SCENE_snrSNR.png` and `sheet_SCENE_snrSNR.png` for each scene and signal-to-noise ratio."""
    pictures: list[Path] = []
    for scene in suite.scenes:
        first = Specification(scene, suite.seeds[0])
        for snr in first.snrs:
            mine = [r for r in results if (r.scene, r.snr) == (scene.name, snr)]
            title, name = score_files.case_title(scene.name, snr), f"{scene.name}_snr{snr:g}.png"
            pictures += score_files.draw_scores(folder / f"fsc_{name}", mine, scene.voxel_size, title)
            shown = [r for r in mine if r.seed == first.seed and r.method != FLOOR]
            paths = {t: _volume(folder, first.case_name(snr), t) for t in (TRUTH, *(r.method for r in shown))}
            volumes = {title: read_mrc(path).data for title, path in paths.items() if path.is_file()}
            heading = f"{title}, seed {first.seed}"
            pictures.append(
                score_files.draw_slices_of(folder / f"sheet_{name}", shown, volumes, scene.voxel_size, heading)
            )
    return pictures


def _volume(folder: Path, case: str, title: str) -> Path:
    return folder / "volumes" / case / f"{title}.mrc"
