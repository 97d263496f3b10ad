"""Terms: the objective of an autoencoder is their sum.

Each term is a class in a file of its own. In a configuration it is one line, `NAME: WEIGHT` or `NAME: {weight: ...}`
with its other options: `mmd` is the class `Mmd` of `cryowae.objectives.mmd`, and `package.module:Class` is a term from
outside the package. The options are the fields of the class, checked against their annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

import torch
from pydantic import Field, create_model
from torch import Tensor

from cryowae.config.files import Frozen, check
from cryowae.errors import ConfigError
from cryowae.objectives import Batch, Optimiser, StepInfo, Values, load_class

Weight = Annotated[float, Field(ge=0, le=1e12)]
PriorName = Literal["normal", "structure"]
Cost = tuple[Tensor, Values]
"""A scalar loss, its weight included, and values for the log."""

Forward = tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Pass:
    """The results of one forward pass, and other inputs of the terms.

    Attributes
    ----------
    batch
        The batch of this step.
    codes
        One `(n, c, ...)` per scale, fine to coarse; `(n, d)` where codes have no positions.
    restored
        The decoded codes, in the shape of the observation.
    network, average
        The network that is trained, and the running average of its weights (None where there is none). Both have
        `encode` and `decode`. A term may call them again: on a rotated volume, or with other draws of the codes.
    generator
        Source of randomness, on the CPU.
    info
        Number of the step, and whether it is logged.
    precision
        Creates the context in which the networks are evaluated.
    posterior
        Mean and log-variance of each code, where the encoder is random.
    drawn_prior
        Samples of the model's prior in the shapes of `codes`, where the model draws them itself.
    extra
        Other outputs of the encoder, by name.
    """

    batch: Batch
    codes: Sequence[Tensor]
    restored: Tensor
    network: Any
    generator: torch.Generator
    info: StepInfo
    average: Any = None
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    posterior: Sequence[tuple[Tensor, Tensor]] = ()
    drawn_prior: Sequence[Tensor] | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def needed(self, name: str) -> Any:
        """`truth`, `other`, `tilts` or `noise` of the batch; raises `ConfigError` if the source does not provide it."""
        values = getattr(self.batch, name)
        if values is None or len(values) == 0:
            raise ConfigError(f"a term of the objective needs `{name}` in every batch, and this source has none")
        return values

    @property
    def scale(self) -> Tensor:
        """`(n,)` the scale of each sample; 1 where its source has none."""
        known, restored = self.batch.scale, self.restored
        return torch.ones(len(restored), device=restored.device) if known is None else known

    @cached_property
    def own(self) -> Pass:
        """The forward pass of the user's own subtomograms, with gradients; this pass if the batch has none beside it.

        It is computed at the first use, so that objectives without terms for data without truth do not pay for it.
        """
        batch = self.batch.own
        if batch is None:
            return self
        with self.precision():
            restored, codes, posterior = forward(self.network, channels_last(batch.observation), self.generator)
        return replace(
            self, batch=batch, codes=codes, restored=restored, posterior=posterior, drawn_prior=None, extra={}
        )

    def another(self) -> Tensor:
        """Another sample: the network's density for new draws of the codes, from the same mean and deviation."""
        with self.precision():
            restored: Tensor = self.network.decode(draw_codes(self.posterior, self.generator))
        return restored

    @cached_property
    def from_mean(self) -> Tensor:
        """The density decoded from the mean of the codes; `restored`, if they are not random."""
        if not self.posterior:
            return self.restored
        with self.precision():
            restored: Tensor = self.network.decode([mean for mean, _ in self.posterior])
        return restored

    @cached_property
    def clean_codes(self) -> list[Tensor]:
        """Codes of the truth under the averaged network (or the network itself), without gradient."""
        network = self.network if self.average is None else self.average
        with torch.no_grad(), self.precision():
            codes: list[Tensor] = network.encode(channels_last(self.needed("truth")))
        return codes


@dataclass(eq=False)
class Term:
    """One part of an objective; a dataclass, whose fields are its options.

    Attributes
    ----------
    weight
        Multiplies its cost.
    optimiser
        Optimiser of its opponent; None for a term without one.
    follows_schedule
        Whether the rate of the opponent follows the schedule of the run, or is constant.
    """

    weight: Weight = 1.0
    optimiser: Optimiser | None = field(default=None, init=False)
    follows_schedule: ClassVar[bool] = False

    def prepare(self, network: Any) -> None:
        """Create the parts that depend on the network, such as an opponent; called once, before the first step."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """State that must be saved for an exact resume, by name."""
        return {}

    def cost(self, made: Pass) -> Cost:
        """The cost that is added to the objective."""
        raise NotImplementedError

    def logged(self, name: str, loss: Tensor, weighted: bool = True) -> Cost:
        """A loss times the weight, and the value for the log: this product, or the loss itself."""
        cost = self.weight * loss
        return cost, {name: float((cost if weighted else loss).detach())}

    def oppose(self, made: Pass) -> Cost:
        """The loss of the opponent, after the update of the network. It is only called if there is an optimiser."""
        raise NotImplementedError


@dataclass(eq=False)
class RestoredTerm(Term):
    """A term that compares the restored volume with something.

    Attributes
    ----------
    weight
        As in `Term`.
    of
        With random codes: the restored volume is a `sample`, or decoded from the `mean` of the codes.
    """

    of: Literal["sample", "mean"] = "sample"

    def restored(self, made: Pass) -> Tensor:
        """The volume to compare."""
        return made.restored if self.of == "sample" else made.from_mean


@dataclass(eq=False)
class LatentTerm(Term):
    """Base of the terms that compare the codes of observations with those of a prior.

    The observations are the user's own (`Pass.own`), if the batch has some beside the simulated ones.

    Attributes
    ----------
    weight
        Multiplies the distance.
    prior
        `normal`: independent standard normal numbers. `structure`: codes of the clean, isotropic structures of the
        batch under the averaged network, without gradient.
    """

    weight: Weight = 1e-3
    prior: PriorName = "normal"

    def matched(self, made: Pass) -> tuple[list[Tensor], list[Tensor]]:
        """Codes of the observations, and codes of the prior on the same scale."""
        if self.prior == "structure":
            return on_one_scale(made.own.codes, made.clean_codes)
        codes, drawn = made.own.codes, made.own.drawn_prior
        return list(codes), [_normal(c, made.generator) for c in codes] if drawn is None else list(drawn)

    def paired(self, made: Pass) -> bool:
        """Whether sample `i` of the prior is the structure that observation `i` shows."""
        return self.prior == "structure" and made.batch.own is None


def make_terms(objective: Mapping[str, float | Mapping[str, Any]]) -> dict[str, Term]:
    """The terms of a configuration, by name.

    Raises
    ------
    ConfigError
        If there is no term, or a name, an option or a value is unknown.
    """
    if not objective:
        raise ConfigError("the objective has no terms, expected at least one, such as `supervised: 1.0`")
    return {name: _make(name, o if isinstance(o, Mapping) else {"weight": o}) for name, o in objective.items()}


def code_names(name: str, codes: Sequence[Tensor]) -> list[str]:
    """Names for the log of one figure per code: `match_2`, `match_4` ... by scale, or `match` for a flat code."""
    return [name if code.ndim == 2 else f"{name}_{2 ** (i + 1)}" for i, code in enumerate(codes)]


def channels_last(values: Tensor) -> Tensor:
    """Volumes in the memory layout in which 3-D convolutions are fastest; images are unchanged."""
    return values.contiguous(memory_format=torch.channels_last_3d) if values.ndim == 5 else values


def forward(network: Any, observation: Tensor, generator: torch.Generator) -> Forward:
    """One forward pass: the restored density, its codes, and mean and log-variance of these if they are random."""
    posterior = network.posterior(observation) if getattr(network, "random", False) else []
    codes = draw_codes(posterior, generator) if posterior else network.encode(observation)
    return network.decode(codes), codes, posterior


def draw_codes(posterior: Sequence[tuple[Tensor, Tensor]], generator: torch.Generator) -> list[Tensor]:
    """Codes from independent Gaussians, given by mean and log-variance (Kingma & Welling 2014, 2.4)."""
    return [mean + (0.5 * log).exp().to(mean.dtype) * _normal(mean, generator) for mean, log in posterior]


def on_one_scale(codes: Sequence[Tensor], clean: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Codes of observations and of clean structures, both divided by the deviation of the clean ones.

    Per channel, and without gradient to the clean ones. Otherwise smaller codes would reduce every distance.
    """
    reference = [c.detach().float() for c in clean]
    spread = [c.std(dim=[0, *range(2, c.ndim)], keepdim=True).clamp(min=1e-4) for c in reference]
    own = [c.float() / s for c, s in zip(codes, spread, strict=True)]
    return own, [c / s for c, s in zip(reference, spread, strict=True)]


def _make(name: str, options: Mapping[str, Any]) -> Term:
    own = "".join(word.capitalize() for word in name.split("_"))
    try:
        kind = load_class(name if ":" in name else f"cryowae.objectives.{name}:{own}")
    except ConfigError as error:
        raise ConfigError(f"objective.{name} is no term of an objective: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Term)):
        raise ConfigError(f"objective.{name} is no term of an objective: expected a subclass of Term")
    hints = get_type_hints(kind, include_extras=True)
    given = [f for f in fields(kind) if f.init]
    known: dict[str, Any] = {f.name: (hints[f.name], ... if f.default is MISSING else f.default) for f in given}
    checked = check(create_model(own, __base__=Frozen, **known), dict(options), f"objective.{name}")
    term: Term = kind(**dict(checked))
    return term


def _normal(code: Tensor, generator: torch.Generator) -> Tensor:
    if code.device.type == "cpu":
        return torch.randn(code.shape, generator=generator)
    # ten million numbers a step are drawn on the device itself, from a seed that the generator gives
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.randn(code.shape, generator=torch.Generator(code.device).manual_seed(seed), device=code.device)
