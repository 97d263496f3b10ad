"""The two protocols of training: a `BatchSource` says what a step sees, an `Objective` what it pays for.

The loop (`cryowae.train.loop`) is given one of each and knows nothing else. Both can come from outside the package;
docs/extending.md has an example.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from cryowae.errors import ConfigError

Values = dict[str, float]
"""What is written to the log, by name."""


@dataclass(frozen=True)
class Batch:
    """The samples of one training step. Only `observation` is always there.

    Attributes
    ----------
    observation
        `(n, c, ...)` what the network sees: subtomograms in units of the tomogram's standard deviation with protein
        bright, or images.
    truth
        The same shape: what should come out, in the same units; 0 in the solvent.
    other
        The same shape: a second, independent noisy half.
    scale
        `(n,)` standard deviation of the structure over its whole scene, in the same units.
    tilts
        `(tilt_min, tilt_max)` of each sample, in degrees.
    """

    observation: Tensor
    truth: Tensor | None = None
    other: Tensor | None = None
    scale: Tensor | None = None
    tilts: tuple[tuple[float, float], ...] = ()


class BatchSource(Protocol):
    """Serves the batches of a run; a context manager, so that it can end background work.

    A batch is a `Batch`, or whatever else the objective reads.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End what works in the background; by default there is nothing."""
        return None

    def batch(self, step: int) -> Any:
        """What step number `step` sees: a function of the seed and of `step` alone, so that a run can be resumed."""
        ...


@dataclass(frozen=True)
class StepInfo:
    """Where a run is.

    Attributes
    ----------
    number
        Of this step, from 0.
    share
        By which all learning rates are multiplied in this step, from the schedule.
    logged
        Whether a row of the log is written after this step.
    """

    number: int
    share: float = 1.0
    logged: bool = False


class Stateful(Protocol):
    """What can be saved and restored: a network, an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Objective(Protocol):
    """Owns networks, their opponents and optimisers.

    Attributes
    ----------
    parts
        All that must be saved for an exact resume, by name.
    generator
        Source of every random number that a step draws; on the CPU. It is saved too.
    """

    @property
    def parts(self) -> Mapping[str, Stateful]: ...

    @property
    def generator(self) -> torch.Generator: ...

    def step(self, batch: Any, info: StepInfo) -> Values:
        """Move every parameter once; return what is to be logged."""
        ...


def require_finite(values: Values, info: StepInfo) -> Values:
    """The values; raises `ConfigError` if one is infinite or not a number."""
    if not all(math.isfinite(value) for value in values.values()):
        raise ConfigError(f"the objective is not finite at step {info.number}: {values}; lower the rates")
    return values


def load_class(name: str) -> Any:
    """The class that `package.module:Class` names.

    Raises
    ------
    ConfigError
        If the name has another form, or there is no such module or class.
    """
    module, colon, own = name.partition(":")
    if not (module and colon and own):
        raise ConfigError(f"got {name!r}, expected package.module:Class")
    try:
        return getattr(importlib.import_module(module), own)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name} cannot be imported ({error}); check the name, and that PYTHONPATH has it") from error
