"""The tomograms of a suite as files, for tools that are not ours."""

from __future__ import annotations

from pathlib import Path

from cryowae.benchmark.cases import make_cases, specifications
from cryowae.config import SuiteConfig
from cryowae.errors import OutputError
from cryowae.io.mrc import write_mrc
from cryowae.io.text import write_text
from cryowae.progress import SILENT, Progress


def write_inputs(suite: SuiteConfig, folder: Path, *, progress: Progress = SILENT) -> list[Path]:
    """Write what every method gets.

    For each case `CASE.mrc`, its frame halves `CASE_half1.mrc` and `CASE_half2.mrc`, its noise alone
    `CASE_noise.mrc` and its angles `CASE.tlt`; protein dark, as reconstruction programs write it. A tool's answers,
    `CASE.mrc` and, if it is to be seen what it finds in noise, `CASE_noise.mrc`, in a folder of their own, are scored
    as `external: {name, path}`. Cases that are there already are left as they are.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder} ({error.strerror}): choose another") from error
    todo = specifications(suite)
    written: list[Path] = []
    progress.begin(f"inputs of {suite.name}", len(todo), "specimens")
    for specification in todo:
        names = [specification.case_name(snr) for snr in specification.snrs]
        if not all((folder / f"{name}.tlt").is_file() for name in names):
            for case in make_cases(specification):
                volumes = {"": case.tomogram, "_noise": case.twin}
                if case.snr:
                    halves = case.seen.halves(case.snr)
                    volumes |= {f"_half{i}": half.numpy() for i, half in enumerate(halves, 1)}
                for suffix, volume in volumes.items():
                    if volume is not None:
                        path = folder / f"{case.name}{suffix}.mrc"
                        write_mrc(path, -volume, voxel_size=case.specimen.voxel_size, overwrite=True)
                write_text(folder / f"{case.name}.tlt", "".join(f"{angle:.2f}\n" for angle in case.seen.angles))
        written += [folder / f"{name}.mrc" for name in names]
        progress.advance()
    progress.end()
    return written
