"""The tomograms of a suite as files, for other tools."""

from __future__ import annotations

from pathlib import Path

from cryowae.benchmark.cases import Case, Specification, check_scenes, make_cases, specifications
from cryowae.config import SuiteConfig
from cryowae.errors import OutputError
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.space import make_folder
from cryowae.io.text import write_text
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library


def write_inputs(suite: SuiteConfig, folder: Path, *, progress: Progress = SILENT) -> list[Path]:
    """Write the input of every method.

    For each case: `CASE.mrc`, its frame halves `CASE_half1.mrc` and `CASE_half2.mrc`, its noise alone
    `CASE_noise.mrc` and its angles `CASE.tlt`. Protein is dark, as reconstruction programs write it. The results of
    another tool go into a folder of their own: `CASE.mrc` and, to see what the tool makes of noise, `CASE_noise.mrc`,
    both on one scale. `external: {name, path}` in a suite scores them. Cases that exist already are left as they are.

    Raises
    ------
    OutputError
        If the folder cannot be made, or has volumes of these names that are not of this suite.
    ConfigError
        If the scenes cannot be made.
    """
    check_scenes(suite)
    todo = specifications(suite)
    missing = {each: [snr for snr in each.snrs if not _exists(folder, each, snr)] for each in todo}
    libraries = {n: load_library(n) for n in {each.library for each in todo if missing[each]}}
    make_folder(folder)
    progress.begin(f"inputs of {suite.name}", len(todo), "specimens")
    for each in todo:
        if missing[each]:
            for case in make_cases(each, libraries[each.library]):
                if case.snr in missing[each]:
                    _write(folder, case, _label(each, case.snr))
        progress.advance()
    progress.end()
    return [folder / f"{each.case_name(snr)}.mrc" for each in todo for snr in each.snrs]


def _exists(folder: Path, specification: Specification, snr: float) -> bool:
    """Whether a case is there; raises `OutputError` if the file of this name is of another suite."""
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
    """The tomogram comes last: a case counts as written if its tomogram exists."""
    halves = [half.numpy() for half in case.seen.halves(case.snr)] if case.snr else []
    volumes = {f"_half{i}": half for i, half in enumerate(halves, 1)}
    if case.twin is not None:
        volumes["_noise"] = case.twin
    volumes[""] = case.tomogram
    write_text(folder / f"{case.name}.tlt", "".join(f"{angle:.2f}\n" for angle in case.seen.angles))
    for suffix, volume in volumes.items():
        path = folder / f"{case.name}{suffix}.mrc"
        write_mrc(path, -volume, voxel_size=case.specimen.voxel_size, overwrite=True, label=label)
