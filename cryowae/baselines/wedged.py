"""Digits as a tilt series would show them: noise, and a wedge of their Fourier transform that is empty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from cryowae.physics.fourier import hermitian_weights, radius
from cryowae.physics.wedge import Wedge

WINDOW = 48
"""Edge in pixels of what is seen; a digit of 32 stands in its middle."""
CANVAS = 2 * WINDOW
"""Edge on which noise and wedge are applied, so that the long tails along z are cut and not wrapped around."""
_ERODED = 10.0  # degrees by which the missing wedge is narrowed for scoring: the window smears what was measured
_RING = 1 / 24  # cycles per pixel, two frequency steps of the window
_LOWEST = 1 / 12  # below it there is no telling the wedge from the rest


@dataclass(frozen=True)
class Wedged:
    """`F y = M (F x + N)` in two dimensions, z down and x across.

    Attributes
    ----------
    tilt_min, tilt_max
        Extreme tilts in degrees.
    snr
        Variance of a digit over its window over the variance of the white noise.
    """

    tilt_min: float = -60.0
    tilt_max: float = 60.0
    snr: float = 0.5

    def truth(self, digits: Tensor) -> Tensor:
        """`(n, 1, 32, 32)` uint8 digits to `(n, 1, WINDOW, WINDOW)`, 0 about them and unit variance in the mean."""
        scaled = digits.float() / 255
        image = pad(scaled, [(WINDOW - digits.shape[-1]) // 2] * 4)
        unit: Tensor = image / image.var(dim=(1, 2, 3)).mean().sqrt()
        return unit

    def observe(self, truth: Tensor, generator: torch.Generator, noise_alone: bool = False) -> Tensor:
        """What is seen of it, of the same shape; with `noise_alone` what is seen of nothing.

        Parameters
        ----------
        truth
            Of `truth`.
        generator
            Draws the noise; on the CPU.
        noise_alone
            Leave the digit out.
        """
        n = len(truth)
        noise = torch.randn(n, 1, CANVAS, CANVAS, generator=generator).to(truth.device) * self.snr**-0.5
        edge = (CANVAS - WINDOW) // 2
        scene = noise if noise_alone else noise + pad(truth, [edge] * 4)
        mask = Wedge.binary(self.tilt_min, self.tilt_max).mask_plane((CANVAS, CANVAS), truth.device)
        seen: Tensor = torch.fft.irfft2(torch.fft.rfft2(scene) * mask, s=(CANVAS, CANVAS))
        return seen[..., edge : edge + WINDOW, edge : edge + WINDOW]

    def regions(self) -> dict[str, Tensor]:
        """`(WINDOW, WINDOW // 2 + 1)` bool: components that were measured, and those in the (narrowed) wedge."""
        shape = (WINDOW, WINDOW)
        low, high = max(self.tilt_min - _ERODED, -90), min(self.tilt_max + _ERODED, 90)
        distance = radius((WINDOW, 1, WINDOW))[:, 0]
        inside = (distance >= _LOWEST) & (distance <= 0.25)
        measured = Wedge.binary(self.tilt_min, self.tilt_max).mask_plane(shape) > 0.5
        wider = Wedge.binary(low, high).mask_plane(shape) > 0.5
        return {"obs": measured & inside, "mw": ~wider & inside}


@dataclass(frozen=True, eq=False)
class Wiener:
    """The linear filter of least error on measured components, from digits whose truth is known.

    Attributes
    ----------
    response
        `(WINDOW, WINDOW // 2 + 1)`.
    """

    response: Tensor

    @classmethod
    def fit(cls, truth: Tensor, observed: Tensor, wedged: Wedged) -> Wiener:
        """`sum Re(X Y*) / sum |Y|²` per ring, over measured components; nothing in the wedge."""
        shape = (WINDOW, WINDOW)
        measured = Wedge.binary(wedged.tilt_min, wedged.tilt_max).mask_plane(shape)
        weight = measured * hermitian_weights(WINDOW)
        ring = (radius((WINDOW, 1, WINDOW))[:, 0] / _RING).long()
        x, y = (torch.fft.rfft2(images.cpu()) for images in (truth, observed))
        cross = _ring_sums((x * y.conj()).real * weight, ring)
        power = _ring_sums(y.abs().square() * weight, ring)
        return cls((cross / power.clamp(min=1e-12)).clamp(min=0)[ring].float() * measured)

    def __call__(self, observed: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(observed.cpu()) * self.response, s=(WINDOW, WINDOW))
        return filtered.to(observed.device)


def scores(truth: Tensor, restored: Tensor, wedged: Wedged) -> dict[str, float]:
    """How close restored digits are to the true ones.

    Parameters
    ----------
    truth, restored
        `(n, 1, WINDOW, WINDOW)`.
    wedged
        Says what was measured.

    Returns
    -------
    scores
        `ncc`, mean over the digits; `fsc_obs` and `fsc_mw`, the Fourier ring correlation outside and inside the wedge,
        over all digits at once under a Hann window, mean over the rings up to half of Nyquist's frequency.
    """
    a, b = (images.flatten(1).double().cpu() for images in (truth, restored))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    correlation = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)
    found = {"ncc": float(correlation.mean())}
    hann = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)
    first, second = (torch.fft.rfft2(images.double().cpu() * hann * hann[:, None]) for images in (truth, restored))
    ring = (radius((WINDOW, 1, WINDOW))[:, 0] / _RING).long()
    for name, region in wedged.regions().items():
        weight = region * hermitian_weights(WINDOW)
        cross = _ring_sums((first * second.conj()).real * weight, ring)
        powers = [_ring_sums(f.abs().square() * weight, ring) for f in (first, second)]
        there = _ring_sums(region.double()[None, None], ring) > 0
        curve = cross / (powers[0] * powers[1]).sqrt().clamp(min=1e-12)
        found[f"fsc_{name}"] = float(curve[there].mean())
    return found


def _ring_sums(values: Tensor, ring: Tensor) -> Tensor:
    """Sums over images and over each ring."""
    total = values.sum(dim=(0, 1)).double()
    return torch.zeros(int(ring.max()) + 1, dtype=torch.float64).index_add(0, ring.flatten(), total.flatten())
