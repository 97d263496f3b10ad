"""Building blocks that serve images and volumes alike: `spatial_dims` is 2 or 3.

Nothing here looks at the statistics of its input at inference, so that a window and the whole volume give the same
answer away from the border.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu

_CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_SLOPE = 0.1


def convolution(
    spatial_dims: int, channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, bias: bool = True
) -> nn.Conv2d | nn.Conv3d:
    """A convolution that keeps the size (odd kernels, stride 1) or divides it by its stride (kernel = stride)."""
    padding = kernel // 2 if stride == 1 else 0
    return _CONVOLUTION[spatial_dims](channels_in, channels_out, kernel, stride=stride, padding=padding, bias=bias)


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
    """`x + conv(act(conv(norm(x))))`, the second convolution starting small (De & Smith 2020)."""

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
        out: Tensor = x + self.second(leaky_relu(self.first(self.norm(x)), _SLOPE))
        return out


class ShuffleDown(nn.Module):
    """Every 2 x 2 (x 2) block of voxels becomes channels, then a convolution: the work is done at half the sampling."""

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

    Its kernels start alike for all voxels of a block, which starts without a checkerboard (Aitken et al. 2017).
    """

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        self.mix = convolution(spatial_dims, width, 2**spatial_dims)
        with torch.no_grad():
            self.mix.weight.copy_(0.1 * self.mix.weight[:1].expand_as(self.mix.weight))
            nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x)
        n, _, *size = mixed.shape
        dims = len(size)
        blocks = mixed.reshape(n, *[2] * dims, *size)
        order = [0, *[axis for i in range(dims) for axis in (1 + dims + i, 1 + i)]]
        out: Tensor = blocks.permute(order).reshape(n, 1, *[2 * s for s in size])
        return out
