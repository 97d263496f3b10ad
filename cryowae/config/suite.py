"""What a benchmark compares: methods on scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator

from cryowae.config.files import Frozen, check, read_values
from cryowae.config.scene import SceneConfig

FLOOR = "empty wedge"
"""The truth with its wedge emptied, the first row of every table: what a perfect method gets that fills nothing."""

BUILT_IN = (FLOOR, "input", "gaussian", "wiener", "tv", "nlm")
"""Methods that are no network; any other name without a `checkpoint` or `external` is one of shipped weights."""


class External(Frozen):
    """Volumes that another tool wrote: a folder with one MRC file a case, `CASE.mrc`."""

    name: str
    path: Path


class MethodConfig(Frozen):
    """One method, in a suite written as one of

    - `gaussian`: one that is built in, or the name or file of weights;
    - `{name: mine, checkpoint: runs/mine/weights.safetensors}`: weights under another name; with `fast: true` as
      `restore --fast` uses them;
    - `external: {name: IsoNet2, path: folder}`: volumes that another tool wrote.
    """

    name: str = ""
    checkpoint: str | None = None
    fast: bool = False
    external: External | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_plain_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> MethodConfig:
        given = self.external is not None
        if given == bool(self.name):
            raise ValueError("expected a name, with a checkpoint or without, or `external: {name, path}`")
        if self.fast and self.weights is None:
            raise ValueError(f"got `fast` for {self.title}, expected it for weights alone: no other method has passes")
        return self

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return self.external.name if self.external is not None else self.name

    @property
    def weights(self) -> str | None:
        """Name or file of the weights, for networks."""
        if self.external is not None:
            return None
        return self.checkpoint or (None if self.name in BUILT_IN else self.name)


class SuiteScene(SceneConfig):
    """A scene at several signal-to-noise ratios (`snrs`; that of its imaging if there are none).

    With `twin`, every method also gets the scene's noise without the scene: what it finds there it invents.
    """

    snrs: tuple[float, ...] = ()
    twin: bool = True


class SuiteConfig(Frozen):
    """Methods and scenes; every scene is made once for each of `seeds`. `crop` voxels of every face are not scored."""

    name: str
    methods: tuple[MethodConfig, ...]
    scenes: tuple[SuiteScene, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    crop: int = Field(12, ge=0)

    def with_methods(self, more: Sequence[MethodConfig]) -> SuiteConfig:
        """The suite with further methods; raises `ConfigError` if names are no longer all different."""
        values = self.model_dump() | {"methods": [*self.methods, *more]}
        return check(SuiteConfig, values, self.name)

    @model_validator(mode="after")
    def _names_differ(self) -> SuiteConfig:
        for names in ([method.title for method in self.methods], [scene.name for scene in self.scenes]):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"expected names that differ, got {twice[0]} twice")
        return self


def load_suite(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SuiteConfig:
    """Read a suite: a YAML file, or NAME of `configs/benchmark/NAME.yaml`; see `load_config`."""
    values, source = read_values(name_or_path, "benchmark", overrides)
    return check(SuiteConfig, values, source)
