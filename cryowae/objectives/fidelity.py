"""Terms that compare the restored volume with data: the known structure, its fine detail, the second noisy half."""

from __future__ import annotations

import torch
from torch import Tensor

from cryowae.fourier.wedge import Wedge
from cryowae.objectives.term import Cost, Pass, Term


class Supervised(Term):
    """The squared error of `supervised` as a term.

    It needs a truth in every batch, and a scale where faint scenes must count as much as strong ones. It logs its cost,
    weight included.
    """

    def cost(self, made: Pass) -> Cost:
        return self.logged("supervised", supervised(made.restored, made.needed("truth"), made.scale))


class Gradient(Term):
    """The squared error of `gradient` as a term. It needs a truth, and logs its cost, weight included."""

    def cost(self, made: Pass) -> Cost:
        return self.logged("gradient", gradient(made.restored, made.needed("truth"), made.scale))


class Fidelity(Term):
    """The squared error of `fidelity`; needs a second half and the tilts of every sample, and no truth."""

    def cost(self, made: Pass) -> Cost:
        shape, device = made.restored.shape[-3:], str(made.restored.device)
        measured = torch.stack([Wedge.binary(*tilts).mask(shape, device) for tilts in made.needed("tilts")])[:, None]
        return self.logged("fidelity", fidelity(made.restored, made.needed("other"), measured))


def supervised(restored: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Squared error against the known structure, in units of the structure's own contrast.

    Parameters
    ----------
    restored, truth
        `(n, 1, ...)`.
    scale
        `(n,)` standard deviation that the structure has in the scene of each sample, so that faint scenes count as
        much as strong ones.
    """
    error = (restored.float() - truth).square().flatten(1).mean(1)
    return (error / scale.square()).mean()


def gradient(restored: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Squared error of the differences between neighbours, in the units of `supervised`: fine detail has more weight.

    By Parseval's theorem it is the error's power times `sum_i 4 sin(pi k_i)^2`, about `(2 pi k)^2`. The power that
    scenes have in a shell 0.02 wide falls fourfold from 0.06 to 0.25 cycles per voxel (measured on six of them), so
    that with a weight of 4 these shells count about alike; without it, fine detail hardly counts.

    Parameters
    ----------
    restored, truth
        `(n, 1, z, y, x)`.
    scale
        `(n,)` as in `supervised`.
    """
    error = restored.float() - truth
    power = torch.stack([error.diff(dim=axis).square().flatten(1).mean(1) for axis in (-3, -2, -1)]).sum(0)
    return (power / scale.square()).mean()


def fidelity(restored: Tensor, other_half: Tensor, measured: Tensor) -> Tensor:
    """Squared error against the other half over the measured components (noise2noise; Lehtinen et al. 2018, eq. 5).

    Parameters
    ----------
    restored
        `(n, 1, z, y, x)`, restored from the first half.
    other_half
        The second half, in the same units.
    measured
        `(n, 1, z, y, x // 2 + 1)` mask of the measured components.

    Returns
    -------
    loss
        Mean over voxels, by Parseval's theorem over `measured`. A Hann window is applied first, so that the borders do
        not leak into the wedge. The minimum is the noise power of the other half, not zero.
    """
    size = restored.shape[-3:]
    difference = restored.float() - other_half
    for axis, n in enumerate(size):
        window = torch.hann_window(n + 2, periodic=False, device=difference.device)[1:-1]
        window = window / window.square().mean().sqrt()
        difference = difference * window.view([-1 if i == axis else 1 for i in range(3)])
    spectrum = torch.fft.rfftn(difference, dim=(-3, -2, -1)) * measured
    seen: Tensor = torch.fft.irfftn(spectrum, s=size, dim=(-3, -2, -1))
    return seen.square().mean()
