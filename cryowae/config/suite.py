"""What a benchmark compares: methods on scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator

from cryowae.config.files import Frozen, check, read_values
from cryowae.config.scene import SceneConfig

BUILT_IN = ("input", "gaussian", "wiener", "tv", "nlm")
"""Methods that are no network; any other name without a `checkpoint` or `external` is one of shipped weights."""


class MethodConfig(Frozen):
    """One method: built in, weights (`checkpoint`: a name or a file), or volumes that another tool wrote (`external`).

    `external` is a folder with one MRC file a case, named as the case is: `CASE.mrc`.
    """

    name: str
    checkpoint: str | None = None
    external: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> MethodConfig:
        if self.checkpoint is not None and self.external is not None:
            raise ValueError("expected a checkpoint or an external folder, not both")
        return self


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


def load_suite(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SuiteConfig:
    """Read a suite: a YAML file, or NAME of `configs/benchmark/NAME.yaml`; see `load_config`."""
    values, source = read_values(name_or_path, "benchmark", overrides)
    return check(SuiteConfig, values, source)
