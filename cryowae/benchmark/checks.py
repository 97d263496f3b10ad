"""What a run would stumble over, told before its first minute is spent."""

from __future__ import annotations

import re
from collections import Counter

from cryowae.benchmark.cases import specifications
from cryowae.benchmark.methods import check_method
from cryowae.config import SuiteConfig
from cryowae.config.suite import FLOOR, SuiteScene
from cryowae.errors import ConfigError
from cryowae.imaging.projection import tilt_angles
from cryowae.specimen.builder import SMALLEST

TRUTH = "ground truth"
"""What the truth is called among the volumes of a case; like `FLOOR` no name for a method."""

LEAST = 7
"""Voxels along each axis that must be left after cropping: a window of the structural similarity."""


def check_title(title: str) -> None:
    """Refuse a method's name that every table has already, or that cannot be a file and a cell of a table.

    Raises
    ------
    ConfigError
        In one line.
    """
    if title in (FLOOR, TRUTH):
        raise ConfigError(f"got the name {title!r}, which every table or picture has already: choose another")
    _check_name(title)


def check_scenes(suite: SuiteConfig) -> None:
    """Refuse scenes that cannot be made, told apart or scored.

    Raises
    ------
    ConfigError
        In one line.
    """
    for scene in suite.scenes:
        _check_name(scene.name)
        tilt_angles(scene.imaging)
        least = max(SMALLEST, LEAST + 2 * suite.crop)
        if min(scene.shape) < least:
            raise ConfigError(
                f"scene {scene.name} has {scene.shape} voxels, expected at least {least} along every axis, since "
                f"{suite.crop} are cut off every face: make it larger, or set crop to less"
            )
        if not _holds_something(scene) and any(scene.snrs or (scene.imaging.snr,)):
            raise ConfigError(
                f"scene {scene.name} is empty, so that noise has no ratio to its signal: expected anything, such "
                "as ice: 0.01; every scene's noise alone is restored as well"
            )
    for values, said in (([*suite.seeds], "seeds"), ([snr for scene in suite.scenes for snr in scene.snrs], "snrs")):
        if min(values, default=0) < 0:
            raise ConfigError(f"got {said} with {min(values):g}, expected numbers from 0")
    cases = Counter(each.case_name(snr) for each in specifications(suite) for snr in each.snrs)
    twice = [name for name, count in cases.items() if count > 1]
    if twice:
        raise ConfigError(f"the suite has the case {twice[0]} twice, expected seeds and snrs that differ")


def check_suite(suite: SuiteConfig) -> None:
    """Refuse a suite whose scenes cannot be made, or whose methods cannot be run.

    Raises
    ------
    ConfigError
        In one line.
    """
    check_scenes(suite)
    if not suite.methods:
        raise ConfigError("the suite has no methods, expected at least one, such as input")
    cases = [each.case_name(snr) for each in specifications(suite) for snr in each.snrs]
    for method in suite.methods:
        check_title(method.title)
        check_method(method, cases)


def _holds_something(scene: SuiteScene) -> bool:
    molecules = scene.molecules
    kinds = (molecules.procedural or molecules.library) and molecules.occupancy and molecules.most != 0
    return bool(kinds or scene.membranes or scene.vesicles or scene.filaments or scene.ice)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[^/\\|\s.]([^/\\|\n]*[^/\\|\s])?", name):
        raise ConfigError(f"got the name {name!r}, expected one that can name a file: no slash, bar or leading dot")
