"""The energy score: a cost for samples, whose minimum is the true conditional law of the structure.

A squared error wants the mean, which is too weak where nothing was measured. A strictly proper score of two or more
samples wants them to be distributed as the structure is, given the observation (Gneiting & Raftery 2007, section 4.3).
No opponent is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import avg_pool3d

from cryowae.errors import ConfigError
from cryowae.fourier.grids import radius
from cryowae.fourier.wedge import Wedge
from cryowae.objectives.term import Cost, Pass, Term

_TINY = 1e-6  # of the square in a norm, in units of the structure's contrast: the root has no gradient at 0

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(eq=False)
class Energy(Term):
    """Energy score of patches in several bands, and the almost fair CRPS of every voxel.

    It needs a truth, the tilts of every sample, and an encoder with random codes. It logs both parts, and the mean
    distance of two samples relative to that of a sample from the truth (`spread`; 1 if the samples are as the truth).

    Attributes
    ----------
    draws
        Samples of each observation; 2 or more.
    patch
        Edge of the cubes whose norms are compared, in voxels.
    bands
        Edges of the bands in cycles per voxel. Each band is compared where it was measured and in the wedge.
    wedge
        Weight of the components in the wedge, relative to the measured ones.
    crps
        Weight of the CRPS, relative to the energy score.
    fairness
        1 makes the CRPS fair: its expectation does not depend on the number of samples (Lang et al. 2024).
    """

    draws: Annotated[int, Field(ge=2, le=8)] = 2
    patch: Annotated[int, Field(ge=1, le=512)] = 8
    bands: tuple[float, ...] = (0.0, 0.06, 0.13, 0.3)
    wedge: Annotated[float, Field(ge=0, le=1e12)] = 1.0
    crps: Annotated[float, Field(ge=0, le=1e12)] = 1.0
    fairness: Share = 0.95

    def cost(self, made: Pass) -> Cost:
        if not made.posterior:
            raise ConfigError(
                "the term energy compares samples, and this network has no random codes: set model.random"
            )
        truth, scale = made.needed("truth"), made.scale.view(-1, 1, 1, 1, 1)
        samples = [s.float() / scale for s in (made.restored, *(made.another() for _ in range(self.draws - 1)))]
        score, spread, error = self._energy(samples, truth / scale, made.needed("tilts"))
        fair = crps(samples, truth / scale, self.fairness)
        cost = self.weight * (score + self.crps * fair)
        return cost, {
            "energy": float(score.detach()),
            "crps": float(fair.detach()),
            "spread": spread / max(error, 1e-9),
        }

    def _energy(
        self, samples: Sequence[Tensor], truth: Tensor, tilts: Sequence[tuple[float, float]]
    ) -> tuple[Tensor, float, float]:
        """The score, the mean distance between samples, and that to the truth; sums over the bands."""
        errors = [self._norms(sample - truth, tilts) for sample in samples]
        spreads = [self._norms(a - b, tilts) for a, b in combinations(samples, 2)]
        error, spread = torch.stack(errors).mean(), torch.stack(spreads).mean()
        return error - spread / 2, float(spread.detach()), float(error.detach())

    def _norms(self, difference: Tensor, tilts: Sequence[tuple[float, float]]) -> Tensor:
        """Mean norm of the patches of a difference, summed over the bands."""
        shape, device = difference.shape[-3:], difference.device
        spectrum = torch.fft.rfftn(difference, dim=(-3, -2, -1))
        distance = radius(shape, device)
        measured = torch.stack([Wedge.binary(*one).mask(shape, str(device)) for one in tilts])[:, None]
        total = difference.new_zeros(())
        for low, high in pairwise(self.bands):
            band = (distance >= low) & (distance < high)
            for weight, part in ((1.0, measured), (self.wedge, 1 - measured)):
                if weight:
                    field = torch.fft.irfftn(spectrum * (band * part), s=shape, dim=(-3, -2, -1))
                    total = total + weight * patch_norm(field, self.patch)
        return total


def patch_norm(field: Tensor, patch: int) -> Tensor:
    """Mean over patches of the root of the mean square in a patch.

    Parameters
    ----------
    field
        `(n, 1, z, y, x)`.
    patch
        Edge of the patches in voxels; those that do not fit are left out.
    """
    return (avg_pool3d(field.square(), patch) + _TINY).sqrt().mean()


def energy_score(samples: Sequence[Tensor], truth: Tensor) -> Tensor:
    """`mean_k |x - x_k| - sum_jk |x_j - x_k| / (2 K (K - 1))`, unbiased (Gneiting & Raftery 2007, eq. 22, beta = 1).

    Parameters
    ----------
    samples
        K of `(n, d)`.
    truth
        `(n, d)`.
    """
    error = torch.stack([(s - truth).norm(dim=1).mean() for s in samples]).mean()
    spread = torch.stack([(a - b).norm(dim=1).mean() for a, b in combinations(samples, 2)]).mean()
    return error - spread / 2


def crps(samples: Sequence[Tensor], truth: Tensor, fairness: float = 1.0) -> Tensor:
    """The almost fair continuous ranked probability score, mean over all values (Lang et al. 2024, eq. 4).

    `mean_k |x_k - x| - [a / (K (K - 1)) + (1 - a) / K^2] sum_(j<k) |x_j - x_k|`. With `a` = 1 the spread of samples is
    free as long as two of three agree; a little less avoids this.

    Parameters
    ----------
    samples
        K tensors.
    truth
        The same shape.
    fairness
        `a`.
    """
    count = len(samples)
    error = torch.stack([(s - truth).abs().mean() for s in samples]).mean()
    spread = torch.stack([(a - b).abs().mean() for a, b in combinations(samples, 2)]).sum()
    return error - (fairness / (count * (count - 1)) + (1 - fairness) / count**2) * spread
