"""The term that moves the law of restored volumes, observed again, to the law of the observations by transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cryowae.errors import ConfigError
from cryowae.fourier.rotation import RotationGroup
from cryowae.objectives.random_features import RandomFeatures
from cryowae.objectives.reobservation import observations_to_match
from cryowae.objectives.sinkhorn import sinkhorn_divergence
from cryowae.objectives.term import Cost, Pass, Term

_SHUFFLES = 40


@dataclass(eq=False)
class ObservationTransport(Term):
    """The Sinkhorn divergence between the features of `T_M R x^ + n` and those of the observations (CryoGEN-II).

    `x^` is the restored volume, `R` a random rotation, `T_M` the wedge, `n` independent noise of the tomogram. If the
    law of the specimen is invariant under the rotations, then both have one law for the true structure. An empty wedge
    is rotated into the measured components, where it is seen. The features are fixed (`RandomFeatures`), so that there
    is no opponent. Each is divided by its standard deviation over the observations of the batch.

    It needs `tilts` and `noise`, and no truth; it uses the user's own subtomograms (`Pass.own`), if the batch has some
    beside the simulated ones. All samples of a batch are in both sets, so that both show the same structures: this
    lowers the variance. The divergence of two small sets of one law is not 0. It logs the divergence (`transport`), and
    for every row of the log its 95 % quantile if both sets had one law (`transport_null95`), by exchanging volumes with
    their observations. In a training by several processes, each compares its own samples.

    Attributes
    ----------
    weight
        Multiplies the divergence.
    rotations
        Group of the rotations, see `cryowae.fourier.rotation.draw_rotations`. The law must be invariant under them,
        otherwise the term teaches a wrong one: `full` is for isotropic specimens only.
    epsilon
        Strength of the entropy, in units of the mean squared distance of two observations.
    kernels
        Random kernels of each order and scale.
    """

    weight: Annotated[float, Field(ge=0, le=1e12)] = 0.1
    rotations: RotationGroup = "about-z"
    epsilon: Annotated[float, Field(gt=0, le=1e6)] = 0.5
    kernels: Annotated[int, Field(ge=1, le=26)] = 8

    def prepare(self, network: Any) -> None:
        self._features = RandomFeatures(self.kernels).to(next(network.parameters()).device)

    def cost(self, made: Pass) -> Cost:
        made = made.own
        again, seen = (self._features(volumes) for volumes in observations_to_match(made, self.rotations))
        again, seen = standardised_features(again, seen)
        loss, values = self.logged("transport", self._divergence(again, seen), weighted=False)
        if made.info.logged:
            shuffles = torch.Generator().manual_seed(made.info.number)
            values["transport_null95"] = self._null_quantile(again.detach(), seen, shuffles)
        return loss, values

    def _divergence(self, again: Tensor, seen: Tensor) -> Tensor:
        return sinkhorn_divergence(again.flatten(0, 1), seen.flatten(0, 1), self.epsilon)

    def _null_quantile(self, again: Tensor, seen: Tensor, generator: torch.Generator) -> float:
        swaps = (torch.rand(_SHUFFLES, len(seen), 1, 1, generator=generator) < 0.5).to(seen.device)
        found = [self._divergence(again.where(swap, seen), seen.where(swap, again)) for swap in swaps]
        return float(torch.stack(found).quantile(0.95))


def standardised_features(again: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Both divided by the deviation of each feature of the observations, so that two of these have the distance 1.

    Parameters
    ----------
    again, seen
        `(n, patches, d)`. The deviations have no gradient.

    Raises
    ------
    ConfigError
        If there is a single patch, which has no deviation.
    """
    if seen[..., 0].numel() < 2:
        raise ConfigError("got one patch of observations to compare, expected several: enlarge the batch")
    scale = seen.detach().flatten(0, 1).std(0).clamp(min=1e-6) * (2 * seen.shape[-1]) ** 0.5
    return again / scale, seen / scale
