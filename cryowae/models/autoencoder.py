"""The convolutional autoencoder whose codes form a pyramid.

The encoder `Q` looks at the observation at 1/2, 1/4 and 1/8 of the sampling, lets what it saw at the coarse scales
inform the fine ones, and writes one narrow code per scale. The decoder `G` sees the codes and nothing else: there is
no path at full resolution and no skip around the codes, so that matching the codes to a prior matches all that the
decoder knows (Tolstikhin et al. 2018, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cryowae.config import ModelConfig
from cryowae.models.blocks import Residual, ShuffleDown, ShuffleUp, convolution


class Autoencoder(nn.Module):
    """Observation to codes to isotropic density, fully convolutional.

    Parameters
    ----------
    shape
        Channels and residual blocks at 1/2, 1/4, 1/8 ... of the sampling: on the way down and up in the encoder, and in
        the decoder. The coarsest scale has no way up.
    spatial_dims
        2 for images, 3 for volumes.

    Attributes
    ----------
    stride
        Total stride: every spatial axis of the input is a multiple of it, and the network is equivariant to shifts by
        it, not by less.
    receptive_field
        Voxels on either side of an output voxel that can change it, rounded up to a multiple of `stride`.
    """

    def __init__(self, shape: ModelConfig, spatial_dims: int = 3) -> None:
        super().__init__()
        self.shape, self.spatial_dims = shape, spatial_dims
        d, widths, levels = spatial_dims, shape.widths, len(shape.widths)
        self.stem = ShuffleDown(d, widths[0])
        self.down = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths, shape.down, strict=True))
        self.halve = nn.ModuleList(convolution(d, a, b, kernel=2, stride=2) for a, b in pairwise(widths))
        self.lift = nn.ModuleList(convolution(d, b, a, kernel=1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths[:-1], shape.up, strict=True))
        self.to_code = nn.ModuleList(convolution(d, w, c, kernel=1) for w, c in zip(widths, shape.codes, strict=True))
        self.from_code = nn.ModuleList(convolution(d, c, w, kernel=1) for w, c in zip(widths, shape.codes, strict=True))
        self.raise_ = nn.ModuleList(convolution(d, b, a, kernel=1) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths, shape.decode, strict=True))
        self.head = ShuffleUp(d, widths[0])
        self.stride = 2**levels
        self.receptive_field = _receptive_field(shape)

    def placed(self, device: torch.device | str) -> Autoencoder:
        """Itself on a device, its kernels with channels last, which is the fastest layout there."""
        self.to(device)
        if self.spatial_dims == 3:
            for kernel in (p for p in self.parameters() if p.ndim == 5):
                kernel.data = kernel.data.contiguous(memory_format=torch.channels_last_3d)
        return self

    def encode(self, observation: Tensor) -> list[Tensor]:
        """Codes of an observation, fine to coarse.

        Parameters
        ----------
        observation
            `(n, 1, z, y, x)` (or `(n, 1, y, x)`), in units of its own standard deviation, protein bright.

        Returns
        -------
        codes
            One `(n, c, ...)` per scale, at 1/2, 1/4, 1/8 ... of the sampling.
        """
        features = [self.down[0](self.stem(observation))]
        for halve, blocks in zip(self.halve, self.down[1:], strict=True):
            features.append(blocks(halve(features[-1])))
        for i in reversed(range(len(features) - 1)):
            features[i] = self.up[i](features[i] + _double(self.lift[i](features[i + 1])))
        return [to_code(f) for to_code, f in zip(self.to_code, features, strict=True)]

    def decode(self, codes: Sequence[Tensor]) -> Tensor:
        """Density that the codes stand for, `(n, 1, z, y, x)`; 0 is solvent."""
        state = self.decoder[-1](self.from_code[-1](codes[-1]))
        for i in reversed(range(len(codes) - 1)):
            state = self.decoder[i](self.from_code[i](codes[i]) + _double(self.raise_[i](state)))
        out: Tensor = self.head(state)
        return out

    def forward(self, observation: Tensor) -> Tensor:
        return self.decode(self.encode(observation))


def _blocks(spatial_dims: int, width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[Residual(spatial_dims, width) for _ in range(count)])


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")


def _receptive_field(shape: ModelConfig) -> int:
    # a residual block looks 2 samples to either side, stem and head 1; the way through every scale is the longest
    levels = len(shape.widths)
    reach = 2 * (1 + 1)
    for i in range(levels):
        blocks = shape.down[i] + (shape.up[i] if i < levels - 1 else 0) + shape.decode[i]
        reach += 2 ** (i + 1) * (2 * blocks + 1)
    stride: int = 2**levels
    return -(-reach // stride) * stride


@torch.no_grad()
def interpolate_codes(first: Sequence[Tensor], second: Sequence[Tensor], steps: int) -> list[list[Tensor]]:
    """`steps` lists of codes on the straight line from `first` to `second`, both ends included."""
    weights = torch.linspace(0, 1, steps).tolist()
    return [[torch.lerp(a, b, w) for a, b in zip(first, second, strict=True)] for w in weights]
