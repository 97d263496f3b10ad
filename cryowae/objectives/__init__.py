"""Parts of a training: a `BatchSource` gives the data of each step, an `Objective` the loss and the update.

The loop (`cryowae.train.loop`) uses one of each and depends on nothing else. Both can come from outside the package;
docs/extending.md has an example. An objective may use an `Optimiser`: several that act as one, at a share of their full
rates.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from cryowae.errors import ConfigError

Values = dict[str, float]
"""Values for the log, by name."""


@dataclass(frozen=True)
class Batch:
    """The samples of one training step. Only `observation` is always there.

    Attributes
    ----------
    observation
        `(n, c, ...)` input of the network: subtomograms in units of the tomogram's standard deviation with protein
        bright, or images.
    truth
        The same shape: the target, in the same units; 0 in the solvent.
    other
        The same shape: a second, independent noisy half.
    scale
        `(n,)` standard deviation of the structure over its whole scene, in the same units.
    tilts
        `(tilt_min, tilt_max)` of each sample, in degrees.
    noise
        The same shape: noise of the same tomogram in the same units, at the level of the noise in `observation`, and
        independent of the noise in `observation` and `other`.
    own
        Subtomograms of the user's own tomograms, without truth, where the other fields are simulated ones. The number
        of samples and the edge of the subtomograms may differ.
    """

    observation: Tensor
    truth: Tensor | None = None
    other: Tensor | None = None
    scale: Tensor | None = None
    tilts: tuple[tuple[float, float], ...] = ()
    noise: Tensor | None = None
    own: Batch | None = None


class BatchSource(Protocol):
    """Serves the batches of a run; a context manager, so that it can end background work.

    A batch is a `Batch`, or another object that the objective reads.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop background work; by default there is none."""
        return None

    def batch(self, step: int) -> Any:
        """Data of step number `step`: a function of the seed and of `step` alone, so that a run can be resumed."""
        ...


@dataclass(frozen=True)
class StepInfo:
    """Progress of a run.

    Attributes
    ----------
    number
        Number of this step, from 0.
    share
        Factor on all learning rates in this step, from the schedule.
    logged
        Whether a row of the log is written after this step.
    """

    number: int
    share: float = 1.0
    logged: bool = False


class Objective(Protocol):
    """Owns networks, their opponents and optimisers.

    Attributes
    ----------
    parts
        Everything that must be saved for an exact resume, by name: objects with `state_dict` and `load_state_dict`.
    generator
        Source of every random number that a step draws; on the CPU. It is saved too.
    """

    parts: Mapping[str, Any]
    generator: torch.Generator

    def step(self, batch: Any, info: StepInfo) -> Values:
        """Update every parameter once; return the values for the log."""
        ...


class Optimiser:
    """Several optimisers that are used as one.

    Parameters
    ----------
    parts
        The optimisers by name, at their full rates.

    Attributes
    ----------
    parts
        The same, to be saved.
    """

    def __init__(self, **parts: torch.optim.Optimizer) -> None:
        self.parts: dict[str, torch.optim.Optimizer] = parts
        for group in self._groups():
            group["full"] = group["lr"]

    def step(self, share: float) -> None:
        """One step with the present gradients, at this share of the full rates."""
        for group in self._groups():
            group["lr"] = group["full"] * share
        for part in self.parts.values():
            part.step()

    def zero_grad(self) -> None:
        """Reset the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def descend(self, loss: Tensor, share: float) -> None:
        """One step that reduces a loss, at this share of the full rates."""
        self.zero_grad()
        loss.backward()
        self.step(share)

    def _groups(self) -> Iterable[dict[str, Any]]:
        return (group for part in self.parts.values() for group in part.param_groups)


class KernelOptimiser(Optimiser):
    """Muon for kernels in the middle of a 3-D network, AdamW for all the rest.

    A convolution is a matrix: its rows are the output channels, its columns all inputs of the kernel. Muon (Jordan et
    al. 2024) makes the step of each matrix orthogonal, so that directions with a small gradient are learned as fast as
    those with a large one. The gain is in docs/ablation.md.

    Parameters
    ----------
    network
        The network, on the device of the training.
    rate
        Learning rate of AdamW.
    kernel_rate
        Learning rate of Muon; 0 uses AdamW for all.
    decay
        Weight decay of AdamW.
    """

    def __init__(self, network: nn.Module, rate: float, kernel_rate: float, decay: float) -> None:
        kernels = [p for n, p in network.named_parameters() if p.ndim == 5 and not n.startswith(("stem", "head"))]
        self._kernels = kernels if kernel_rate else []
        self._matrices = [nn.Parameter(_matrix(kernel.data)) for kernel in self._kernels]
        ours = {id(kernel) for kernel in self._kernels}
        groups = _by_fan_in([p for p in network.parameters() if id(p) not in ours], rate)
        adamw = torch.optim.AdamW(groups, weight_decay=decay, betas=(0.9, 0.99))
        muon = {"muon": torch.optim.Muon(self._matrices, lr=kernel_rate, weight_decay=0.0)} if self._matrices else {}
        super().__init__(optimiser=adamw, **muon)

    def step(self, share: float) -> None:
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        super().step(share)

    def zero_grad(self) -> None:
        super().zero_grad()
        for kernel in self._kernels:
            kernel.grad = None


def rise_and_fall(step: int, steps: int, warmup: int) -> float:
    """Share of the full rates at a step: a linear warm-up, then a straight line to (nearly) zero."""
    return min((step + 1) / max(warmup, 1), 1.0) * max(1.0 - step / steps, 0.01)


def cosine(step: int, steps: int) -> float:
    """Share of the full rates at a step: half a cosine, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def check_divergence(values: Values, info: StepInfo) -> Values:
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
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} cannot be imported ({error}); check the name, and that PYTHONPATH has it") from error


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel with channels last as a matrix `(outputs, inputs)`: a view of the same memory, not a copy."""
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def _by_fan_in(parameters: list[nn.Parameter], rate: float) -> list[dict[str, Any]]:
    # Adam moves every weight by about its rate, so a layer's output moves by the rate times the number of its inputs:
    # kernels with many inputs get a smaller rate, divided by the square root of their fan-in over 64
    shares: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        shares.setdefault(min(1.0, (64 / fan_in) ** 0.5), []).append(parameter)
    return [{"params": some, "lr": rate * share} for share, some in sorted(shares.items())]
