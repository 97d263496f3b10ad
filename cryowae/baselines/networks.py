"""The networks of the 2-D baselines, whose codes are vectors: a table of shapes, and the modules built from it.

The shapes give exactly the parameter counts of the report's Table 1; the tests check all six. The trunk
is DCGAN's (Radford et al. 2016): convolutions of four pixels and stride 2, batch normalisation, ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Trunk:
    """Widths of one row of the report's Table 1.

    Attributes
    ----------
    channels, size
        Channels of the images, 1 or 3, and their edge in pixels.
    code
        Length of a code.
    down
        Channels after each convolution that halves the size, in the encoder or the critic.
    start
        Channels of the field that the decoder's first Linear makes, at twice the size at which `down` ends.
    up
        Channels after each transposed convolution that doubles the size.
    discriminator
        Hidden widths of the latent discriminator.
    """

    channels: int
    size: int
    code: int
    down: tuple[int, ...]
    start: int
    up: tuple[int, ...]
    discriminator: tuple[int, ...] = ()

    @property
    def flat(self) -> int:
        """Number of values after `down`."""
        return self.down[-1] * (self.size >> len(self.down)) ** 2

    @property
    def start_size(self) -> int:
        """Edge of the field that the decoder starts from."""
        return self.size >> len(self.up)


_SMALL, _LARGE = (32, 32, 64, 64), (128, 256, 512, 1024)
TRUNKS = {
    ("mnist", "vae"): Trunk(1, 32, 32, _SMALL, 64, (64, 32, 32)),
    ("mnist", "wae"): Trunk(1, 32, 8, _SMALL, 64, (64, 32, 32), (64,) * 4),
    ("mnist", "wgan-gp"): Trunk(1, 32, 128, (128, 256, 512), 512, (256, 128)),
    ("celeba", "vae"): Trunk(3, 64, 32, _SMALL, 64, (64, 32, 32)),
    ("celeba", "wae"): Trunk(3, 64, 64, _LARGE, 1024, (512, 256, 128), (512,) * 4),
    ("celeba", "wgan-gp"): Trunk(3, 64, 128, _LARGE, 1024, (512, 256, 128)),
}
"""By data set and family; `ae`, `wae-mmd`, `wae-gan` and `aae` are of the family `wae`."""


class Halved(nn.Sequential):
    """Layers whose convolutions are computed in bfloat16 in training, if `half`; input and output are float32.

    Weights, batch statistics and all other layers stay in float32, and evaluation is in float32.
    """

    def __init__(self, half: bool, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.half_precision = half

    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, torch.bfloat16, enabled=self.half_precision and self.training):
            for layer in self:
                values = layer(values)
        return values.float()


class Encoder(nn.Module):
    """Images to one or several vectors.

    Parameters
    ----------
    trunk
        Widths.
    heads
        Length of each vector, by name: `style`, or `style` and `label`, or `mean` and `log_variance`.
    half
        Convolutions in bfloat16 while training.
    """

    def __init__(self, trunk: Trunk, heads: dict[str, int], half: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise((trunk.channels, *trunk.down)):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.trunk = Halved(half, *layers, nn.Flatten())
        self.heads = nn.ModuleDict({name: nn.Linear(trunk.flat, length) for name, length in heads.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """`(n, channels, size, size)` in [-1, 1] to `(n, length)` for each head."""
        seen = self.trunk(images)
        return {name: head(seen) for name, head in self.heads.items()}


class Decoder(nn.Module):
    """Codes to images; with `normalised_start` it is the generator of the WGAN.

    Parameters
    ----------
    trunk
        Widths.
    code
        Length of the code, if it is not that of the trunk.
    normalised_start
        Batch normalisation and ReLU after the first Linear.
    half
        Convolutions in bfloat16 while training.
    """

    def __init__(
        self, trunk: Trunk, code: int | None = None, normalised_start: bool = False, half: bool = False
    ) -> None:
        super().__init__()
        edge = trunk.start_size
        features = trunk.start * edge**2
        self.first = nn.Linear(trunk.code if code is None else code, features)
        layers: list[nn.Module] = [nn.BatchNorm1d(features), nn.ReLU()] if normalised_start else []
        layers.append(nn.Unflatten(1, (trunk.start, edge, edge)))
        for a, b in pairwise((trunk.start, *trunk.up)):
            layers += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.rest = Halved(half, *layers, nn.Conv2d(trunk.up[-1], trunk.channels, 3, padding=1))

    def forward(self, code: Tensor) -> Tensor:
        """`(n, code)` to `(n, channels, size, size)`, not bounded; the range [-1, 1] is learned."""
        images: Tensor = self.rest(self.first(code))
        return images


def critic(trunk: Trunk, half: bool = False) -> nn.Sequential:
    """`(n, channels, size, size)` to `(n, 1)`, without any normalisation over the batch (Gulrajani et al. 2017, 4)."""
    layers: list[nn.Module] = []
    for a, b in pairwise((trunk.channels, *trunk.down)):
        layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return Halved(half, *layers, nn.Flatten(), nn.Linear(trunk.flat, 1))


def discriminator(code: int, hidden: Sequence[int]) -> nn.Sequential:
    """`(n, code)` to `(n, 1)` logits, positive where a code looks like the prior's."""
    layers: list[nn.Module] = []
    for a, b in pairwise((code, *hidden)):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
