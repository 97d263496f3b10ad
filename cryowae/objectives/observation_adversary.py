"""The term that moves the law of restored volumes, observed again, to that of the observations by a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from cryowae.fourier.rotation import RotationGroup
from cryowae.models.discriminator import PatchDiscriminator
from cryowae.objectives import Optimiser
from cryowae.objectives.adversary import discriminator_loss
from cryowae.objectives.reobservation import observations_to_match
from cryowae.objectives.term import Cost, Pass, Term


@dataclass(eq=False)
class ObservationAdversary(Term):
    """A discriminator distinguishes `T_M R x^ + n` from observations; the network is trained to fool it (CryoGEN-I).

    `x^` is the restored volume, `R` a random rotation, `T_M` the wedge, `n` independent noise of the tomogram. The cost
    of the network is `-E_R log[D / (1 - D)]`, the negative mean logit. If the law of the specimen is invariant under
    the rotations, then nothing distinguishes the two for the true structure. The noise must be real: otherwise the
    discriminator learns the noise.

    It needs `tilts` and `noise`, and no truth; it uses the user's own subtomograms (`Pass.own`), if the batch has some
    beside the simulated ones. It logs the share of patches that the discriminator recognises as restored
    (`recognised`), .5 if it learned nothing.

    Attributes
    ----------
    weight
        Multiplies the cost.
    rotations
        Group of the rotations, see `cryowae.fourier.rotation.draw_rotations`. The law must be invariant under them,
        otherwise the term teaches a wrong one: `full` is for isotropic specimens only.
    width
        Channels of the first layer of the discriminator.
    rate
        Learning rate of the discriminator's AdamW; it is constant.
    """

    weight: Annotated[float, Field(ge=0, le=1e12)] = 1e-3
    rotations: RotationGroup = "about-z"
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    rate: Annotated[float, Field(gt=0, le=100)] = 5e-4

    def prepare(self, network: Any) -> None:
        self.discriminator = PatchDiscriminator(self.width).to(next(network.parameters()).device)
        parameters = self.discriminator.parameters()
        self.optimiser = Optimiser(opponent=torch.optim.AdamW(parameters, lr=self.rate, betas=(0.5, 0.9)))

    @property
    def parts(self) -> Mapping[str, Any]:
        return {"discriminator": self.discriminator}

    def cost(self, made: Pass) -> Cost:
        again, seen = self._seen = observations_to_match(made.own, self.rotations)
        self.discriminator.requires_grad_(False)
        logits = self.discriminator(again)
        self.discriminator.requires_grad_(True)
        return -self.weight * logits.mean(), {"recognised": float((logits < 0).float().mean())}

    def oppose(self, made: Pass) -> Cost:
        again, seen = (volumes.detach() for volumes in self._seen)
        return discriminator_loss([self.discriminator(seen)], [self.discriminator(again)]), {}
