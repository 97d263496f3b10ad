"""A small 3-D discriminator of patches, with a slope that is limited by spectral normalisation."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cryowae.models import convolution

_SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """One logit for each patch of 18 voxels, every 4 voxels.

    The spectral norm of every kernel, as a matrix, is 1 (Miyato et al. 2018, eq. 8), so that the slope is limited: a
    cost that is linear in the logits cannot grow without limit. A gradient penalty would do the same, but needs second
    derivatives of 3-D convolutions: twice the time, and not in bfloat16.

    Parameters
    ----------
    width
        Channels of the first layer; the second has twice as many, the third four times.
    gain
        Factor on the logits, which undoes the small slope of several layers of norm 1.
    """

    def __init__(self, width: int = 16, gain: float = 3.0) -> None:
        super().__init__()
        self._gain = gain
        self.layers = nn.Sequential(
            *(spectral_norm(nn.Conv3d(1, width, 4, stride=2, padding=1)), nn.LeakyReLU(_SLOPE)),
            *(spectral_norm(nn.Conv3d(width, 2 * width, 4, stride=2, padding=1)), nn.LeakyReLU(_SLOPE)),
            *(spectral_norm(convolution(3, 2 * width, 4 * width)), nn.LeakyReLU(_SLOPE)),
            spectral_norm(convolution(3, 4 * width, 1, kernel=1)),
        )

    def forward(self, volumes: Tensor) -> Tensor:
        """Logits `(n, 1, z / 4, y / 4, x / 4)` of volumes `(n, 1, z, y, x)`; positive for an observation."""
        logits: Tensor = self._gain * self.layers(volumes)
        return logits
