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
