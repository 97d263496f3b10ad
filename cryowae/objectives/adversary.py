"""The latent discriminator as a term of the objective: it distinguishes codes of observations from codes of the prior.

Makhzani et al. 2016 (adversarial autoencoder), Tolstikhin et al. 2018 (WAE-GAN). Its kernels see neighbourhoods of
codes, so that not only single positions but the field of codes is matched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from cryowae.models import convolution
from cryowae.objectives import Optimiser
from cryowae.objectives.term import Cost, LatentTerm, Pass, code_names


@dataclass(eq=False)
class Adversary(LatentTerm):
    """A discriminator distinguishes codes of observations from codes of the prior; the encoder is trained to fool it.

    It logs the discriminator's accuracy on codes of observations, per scale (`match`).

    Attributes
    ----------
    weight, prior
        As in `LatentTerm`.
    neighbourhood
        Edge of the cube of codes for one decision.
    rate
        Learning rate of the discriminator's AdamW; it is constant.
    """

    neighbourhood: Annotated[int, Field(ge=1, le=4)] = 1
    rate: Annotated[float, Field(gt=0, le=100)] = 5e-4

    def prepare(self, network: Any) -> None:
        made = LatentDiscriminator(network.spatial_dims, network.shape.codes, neighbourhood=self.neighbourhood)
        self.discriminator = made.to(next(network.parameters()).device)
        parameters = self.discriminator.parameters()
        self.optimiser = Optimiser(opponent=torch.optim.AdamW(parameters, lr=self.rate, betas=(0.5, 0.9)))

    @property
    def parts(self) -> Mapping[str, Any]:
        return {"discriminator": self.discriminator}

    def cost(self, made: Pass) -> Cost:
        own, prior = self._seen = self.matched(made)
        self.discriminator.requires_grad_(False)
        logits = self.discriminator([c.float() for c in own])
        self.discriminator.requires_grad_(True)
        right = [float((scale < 0).float().mean()) for scale in logits]
        return self.weight * fooling_loss(logits), dict(zip(code_names("match", own), right, strict=True))

    def oppose(self, made: Pass) -> Cost:
        own, prior = ([c.detach().float() for c in codes] for codes in self._seen)
        return discriminator_loss(self.discriminator(prior), self.discriminator(own)), {}


class LatentDiscriminator(nn.Module):
    """One small convolutional classifier per scale.

    Parameters
    ----------
    spatial_dims
        2 or 3.
    codes
        Code channels per scale.
    width
        Hidden channels.
    neighbourhood
        Edge of the cube of codes for one decision; 1 uses single positions.
    """

    def __init__(self, spatial_dims: int, codes: Sequence[int], width: int = 64, neighbourhood: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList()
        for channels in codes:
            seen = convolution(spatial_dims, channels, width, kernel=1)
            if neighbourhood > 1:
                seen = type(seen)(channels, width, neighbourhood)
            layers: list[nn.Module] = [seen]
            for width_out in (width, width, 1):
                layers += [nn.LeakyReLU(0.2), convolution(spatial_dims, width, width_out, kernel=1)]
            self.scales.append(nn.Sequential(*layers))

    def forward(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Logits per scale and position, positive where a code resembles the prior."""
        return [scale(code) for scale, code in zip(self.scales, codes, strict=True)]


def discriminator_loss(on_prior: Sequence[Tensor], on_codes: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of a discriminator whose target is 1 for the prior, mean over positions and scales."""
    terms = [softplus(-p).mean() + softplus(c).mean() for p, c in zip(on_prior, on_codes, strict=True)]
    return torch.stack(terms).mean() / 2


def fooling_loss(on_codes: Sequence[Tensor]) -> Tensor:
    """Cost of the encoder when its codes are recognised (the non-saturating form of Goodfellow et al. 2014)."""
    return torch.stack([softplus(-c).mean() for c in on_codes]).mean()
