"""The cases of a suite: one specimen, one seed, one signal-to-noise ratio each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cryowae import __version__
from cryowae.config import SuiteConfig, SuiteScene
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import Observation
from cryowae.specimen.builder import Specimen, build_specimen, observe_specimen
from cryowae.specimen.library import load_library
from cryowae.specimen.structures import Structure

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Specification:
    """What a case is, before anything of it has been simulated."""

    scene: SuiteScene
    seed: int

    @property
    def name(self) -> str:
        """Of the specimen, among those of its suite."""
        return f"{self.scene.name}_seed{self.seed}"

    @property
    def snrs(self) -> tuple[float, ...]:
        """At which it is seen."""
        return self.scene.snrs or (self.scene.imaging.snr,)

    def case_name(self, snr: float) -> str:
        """Of one case, which is also the name of its files."""
        return f"{self.scene.name}_snr{snr:g}_seed{self.seed}"

    def fingerprint(self, snr: float) -> str:
        """Of all that the suite says of one case (not of its scene's other ratios) and of who simulates it."""
        scene = self.scene.model_dump(mode="json", exclude={"seed": True, "snrs": True, "imaging": {"snr"}})
        made_of = {"version": __version__, "scene": scene, "seed": self.seed, "snr": snr}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def specifications(suite: SuiteConfig) -> list[Specification]:
    """All specimens of a suite: every scene with the first seed first, so that a table is soon complete."""
    return [Specification(scene, seed) for seed in suite.seeds for scene in suite.scenes]


@dataclass(frozen=True, eq=False)
class Case:
    """One tomogram of which everything is known; protein is bright.

    Attributes
    ----------
    name
        Says scene, seed and signal-to-noise ratio.
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
        truth: Array = self.specimen.density.numpy()
        return truth

    @cached_property
    def tomogram(self) -> Array:
        """`(z, y, x)` what a method gets."""
        return _numpy(self.seen.tomogram(self.snr) if self.snr else self.seen.signal)

    @cached_property
    def twin(self) -> Array | None:
        """`(z, y, x)` the tomogram's noise alone; None where none was asked for, or there is no noise."""
        if not self.scene.twin or not self.snr:
            return None
        return _numpy(self.seen.tomogram(self.snr) - self.seen.signal)

    @property
    def wedge(self) -> Wedge:
        """The range of its tilts."""
        return Wedge.binary(self.seen.angles[0], self.seen.angles[-1])


def make_cases(specification: Specification, library: Sequence[Structure] | None = None) -> list[Case]:
    """Simulate one specimen and see it at every signal-to-noise ratio.

    Parameters
    ----------
    specification
        What to make.
    library
        The structures that the scene names, if they are loaded already.

    Raises
    ------
    ConfigError
        If a structure that the scene names is not there.
    """
    scene = specification.scene.model_copy(update={"seed": specification.seed})
    known = load_library(scene.molecules.library) if library is None else library
    specimen = build_specimen(scene, known)
    seen = observe_specimen(specimen, scene)
    return [
        Case(specification.case_name(snr), scene, specification.seed, snr, specimen, seen) for snr in specification.snrs
    ]


def _numpy(volume: Tensor) -> Array:
    array: Array = volume.float().cpu().numpy()
    return array
