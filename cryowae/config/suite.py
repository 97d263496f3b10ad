"""The configuration of a benchmark: methods and scenes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from cryowae.config.files import Frozen, check, read_values
from cryowae.config.scene import SceneConfig
from cryowae.config.values import Name, Seed
from cryowae.errors import ConfigError

TRUTH = "ground truth"
"""Name of the truth among the volumes of a case."""

FLOOR = "empty wedge"
"""The truth with its wedge emptied, the first row of every table: a perfect method that does not fill the wedge."""

BUILT_IN = (FLOOR, "input", "gaussian", "wiener", "tv", "nlm")
"""Methods without a network; any other name without `checkpoint` or `external` is the name of shipped weights."""


class External(Frozen):
    """Volumes that another tool wrote: a folder with one MRC file per case, `CASE.mrc`."""

    name: str
    path: Path


class MethodConfig(Frozen):
    """One method. A suite has it in one of these forms:

    - `gaussian`: a built-in method, or the name or file of weights;
    - `{name: mine, checkpoint: runs/mine/weights.safetensors}`: weights under another name; with `fast: true` they
      are used as by `restore --fast`; with `samples: 8` as by `restore --samples 8`, with figures about the samples;
    - `external: {name: IsoNet2, path: folder}`: volumes that another tool wrote.
    """

    name: str = ""
    checkpoint: str | None = None
    fast: bool = False
    samples: int = Field(0, ge=0, le=64)
    external: External | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_plain_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> MethodConfig:
        if (self.external is not None) == bool(self.name):
            raise ValueError("expected a name, with a checkpoint or without, or `external: {name, path}`")
        if self.fast and self.weights is None:
            raise ValueError(f"got `fast` for {self.title}, expected it only for weights: no other method has passes")
        if self.samples == 1 or (self.samples and self.weights is None):
            raise ValueError(f"got `samples: {self.samples}` for {self.title}, expected 2 or more, for weights alone")
        return self

    @property
    def title(self) -> str:
        """Name in the tables."""
        return self.external.name if self.external is not None else self.name

    @property
    def weights(self) -> str | None:
        """Name or file of the weights; None if the method is no network."""
        if self.external is not None:
            return None
        return self.checkpoint or (None if self.name in BUILT_IN else self.name)


class SuiteScene(SceneConfig):
    """A scene at several signal-to-noise ratios (`snrs`; that of its imaging if there are none).

    With `twin`, every method also gets the noise of the scene without its signal: all structure in it is an artefact.
    """

    snrs: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] = Field((), max_length=1000)
    twin: bool = True

    @property
    def ratios(self) -> tuple[float, ...]:
        """Signal-to-noise ratios, one per case."""
        return self.snrs or (self.imaging.snr,)

    @property
    def is_empty(self) -> bool:
        """Whether it has no signal: no molecules, membranes, filaments or uneven ice."""
        molecules = self.molecules
        kinds = (molecules.procedural or molecules.library) and molecules.occupancy and molecules.most != 0
        return not (kinds or self.membranes or self.vesicles or self.filaments or self.ice)


class SuiteConfig(Frozen):
    """Methods and scenes; every scene is made once for each of `seeds`. `crop` voxels of every face are not scored."""

    name: Name
    methods: tuple[MethodConfig, ...] = Field(max_length=1000)
    scenes: tuple[SuiteScene, ...] = Field(min_length=1, max_length=1000)
    seeds: tuple[Seed, ...] = Field((1,), min_length=1, max_length=1000)
    crop: int = Field(12, ge=0, le=5000)

    def with_methods(self, more: Sequence[MethodConfig]) -> SuiteConfig:
        """The suite with further methods; raises `ConfigError` if two methods have one name."""
        values = self.model_dump() | {"methods": [*self.methods, *more]}
        return check(SuiteConfig, values, self.name)

    @model_validator(mode="after")
    def _something_is_scored(self) -> SuiteConfig:
        for scene in self.scenes:
            if min(scene.shape) <= 2 * self.crop:
                raise ValueError(
                    f"got a crop of {self.crop} and the shape {scene.shape}, which leaves nothing to score"
                )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> SuiteConfig:
        titles, scenes = [method.title for method in self.methods], [scene.name for scene in self.scenes]
        snrs = [[f"{snr:g}" for snr in scene.snrs] for scene in self.scenes]
        for values in (titles, scenes, [str(seed) for seed in self.seeds], *snrs):
            repeated = [value for value in values if values.count(value) > 1]
            if repeated:
                raise ValueError(f"expected names, seeds and snrs that differ, got {repeated[0]} twice")
        return self


def load_suite(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SuiteConfig:
    """Read a suite: a YAML file, or NAME of `configs/benchmark/NAME.yaml`; see `load_config`."""
    values, source = read_values(name_or_path, "benchmark", overrides)
    return check(SuiteConfig, values, source)


def check_title(title: str, taken: Sequence[str] = (FLOOR, TRUTH)) -> None:
    """Raise `ConfigError` if the name of a method or scene is taken, or cannot name a file and a row of a table."""
    if title in taken:
        raise ConfigError(f"got the name {title!r}, which every table or picture has already: choose another")
    if not re.fullmatch(r"[^/\\|\s.]([^/\\|\n]*[^/\\|\s])?", title):
        raise ConfigError(f"got the name {title!r}, expected one that can name a file: no slash, bar or leading dot")
