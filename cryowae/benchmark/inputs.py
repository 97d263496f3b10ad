"""The tomograms of a suite as files, for tools that are not ours."""

from __future__ import annotations

from pathlib import Path

from cryowae.benchmark.cases import Case, Specification, make_cases, specifications
from cryowae.benchmark.checks import check_scenes
from cryowae.config import SuiteConfig
from cryowae.errors import OutputError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import make_folder, write_text
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library


def write_inputs(suite: SuiteConfig, folder: Path, *, progress: Progress = SILENT) -> list[Path]:
    """Write what every method gets.

    For each case `CASE.mrc`, its frame halves `CASE_half1.mrc` and `CASE_half2.mrc`, its noise alone
    `CASE_noise.mrc` and its angles `CASE.tlt`; protein dark, as reconstruction programs write it. A tool's answers,
    `CASE.mrc` and, if it is to be seen what it finds in noise, `CASE_noise.mrc`, in a folder of their own, are scored
    as `external: {name, path}`. What a method finds in noise is measured by what it makes of the tomogram: a tool must
    give both volumes on one scale. Cases that are there already are left as they are.

    Raises
    ------
    OutputError
        If the folder cannot be made, or holds volumes of these names that are not of this suite.
    ConfigError
        If the scenes cannot be made.
    """
    check_scenes(suite)
    todo = specifications(suite)
    missing = {each: [snr for snr in each.snrs if not _is_there(folder, each, snr)] for each in todo}
    libraries = {n: load_library(n) for n in {each.scene.molecules.library for each in todo if missing[each]}}
    make_folder(folder)
    progress.begin(f"inputs of {suite.name}", len(todo), "specimens")
    for each in todo:
        if missing[each]:
            for case in make_cases(each, libraries[each.scene.molecules.library]):
                if case.snr in missing[each]:
                    _write(folder, case, _label(each, case.snr))
        progress.advance()
    progress.end()
    return [folder / f"{each.case_name(snr)}.mrc" for each in todo for snr in each.snrs]


def _is_there(folder: Path, specification: Specification, snr: float) -> bool:
    """Whether a case is there; what has its name and is another is not to be lost."""
    path = folder / f"{specification.case_name(snr)}.mrc"
    if not path.exists():
        return False
    label = _label(specification, snr)
    if not any(text.endswith(label) for text in read_mrc(path).header.labels):
        raise OutputError(f"{path} exists and was not written from this suite: choose another folder with --output")
    return True


def _label(specification: Specification, snr: float) -> str:
    return f"case {specification.fingerprint(snr)[:32]}"


def _write(folder: Path, case: Case, label: str) -> None:
    """The tomogram last, since a case is there if that is."""
    halves = [half.numpy() for half in case.seen.halves(case.snr)] if case.snr else []
    volumes = {f"_half{i}": half for i, half in enumerate(halves, 1)}
    if case.twin is not None:
        volumes["_noise"] = case.twin
    volumes[""] = case.tomogram
    write_text(folder / f"{case.name}.tlt", "".join(f"{angle:.2f}\n" for angle in case.seen.angles))
    for suffix, volume in volumes.items():
        path = folder / f"{case.name}{suffix}.mrc"
        write_mrc(path, -volume, voxel_size=case.specimen.voxel_size, overwrite=True, label=label)
