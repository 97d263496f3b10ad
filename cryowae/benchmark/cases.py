"""The cases of a suite, in memory and as files: one specimen, one seed and one signal-to-noise ratio each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cryowae import __version__
from cryowae.config import SuiteConfig, SuiteScene
from cryowae.config.suite import check_title
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import Observation
from cryowae.imaging.projection import tilt_angles
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import make_folder, write_text
from cryowae.progress import SILENT, Progress
from cryowae.specimen.builder import SMALLEST, Specimen, build_specimen, observe_specimen
from cryowae.specimen.library import load_library
from cryowae.specimen.structures import Structure
from cryowae.tomogram.statistics import require_finite

Array = NDArray[np.float32]

LEAST = 7
"""Voxels along each axis that must be left after cropping: one window of the structural similarity."""


@dataclass(frozen=True)
class Specification:
    """Definition of a specimen and its cases, before anything has been simulated."""

    scene: SuiteScene
    seed: int

    @property
    def snrs(self) -> tuple[float, ...]:
        """Signal-to-noise ratios, one per case."""
        return self.scene.snrs or (self.scene.imaging.snr,)

    @property
    def library(self) -> tuple[str, ...]:
        """Names of the structures that the scene needs."""
        return self.scene.molecules.library

    def case_name(self, snr: float) -> str:
        """Name of one case and of its files."""
        return f"{self.scene.name}_snr{snr:g}_seed{self.seed}"

    def fingerprint(self, snr: float) -> str:
        """Hash of all settings of one case (not of the scene's other ratios) and of the version of this package."""
        scene = self.scene.model_dump(mode="json", exclude={"seed": True, "snrs": True, "imaging": {"snr"}})
        made_of = {"version": __version__, "scene": scene, "seed": self.seed, "snr": snr}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def specifications(suite: SuiteConfig) -> list[Specification]:
    """All specimens of a suite; every scene with the first seed comes first, so that a table is soon complete."""
    return [Specification(scene, seed) for seed in suite.seeds for scene in suite.scenes]


@dataclass(frozen=True, eq=False)
class Case:
    """One simulated tomogram with its truth; protein is bright.

    Attributes
    ----------
    name
        Contains scene, signal-to-noise ratio and seed.
    scene, seed, snr
        As in the suite.
    specimen
        The truth.
    seen
        Its tilt series, reconstructed: signal and noise apart.
    """

    name: str
    scene: SuiteScene
    seed: int
    snr: float
    specimen: Specimen
    seen: Observation

    @property
    def truth(self) -> Array:
        """`(z, y, x)` density."""
        return _numpy(self.specimen.density)

    @cached_property
    def tomogram(self) -> Array:
        """`(z, y, x)` input of a method."""
        return _numpy(self.seen.tomogram(self.snr) if self.snr else self.seen.signal)

    @cached_property
    def twin(self) -> Array | None:
        """`(z, y, x)` the tomogram's noise alone; None if the scene has no `twin`, or no noise."""
        if not self.scene.twin or not self.snr:
            return None
        return _numpy(self.seen.tomogram(self.snr) - self.seen.signal)

    @property
    def wedge(self) -> Wedge:
        """The range of its tilts."""
        return Wedge.binary(self.seen.angles[0], self.seen.angles[-1])


def make_cases(specification: Specification, library: Sequence[Structure] | None = None) -> list[Case]:
    """Simulate one specimen and image it at every signal-to-noise ratio.

    Parameters
    ----------
    specification
        What to simulate.
    library
        The structures that the scene names, if they are loaded already.

    Raises
    ------
    ConfigError
        If a structure that the scene names does not exist.
    """
    scene = specification.scene.model_copy(update={"seed": specification.seed})
    known = load_library(specification.library) if library is None else library
    specimen = build_specimen(scene, known)
    seen = observe_specimen(specimen, scene)
    return [
        Case(specification.case_name(snr), scene, specification.seed, snr, specimen, seen) for snr in specification.snrs
    ]


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


def check_scenes(suite: SuiteConfig) -> None:
    """Raise `ConfigError` if a scene of a suite cannot be simulated or scored."""
    for scene in suite.scenes:
        check_title(scene.name, taken=())
        tilt_angles(scene.imaging)
        least = max(SMALLEST, LEAST + 2 * suite.crop)
        if min(scene.shape) < least:
            raise ConfigError(
                f"scene {scene.name} has {scene.shape} voxels, expected at least {least} along every axis, since "
                f"{suite.crop} are cut off every face: make it larger, or set crop to less"
            )
        if scene.is_empty and any(scene.snrs or (scene.imaging.snr,)):
            raise ConfigError(
                f"scene {scene.name} is empty, so that its signal-to-noise ratio is not defined: add some signal, such "
                "as ice: 0.01; the noise alone of every scene is restored as well"
            )


def read_candidate(path: Path, shape: tuple[int, ...], voxel_size: float | None = None) -> Array:
    """A volume that is to be scored; raises `TomogramError` if its shape is another, or a value is not finite."""
    data = read_mrc(path, voxel_size=voxel_size).data
    if data.shape != shape:
        raise TomogramError(f"{path} has {data.shape} voxels, expected {shape} as the truth has")
    return np.array(require_finite(data, str(path)))


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


def _numpy(volume: Tensor) -> Array:
    array: Array = volume.float().cpu().numpy()
    return array
