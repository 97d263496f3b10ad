"""The misfit of a sample to its own observation: the cost of the entropic coupling (EVIA), and without ground truth."""

from __future__ import annotations

import torch
from torch import Tensor

from cryowae.fourier.grids import hermitian_weights, radius
from cryowae.fourier.shells import shell_sums
from cryowae.fourier.wedge import Wedge
from cryowae.objectives.term import Cost, Pass, Term

_SHELL = 0.02  # cycles per voxel: width of the shells of the noise power
_LEAST = 1e-3  # of the mean noise power: a filter may leave shells without noise


class Misfit(Term):
    """The whitened squared difference of a restoration from its observation, over the measured components.

    It needs a second half and the tilts of every sample, and no truth: the halves give the power of the noise. It is
    that of the user's own subtomograms, if the batch has some. It logs the misfit of a component (`misfit`; 1 for the
    true structure).

    With weight 1, `kl` with the weight gamma and a latent match with lambda it is the objective of the amortised
    entropic coupling: `E c(y, z) + gamma E KL(q(z|y) || p) + lambda D(q, p)`. The misfit is a sum over components, so
    that gamma = 2 is Bayes' rule. Without the divergence it is that of a WAE, without the match that of a VAE.
    """

    def cost(self, made: Pass) -> Cost:
        made = made.own
        shape, device = made.restored.shape[-3:], str(made.restored.device)
        measured = torch.stack([Wedge.binary(*tilts).mask(shape, device) for tilts in made.needed("tilts")])[:, None]
        power = noise_power(made.batch.observation, made.needed("other"), measured)
        total = misfit(made.restored, made.batch.observation, measured, power)
        count = (measured * hermitian_weights(shape[-1], device)).flatten(1).sum(1).mean()
        return self.weight * total, {"misfit": float((total / count).detach())}


def misfit(restored: Tensor, observation: Tensor, measured: Tensor, power: Tensor) -> Tensor:
    """`sum over M of |F x - F y|^2 / power`, mean over the samples; the number of real components for the true `x`.

    Parameters
    ----------
    restored, observation
        `(n, 1, z, y, x)`.
    measured
        `(n, 1, z, y, x // 2 + 1)` mask of the measured components.
    power
        The same shape or one that broadcasts: mean square of each component of the noise, for transforms with the norm
        `ortho`.
    """
    dims, weights = (-3, -2, -1), hermitian_weights(observation.shape[-1], observation.device)
    difference = torch.fft.rfftn(restored.float() - observation, dim=dims, norm="ortho")
    square = difference.real.square() + difference.imag.square()
    total: Tensor = (square / power * measured * weights).flatten(1).sum(1).mean()
    return total


def noise_power(first: Tensor, second: Tensor, measured: Tensor) -> Tensor:
    """Power of the noise in one of two halves, by shell: half of that of their difference.

    Parameters
    ----------
    first, second
        `(n, 1, z, y, x)` halves with independent noise of the same power.
    measured
        `(n, 1, z, y, x // 2 + 1)` mask of the measured components.

    Returns
    -------
    power
        `(n, 1, z, y, x // 2 + 1)`.
    """
    shape = first.shape[-3:]
    spectrum = torch.fft.rfftn((first - second).float(), dim=(-3, -2, -1), norm="ortho")
    square = (spectrum.real.square() + spectrum.imag.square()) / 2
    distance, weights = radius(shape, first.device), hermitian_weights(shape[-1], first.device)
    edges = torch.arange(0, 0.9, _SHELL, dtype=torch.float64)
    number = (distance / _SHELL).long().clamp(max=len(edges) - 2)
    powers = []
    for one, mask in zip(square, measured, strict=True):
        counts = shell_sums((mask * weights)[0], distance, edges)
        sums = shell_sums((one * mask * weights)[0], distance, edges)
        mean = sums / counts.clamp(min=1)
        mean = mean.clamp(min=_LEAST * float(sums.sum() / counts.sum().clamp(min=1)) + 1e-12)
        powers.append(mean.float().to(first.device)[number][None])
    return torch.stack(powers)
