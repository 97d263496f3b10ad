"""The cases of a suite, in memory and as files: one specimen, one seed and one signal-to-noise ratio each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae import __version__
from cryowae.config.suite import SuiteConfig, SuiteScene, check_title
from cryowae.errors import ConfigError, OutputError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import Observation
from cryowae.imaging.projection import tilt_angles
from cryowae.io.mrc import read_mrc, write_mrc
from cryowae.io.outputs import make_folder, write_text
from cryowae.progress import SILENT, Progress
from cryowae.specimen.builder import SMALLEST, Specimen, build_specimen, observe_specimen
from cryowae.specimen.library import load_library
from cryowae.tomogram.statistics import require_finite

Array = NDArray[np.float32]

LEAST = 7
"""Voxels along each axis that must be left after cropping: one window of the structural similarity."""

load_structures = lru_cache(load_library)
"""`load_library` with a cache of all results: all seeds of a scene need the same structures."""


@dataclass(frozen=True)
class Specification:
    """Definition of one case, before anything has been simulated: a scene, a seed and a signal-to-noise ratio."""

    scene: SuiteScene
    seed: int
    snr: float

    @property
    def name(self) -> str:
        """Name of the case and of its files."""
        return f"{self.scene.name}_snr{self.snr:g}_seed{self.seed}"

    @property
    def fingerprint(self) -> str:
        """Hash of all settings of the case (not of the scene's other ratios) and of the version of this package."""
        scene = self.scene.model_dump(mode="json", exclude={"seed": True, "snrs": True, "imaging": {"snr"}})
        made_of = {"version": __version__, "scene": scene, "seed": self.seed, "snr": self.snr}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def volume(self, folder: Path, method: str) -> Path:
        """File of the result of a method, below the folder of a run."""
        return folder / "volumes" / self.name / f"{method}.mrc"

    @property
    def label(self) -> str:
        """Label in the header of the tomogram, which identifies the case."""
        return f"case {self.fingerprint[:32]}"


def specifications(suite: SuiteConfig) -> list[Specification]:
    """All cases of a suite; all scenes with the first seed come first, so that a first table is complete early."""
    return [Specification(scene, seed, snr) for seed in suite.seeds for scene in suite.scenes for snr in scene.ratios]


@dataclass(frozen=True, eq=False)
class Case(Specification):
    """One simulated tomogram with its truth; protein is bright.

    Attributes
    ----------
    scene, seed, snr
        As in the specification of the case.
    specimen
        The truth.
    seen
        Its tilt series, reconstructed: signal and noise apart.
    """

    specimen: Specimen
    seen: Observation

    @property
    def truth(self) -> Array:
        """`(z, y, x)` density."""
        return self.specimen.density.numpy()

    @cached_property
    def tomogram(self) -> Array:
        """`(z, y, x)` input of a method."""
        return (self.seen.tomogram(self.snr) if self.snr else self.seen.signal).numpy()

    @cached_property
    def twin(self) -> Array | None:
        """`(z, y, x)` the tomogram's noise alone; None if the scene has no `twin`, or no noise."""
        noisy = self.scene.twin and self.snr
        return (self.seen.tomogram(self.snr) - self.seen.signal).numpy() if noisy else None

    @property
    def wedge(self) -> Wedge:
        """The measured region by the range of the tilts."""
        return Wedge.binary(self.seen.angles[0], self.seen.angles[-1])


@lru_cache(maxsize=1)
def make_case(specification: Specification) -> Case:
    """Simulate a case. The last specimen and the last case are reused.

    Raises
    ------
    ConfigError
        If a structure that the scene names does not exist.
    """
    scene, seed = specification.scene, specification.seed
    return Case(scene, seed, specification.snr, *_simulate(scene, seed))


@lru_cache(maxsize=1)
def _simulate(scene: SuiteScene, seed: int) -> tuple[Specimen, Observation]:
    scene = scene.model_copy(update={"seed": seed})
    specimen = build_specimen(scene, load_structures(scene.molecules.library))
    return specimen, observe_specimen(specimen, scene)


def write_inputs(suite: SuiteConfig, folder: Path, *, progress: Progress = SILENT) -> list[Path]:
    """Write the input of every method.

    For each case: `CASE.mrc`, its frame halves `CASE_half1.mrc` and `CASE_half2.mrc`, its noise alone
    `CASE_noise.mrc` and its angles `CASE.tlt`. Protein is dark, as reconstruction programs write it. The results of
    another tool go into a separate folder: `CASE.mrc` and, to test the tool on noise, `CASE_noise.mrc`,
    both on one scale. `external: {name, path}` in a suite scores them. Existing cases are not changed.

    Raises
    ------
    OutputError
        If the folder cannot be made, or has volumes with these names from another suite.
    ConfigError
        If the scenes cannot be made.
    """
    check_scenes(suite)
    paths = {each: folder / f"{each.name}.mrc" for each in specifications(suite)}
    missing = [each for each, path in paths.items() if not _exists(path, each.label)]
    for each in missing:
        load_structures(each.scene.molecules.library)  # before anything is simulated
    make_folder(folder)
    for each in progress.track(f"inputs of {suite.name}", missing, "tomograms"):
        _write(make_case(each), paths[each])
    return list(paths.values())


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
        if scene.is_empty and any(scene.ratios):
            raise ConfigError(
                f"scene {scene.name} is empty, so that its signal-to-noise ratio is not defined: add some signal, such "
                "as ice: 0.01; the noise alone of every scene is restored as well"
            )


def read_candidate(path: Path, shape: tuple[int, ...], voxel_size: float | None = None) -> Array:
    """A volume for scoring; raises `TomogramError` if its shape differs, or a value is not finite."""
    data = read_mrc(path, voxel_size=voxel_size).data
    if data.shape != shape:
        raise TomogramError(f"{path} has {data.shape} voxels, expected {shape} as the truth has")
    return np.array(require_finite(data, str(path)))


def _exists(path: Path, label: str) -> bool:
    """Whether a case exists; raises `OutputError` if the file of this name is of another suite."""
    if path.exists() and not any(text.endswith(label) for text in read_mrc(path).header.labels):
        raise OutputError(f"{path} exists and was not written from this suite: choose another folder with --output")
    return path.exists()


def _write(case: Case, path: Path) -> None:
    """The tomogram comes last: a case counts as written if its tomogram exists."""
    halves = [half.numpy() for half in case.seen.halves(case.snr)] if case.snr else []
    volumes = {f"_half{i}": half for i, half in enumerate(halves, 1)}
    volumes |= {} if case.twin is None else {"_noise": case.twin}
    write_text(path.with_suffix(".tlt"), "".join(f"{angle:.2f}\n" for angle in case.seen.angles))
    for suffix, volume in {**volumes, "": case.tomogram}.items():
        target, size = path.with_name(f"{case.name}{suffix}.mrc"), case.specimen.voxel_size
        write_mrc(target, -volume, voxel_size=size, overwrite=True, label=case.label)
