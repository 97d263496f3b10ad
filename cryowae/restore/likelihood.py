"""How likely an observation is, given a restored window: the misfit that reweighting and Langevin steps use.

`y = M (H x + n)`: the transfer `H` and the power of the noise `n` are measured shell by shell, where a block of the
observation is compared with its restoration from the mean codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.fourier.grids import radius
from cryowae.fourier.shells import cross_sums, shell_edges
from cryowae.fourier.wedge import Wedge

_SHELL = 0.5 / 32  # cycles per voxel
_FEW = 20  # components; shells with fewer take the values of the next finer shell
_LEAST = 1e-2  # noise power relative to the mean over shells: filters leave shells without noise


@dataclass(frozen=True, eq=False)
class Likelihood:
    """White Gaussian noise in each shell of the measured components.

    Attributes
    ----------
    wedge
        The measured region.
    transfer
        `(shells,)` amplitude of the observation, relative to a restoration.
    power
        `(shells,)` power of the noise, for transforms with the norm `ortho`.
    """

    wedge: Wedge
    transfer: Tensor
    power: Tensor

    def residual(self, restored: Tensor, observed: Tensor) -> Tensor:
        """The whitened difference, whose sum of squares is `sum over M of |H F x - F y|^2 / power`.

        Parameters
        ----------
        restored, observed
            `(n, 1, z, y, x)`. A taper lets the difference vanish at the border of the window.
        """
        shape, device = observed.shape[-3:], observed.device
        number = (radius(shape, device) / _SHELL).long().clamp(max=len(self.power) - 1)
        transfer, power = (values.to(device)[number] for values in (self.transfer, self.power))
        taper = _taper(shape, device)
        first, second = (torch.fft.rfftn(v.float() * taper, dim=(-3, -2, -1)) for v in (restored, observed))
        factor = self.wedge.mask(shape, device) / power.sqrt()
        factor[0, 0, 0] = 0  # the mean of a tomogram is not that of the structure
        whitened: Tensor = torch.fft.irfftn((transfer * first - second) * factor, s=shape, dim=(-3, -2, -1))
        return whitened

    def misfit(self, restored: Tensor, observed: Tensor) -> Tensor:
        """`(n,)` sum of the squares of the residual: minus two times the log-likelihood, up to a constant."""
        return self.residual(restored, observed).square().flatten(1).sum(1)


def measure_likelihood(restored: Tensor, observed: Tensor, wedge: Wedge) -> Likelihood:
    """The likelihood under which a restored block explains its observation best.

    Parameters
    ----------
    restored, observed
        `(z, y, x)`; the restoration is that from the mean codes.
    wedge
        The measured region.
    """
    shape, taper = observed.shape, _taper(observed.shape, observed.device)
    first, second = (torch.fft.rfftn((v - v.mean()).float() * taper, norm="ortho") for v in (restored, observed))
    first, second = (v / taper.square().mean().sqrt() for v in (first, second))
    sums = cross_sums(first, second, wedge.mask(shape), radius(shape), shell_edges(_SHELL))
    count = torch.from_numpy(sums.count)
    cross, own, seen = (torch.from_numpy(v) for v in (sums.cross, sums.power_a, sums.power_b))
    transfer = (cross / own.clamp(min=1e-12)).clamp(min=0)
    power = (seen - 2 * transfer * cross + transfer.square() * own) / count.clamp(min=1)
    for i in reversed(range(len(count) - 1)):
        if count[i] < _FEW:
            transfer[i], power[i] = transfer[i + 1], power[i + 1]
    power = power.clamp(min=_LEAST * float(power.mean()) + 1e-12)
    return Likelihood(wedge, transfer.float(), power.float())


def _taper(shape: torch.Size | tuple[int, ...], device: torch.device) -> Tensor:
    """A window that is 1 inside, and falls to 0 over an eighth of each axis at either end."""
    taper = torch.ones((), device=device)
    for axis, n in enumerate(shape):
        edge = max(n // 8, 1)
        ramp = torch.sin((torch.arange(edge, device=device) + 0.5) / edge * torch.pi / 2).square()
        line = torch.ones(n, device=device)
        line[:edge], line[n - edge :] = ramp, ramp.flip(0)
        taper = taper * line.view([-1 if i == axis else 1 for i in range(3)])
    return taper
