"""The latent discriminator: it tells codes of observations from codes of the prior, scale by scale.

Makhzani et al. 2016 (adversarial autoencoder), Tolstikhin et al. 2018 (WAE-GAN). Its kernels see neighbourhoods of
codes, so that not only single positions but the field of codes is matched.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cryowae.models.blocks import convolution


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
        Edge of the cube of codes that one decision sees; 1 looks at single positions.
    """

    def __init__(self, spatial_dims: int, codes: Sequence[int], width: int = 64, neighbourhood: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList()
        for channels in codes:
            seen = convolution(spatial_dims, channels, width, kernel=1)
            if neighbourhood > 1:
                seen = type(seen)(channels, width, neighbourhood)
            self.scales.append(
                nn.Sequential(
                    seen,
                    nn.LeakyReLU(0.2),
                    convolution(spatial_dims, width, width, kernel=1),
                    nn.LeakyReLU(0.2),
                    convolution(spatial_dims, width, width, kernel=1),
                    nn.LeakyReLU(0.2),
                    convolution(spatial_dims, width, 1, kernel=1),
                )
            )

    def forward(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Logits per scale and position, positive where a code looks like the prior's."""
        return [scale(code) for scale, code in zip(self.scales, codes, strict=True)]
