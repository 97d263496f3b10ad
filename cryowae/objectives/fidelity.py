"""The term that compares the restored volume with the second noisy half of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from cryowae.fourier.wedge import Wedge
from cryowae.objectives.term import Cost, Pass, Term


class Fidelity(Term):
    """The squared error of `fidelity`; needs a second half and the tilts of every sample, and no truth.

    It is that of the user's own subtomograms (`Pass.own`), if the batch has some beside the simulated ones.
    """

    def cost(self, made: Pass) -> Cost:
        made = made.own
        shape, device = made.restored.shape[-3:], str(made.restored.device)
        measured = torch.stack([Wedge.binary(*tilts).mask(shape, device) for tilts in made.needed("tilts")])[:, None]
        return self.logged("fidelity", fidelity(made.restored, made.needed("other"), measured))


def fidelity(restored: Tensor, other_half: Tensor, measured: Tensor) -> Tensor:
    """Squared error of the measured part against the other half (noise2noise; Lehtinen et al. 2018, eq. 5).

    The wedge is applied to the restored volume before the window, as it was to the data before they were cut. A window
    first would carry components of the wedge, which the half does not have, across its edge: then the best restoration
    has 0.92 of the contrast of a simulated structure in boxes of 64, and in this order 0.98.

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
        `windowed_error` of the two. The minimum is the noise power of the other half, not zero.
    """
    return windowed_error(masked(restored.float(), measured) - other_half)


def windowed_error(difference: Tensor, factors: Tensor | None = None) -> Tensor:
    """Mean square of a difference of volumes under a Hann window, which gives the unsure borders no weight.

    The mean under the window is not counted: 0 is the solvent in a restored volume, and the mean of the tomogram in an
    observation.

    Parameters
    ----------
    difference
        `(n, 1, z, y, x)`.
    factors
        `(n, 1, z, y, x // 2 + 1)` factor on the amplitude of each component of the windowed difference; 1 by default.

    Returns
    -------
    error
        Mean over voxels; the window has unit mean square, so that white noise has its variance.
    """
    window = torch.ones((), device=difference.device)
    for axis, n in enumerate(difference.shape[-3:]):
        line = torch.hann_window(n + 2, periodic=False, device=difference.device)[1:-1]
        window = window * (line / line.square().mean().sqrt()).view([-1 if i == axis else 1 for i in range(3)])
    mean = (difference * window).mean((-3, -2, -1), keepdim=True) / window.mean()
    seen = (difference - mean) * window
    return (seen if factors is None else masked(seen, factors)).square().mean()


def masked(volumes: Tensor, factors: Tensor) -> Tensor:
    """Volumes `(..., z, y, x)` whose components are multiplied by factors `(..., z, y, x // 2 + 1)`."""
    spectrum = torch.fft.rfftn(volumes, dim=(-3, -2, -1)) * factors
    result: Tensor = torch.fft.irfftn(spectrum, s=volumes.shape[-3:], dim=(-3, -2, -1))
    return result
