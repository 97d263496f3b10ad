"""`run_suite`: methods x scenes. Every result is a separate small file, so that an interrupted run can continue."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cryowae.benchmark import score_files
from cryowae.benchmark.cases import Specification, check_scenes, load_structures, make_case, specifications
from cryowae.benchmark.methods import apply_method, check_method
from cryowae.benchmark.sample_scores import sample_case, score_samples
from cryowae.benchmark.score_files import BenchmarkResult, Result
from cryowae.benchmark.volume_scores import score_case
from cryowae.config import MethodConfig, SuiteConfig
from cryowae.config.suite import FLOOR, TRUTH, check_title
from cryowae.errors import ConfigError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import make_folder
from cryowae.models.weights import RestorationModel, find_weights, load_model
from cryowae.progress import SILENT, Progress


def run_suite(
    suite: SuiteConfig, output: str | Path, *, device: str = "auto", progress: Progress = SILENT
) -> BenchmarkResult:
    """Run every method on every case of a suite, and write the tables.

    Results are kept one by one in `output/results`. A result of the same case, method, weights, crop and version of
    this package is not computed again. The volumes of the first seed stay in `output/volumes`, protein dark.

    Parameters
    ----------
    suite
        Methods and scenes.
    output
        Folder; created if it does not exist.
    device
        Device of the networks.
    progress
        Receives the progress of every result.

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
    tasks = [_Task(suite, each, method, folder) for each in specifications(suite) for method in methods]
    earlier = [(task, task.earlier_result()) for task in tasks]
    todo = [task.specification for task, result in earlier if result is None]
    for each in todo:
        load_structures(each.scene.molecules.library)  # before anything is simulated
    make_folder(folder)
    tracked = progress.track(f"benchmark {suite.name}", [task for task, result in earlier if result is None], "results")
    fresh = (task.run(networks) for task in tracked)  # only these take time
    results = [result or next(fresh) for _, result in earlier]
    next(fresh, None)
    progress.say("writing the tables")
    files = [folder / name for name in ("table.md", "table.csv", "curves.csv")]
    text = score_files.markdown_tables(results)
    score_files.write_tables(files, text, results)
    files += _draw(suite, results, folder)
    return BenchmarkResult(tuple(files), text, len(todo), time.perf_counter() - began)


def check_suite(suite: SuiteConfig) -> None:
    """Raise `ConfigError` if the scenes of a suite cannot be made, or its methods cannot be run."""
    check_scenes(suite)
    if not suite.methods:
        raise ConfigError("the suite has no methods, expected at least one, such as input")
    cases = [each.name for each in specifications(suite)]
    for method in suite.methods:
        check_title(method.title)
        check_method(method, cases)


@dataclass(frozen=True)
class _Task:
    """One method on one case, and the files of its result."""

    suite: SuiteConfig
    specification: Specification
    method: MethodConfig
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "results" / self.specification.name / f"{self.method.title}.json"

    @property
    def keeps_volume(self) -> bool:
        return self.specification.seed == self.suite.seeds[0]

    @cached_property
    def fingerprint(self) -> str:
        """Everything that affects a result, except versions of libraries, the device, and the structures' files."""
        case = self.specification.fingerprint  # includes the version of this package
        made_of: dict[str, Any] = {"case": case, "crop": self.suite.crop, "method": self.method.title}
        if self.method.weights is not None:
            made_of["weights"] = hashlib.sha256(find_weights(self.method.weights).read_bytes()).hexdigest()
            made_of["fast"] = self.method.fast
            made_of |= {"samples": self.method.samples} if self.method.samples else {}
        if self.method.external is not None:
            paths = [self.method.external.path / f"{self.specification.name}{end}.mrc" for end in ("", "_noise")]
            stats = [path.stat() for path in paths if path.is_file()]
            made_of["volumes"] = [*map(str, paths), *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def earlier_result(self) -> Result | None:
        """The result of an earlier run, if none of its files is missing."""
        kept = [self.specification.volume(self.folder, name) for name in (TRUTH, self.method.title)]
        missing = self.keeps_volume and not all(path.is_file() for path in kept)
        return None if missing else score_files.read_result(self.path, self.fingerprint)

    def run(self, networks: Mapping[str, RestorationModel]) -> Result:
        """Restore the case, score the result and write the files."""
        case, title = make_case(self.specification), self.method.title
        began = time.perf_counter()
        if self.method.samples:
            sampled = sample_case(networks[title], case, self.method.samples)
            restored, twin = sampled.mean, sampled.twin
        else:
            sampled = None
            restored, twin = apply_method(self.method, case, networks.get(title))
        seconds = time.perf_counter() - began
        found = score_case(case, restored, twin, self.suite.crop)
        if sampled is not None:
            found = replace(found, scores={**found.scores, **score_samples(case, sampled, self.suite.crop)})
        self.path.unlink(missing_ok=True)  # an interrupt now must not leave old figures with the new volume
        if self.keeps_volume:
            small = self.method.external is None  # values of other tools may be too large for 16 bits
            for name, volume in ((TRUTH, case.truth), (title, restored)):
                path, voxel_size = case.volume(self.folder, name), case.specimen.voxel_size
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mrc(path, -volume, voxel_size=voxel_size, float16=small, overwrite=True)
        result = Result.of(found, case.scene.name, case.snr, case.seed, title, seconds)
        score_files.write_result(self.path, self.fingerprint, result)
        return result


def _draw(suite: SuiteConfig, results: list[Result], folder: Path) -> list[Path]:
    """`fsc_SCENE_snrSNR.png` and `sheet_SCENE_snrSNR.png` for each scene and signal-to-noise ratio."""
    pictures: list[Path] = []
    for each in (each for each in specifications(suite) if each.seed == suite.seeds[0]):
        scene = each.scene
        mine = [r for r in results if (r.scene, r.snr) == (scene.name, each.snr)]
        title, name = score_files.case_title(scene.name, each.snr), f"{scene.name}_snr{each.snr:g}.png"
        pictures += score_files.draw_scores(folder / f"fsc_{name}", mine, scene.voxel_size, title)
        shown = [r for r in mine if r.seed == each.seed and r.method != FLOOR]
        paths = {t: each.volume(folder, t) for t in (TRUTH, *(r.method for r in shown))}
        volumes = {t: read_mrc(path).data for t, path in paths.items() if path.is_file()}
        sheet, heading = folder / f"sheet_{name}", f"{title}, seed {each.seed}"
        pictures.append(score_files.draw_slices_of(sheet, shown, volumes, scene.voxel_size, heading))
    return pictures
