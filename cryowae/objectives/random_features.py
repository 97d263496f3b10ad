"""Fixed features of noisy volumes, in which the laws of two sets of volumes are compared.

White noise dominates single voxels: two noisy cubes of `d` voxels have the squared distance `2 sigma^2 d`, whatever is
in them. So volumes are compared by mean amplitudes of their bands over patches, in which the noise averages out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d, avg_pool3d, conv3d

_SCALES = (1, 2, 4)
_KERNEL = 3
_PATCH = 16  # voxels along an edge
_SEED = 20241
_LEAST = 4  # positions along an edge: smaller than that, a scale is left out


class RandomFeatures(nn.Module):
    """Mean amplitudes of random band-pass filters over patches: a scattering with random kernels.

    At 1, 1/2 and 1/4 of the sampling, random 3 x 3 x 3 kernels without mean are applied, which are orthogonal: first
    order, `|W u|`. At half of that sampling, others are applied to the result: second order, `|V |W u||`, which depends
    on the arrangement of the bands. Both are averaged over patches of about 16 voxels. (Scattering: Bruna & Mallat
    2013; random kernels: Saxe et al. 2011.) The kernels come from a fixed seed and are never trained.

    Parameters
    ----------
    count
        Kernels of each order and scale, at most 26.
    """

    first: Tensor
    second: Tensor

    def __init__(self, count: int = 8) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_SEED)
        self.register_buffer("first", _kernels(count, 1, generator), persistent=False)
        self.register_buffer("second", _kernels(count, count, generator), persistent=False)

    def forward(self, volumes: Tensor) -> Tensor:
        """Features of each patch.

        Parameters
        ----------
        volumes
            `(n, 1, e, e, e)`, of at least 8 voxels along an edge.

        Returns
        -------
        features
            `(n, patches, d)`; amplitudes, in the units of the volumes.
        """
        volumes = volumes.float()
        patches = max(1, volumes.shape[-1] // _PATCH)
        found = []
        for scale in _SCALES:
            if volumes.shape[-1] // scale < _LEAST:
                break
            bands = conv3d(avg_pool3d(volumes, scale) if scale > 1 else volumes, self.first).abs()
            found.append(adaptive_avg_pool3d(bands, patches))
            if bands.shape[-1] // 2 >= _LEAST:
                found.append(adaptive_avg_pool3d(conv3d(avg_pool3d(bands, 2), self.second).abs(), patches))
        return torch.cat(found, 1).flatten(2).transpose(1, 2)


def _kernels(count: int, inputs: int, generator: torch.Generator) -> Tensor:
    """`(count, inputs, 3, 3, 3)` orthonormal kernels, each without mean over space."""
    kernels = torch.randn(count, inputs, _KERNEL, _KERNEL, _KERNEL, generator=generator, dtype=torch.float64)
    kernels = kernels - kernels.mean((-3, -2, -1), keepdim=True)
    orthonormal, _ = torch.linalg.qr(kernels.flatten(1).T)
    result: Tensor = orthonormal.T.reshape(kernels.shape).float()
    return result
