"""The convolutional autoencoder whose codes form a pyramid.

The encoder `Q` processes the observation at 1/2, 1/4 and 1/8 of the sampling, adds the features of the coarse scales
to the fine ones, and gives one narrow code per scale. The decoder `G` has the codes as its only input: there is
no path at full resolution and no skip around the codes, so that matching the codes to a prior matches the whole
input of the decoder (Tolstikhin et al. 2018, section 2).

A random encoder gives a mean and a deviation for each code; a restoration is then one sample of many, or the mean code
decoded (Kingma & Welling 2014).

Its blocks serve images and volumes alike: `spatial_dims` is 2 or 3. No layer depends on the statistics of its input at
inference, so that a window and the whole volume give the same answer away from the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm, leaky_relu

from cryowae.config import ModelConfig

_CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_SLOPE = 0.1
_LOG_SCALES = (-7.0, 2.0)  # of the deviation of a code
_FIRST_SCALE = 0.3  # deviation of a code before training
_FASTER = 10.0  # Adam moves the log-scales of codes by so many rates in a step


class Autoencoder(nn.Module):
    """Observation to codes to isotropic density, fully convolutional.

    Parameters
    ----------
    shape
        Channels and residual blocks at 1/2, 1/4, 1/8 ... of the sampling: in the down and up paths of the encoder, and
        in the decoder. The coarsest scale has no up path.
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
        self.to_spread = nn.ModuleList(
            _spread(d, w, c) for w, c in zip(widths, shape.codes, strict=True) if shape.random
        )
        self.from_code = nn.ModuleList(convolution(d, c, w, kernel=1) for w, c in zip(widths, shape.codes, strict=True))
        self.raise_ = nn.ModuleList(convolution(d, b, a, kernel=1) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths, shape.decode, strict=True))
        self.head = ShuffleUp(d, widths[0])
        self.stride = 2**levels
        self.receptive_field = _receptive_field(shape)

    @property
    def random(self) -> bool:
        """Whether the encoder gives a mean and a deviation for each code."""
        return len(self.to_spread) > 0

    def placed(self, device: torch.device | str) -> Autoencoder:
        """The network on a device, its kernels with channels last, which is the fastest layout there."""
        self.to(device)
        if self.spatial_dims == 3:
            for kernel in (p for p in self.parameters() if p.ndim == 5):
                kernel.data = kernel.data.contiguous(memory_format=torch.channels_last_3d)
        return self

    def encode(self, observation: Tensor) -> list[Tensor]:
        """Codes of an observation, fine to coarse; their means, if they are random.

        Parameters
        ----------
        observation
            `(n, 1, z, y, x)` (or `(n, 1, y, x)`), in units of its own standard deviation, protein bright.

        Returns
        -------
        codes
            One `(n, c, ...)` per scale, at 1/2, 1/4, 1/8 ... of the sampling.
        """
        return self._codes(self._features(observation))

    def posterior(self, observation: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Mean and log-variance of each code, fine to coarse; for a network with random codes."""
        features = self._features(observation)
        spreads = [_FASTER * spread(f) for spread, f in zip(self.to_spread, features, strict=True)]
        bounded = [2 * spread.float().clamp(*_LOG_SCALES) for spread in spreads]
        return list(zip(self._codes(features), bounded, strict=True))

    def _codes(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [to_code(f) for to_code, f in zip(self.to_code, features, strict=True)]

    def _features(self, observation: Tensor) -> list[Tensor]:
        features = [self.down[0](self.stem(observation))]
        for halve, blocks in zip(self.halve, self.down[1:], strict=True):
            features.append(blocks(halve(features[-1])))
        for i in reversed(range(len(features) - 1)):
            features[i] = self.up[i](features[i] + _double(self.lift[i](features[i + 1])))
        return features

    def decode(self, codes: Sequence[Tensor]) -> Tensor:
        """Density decoded from the codes, `(n, 1, z, y, x)`; 0 is solvent."""
        state = self.decoder[-1](self.from_code[-1](codes[-1]))
        for i in reversed(range(len(codes) - 1)):
            state = self.decoder[i](self.from_code[i](codes[i]) + _double(self.raise_[i](state)))
        out: Tensor = self.head(state)
        return out

    def forward(self, observation: Tensor) -> Tensor:
        return self.decode(self.encode(observation))


def convolution(dims: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d | nn.Conv3d:
    """A convolution that keeps the size (odd kernels, stride 1) or divides it by its stride (kernel = stride)."""
    padding = kernel // 2 if stride == 1 else 0
    return _CONVOLUTION[dims](inputs, outputs, kernel, stride=stride, padding=padding)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position (Ba et al. 2016, as ConvNeXt uses it).

    No statistics of the window or of the batch: training and inference, a crop and the whole, are the same function.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        last = x.movedim(1, -1)
        return layer_norm(last, self.weight.shape, self.weight.to(x.dtype), self.bias.to(x.dtype)).movedim(-1, 1)


class Residual(nn.Module):
    """`x + conv(act(conv(norm(x))))`, the second convolution initialised small (De & Smith 2020)."""

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = convolution(spatial_dims, width, width)
        self.second = convolution(spatial_dims, width, width)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, a=_SLOPE, nonlinearity="leaky_relu")
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(leaky_relu(self.first(self.norm(x)), _SLOPE))
        return x + change


class ShuffleDown(nn.Module):
    """Every 2 x 2 (x 2) block of voxels becomes channels, then a convolution follows at half the sampling."""

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        self.mix = convolution(spatial_dims, 2**spatial_dims, width)

    def forward(self, x: Tensor) -> Tensor:
        n, _, *size = x.shape
        split = x.reshape(n, *[s for axis in size for s in (axis // 2, 2)])
        dims = len(size)
        order = [0, *[2 + 2 * i for i in range(dims)], *[1 + 2 * i for i in range(dims)]]
        out: Tensor = self.mix(split.permute(order).reshape(n, 2**dims, *[s // 2 for s in size]))
        return out


class ShuffleUp(nn.Module):
    """The inverse of `ShuffleDown`: a convolution makes the voxels of each block, one density per voxel.

    Its kernels are initialised equally for all voxels of a block, to avoid a checkerboard (Aitken et al. 2017).
    """

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        self.mix = convolution(spatial_dims, width, 2**spatial_dims)
        with torch.no_grad():
            self.mix.weight.copy_(0.1 * self.mix.weight[:1].expand_as(self.mix.weight))
            nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(x)
        n, _, *size = mixed.shape
        dims = len(size)
        blocks = mixed.reshape(n, *[2] * dims, *size)
        order = [0, *[axis for i in range(dims) for axis in (1 + dims + i, 1 + i)]]
        return blocks.permute(order).reshape(n, 1, *[2 * s for s in size])


def _blocks(spatial_dims: int, width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[Residual(spatial_dims, width) for _ in range(count)])


def _spread(spatial_dims: int, width: int, codes: int) -> nn.Conv2d | nn.Conv3d:
    """The log-scale of each code, divided by `_FASTER`; the same everywhere before training."""
    layer = convolution(spatial_dims, width, codes, kernel=1)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, math.log(_FIRST_SCALE) / _FASTER)  # type: ignore[arg-type]
    return layer


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")


def _receptive_field(shape: ModelConfig) -> int:
    # a residual block uses 2 samples on either side, stem and head 1; the path through all scales is the longest
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
