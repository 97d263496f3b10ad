"""Digits with noise and an empty wedge, as in a tilt series, and linear filters that restore them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from cryowae.fourier.grids import frequency_grid, hermitian_weights, radius
from cryowae.fourier.wedge import Wedge
from cryowae.metrics.regions import EROSION, inside
from cryowae.objectives import Batch, BatchSource

Filter = Callable[[Tensor], Tensor]
"""Observed digits to restored ones, in the same shape."""

WINDOW = 48
"""Edge of an observation in pixels; the digit of 32 pixels is in its middle."""
CANVAS = 2 * WINDOW
"""Edge for noise and wedge, so that the long tails along z are cut off instead of wrapped around."""
DEVIATION = 0.2029
"""Standard deviation over its window of the mean MNIST training digit, whose values are 0 to 1."""
VACANT = 0.1
"""Share of the training samples that are noise without a digit, so that the response to noise is learned."""
_RING = 1 / 24  # cycles per pixel, two frequency steps of the window
_LOWEST, _HIGHEST = 1 / 12, 1 / 4  # below, the wedge is not resolved; above, digits have little power
_FEWEST = 4  # minimum number of components in a ring


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
        """`(n, 1, 32, 32)` uint8 digits to `(n, 1, WINDOW, WINDOW)`, padded by 0, with unit variance on average."""
        return pad(digits.float() / (255 * DEVIATION), [(WINDOW - digits.shape[-1]) // 2] * 4)

    def pairs(self, digits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Training pairs of uint8 digits: their `truth`, empty for a share `VACANT` of them, and the observation."""
        there = torch.rand(len(digits), 1, 1, 1, generator=generator) >= VACANT
        truth = self.truth(digits) * there.to(digits.device)
        return truth, self.observe(truth, generator)

    def observe(self, truth: Tensor, generator: torch.Generator) -> Tensor:
        """Observations of `(n, 1, WINDOW, WINDOW)`, in the same shape; the generator draws the noise, on the CPU."""
        noise = torch.randn(len(truth), 1, CANVAS, CANVAS, generator=generator).to(truth.device) * self.snr**-0.5
        edge = (CANVAS - WINDOW) // 2
        mask = self.wedge.mask_plane((CANVAS, CANVAS), truth.device)
        seen: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise + pad(truth, [edge] * 4)) * mask, s=(CANVAS, CANVAS))
        return seen[..., edge : edge + WINDOW, edge : edge + WINDOW]

    @property
    def wedge(self) -> Wedge:
        """The measured region, with sharp edges."""
        return Wedge.binary(self.tilt_min, self.tilt_max)

    def regions(self) -> dict[str, Tensor]:
        """`(WINDOW, WINDOW // 2 + 1)` bool: measured components, and components well inside the wedge.

        The latter are 2.5 frequency steps or more from all measured ones, as for volumes (`cryowae.metrics`), since the
        Hann window that is applied before scoring spreads these that far.
        """
        shape = (WINDOW, 1, WINDOW)
        distance, k = radius(shape), frequency_grid(shape)
        scored = (distance >= _LOWEST) & (distance < _HIGHEST)
        measured, missing = inside("measured", self.wedge, k, 0), inside("missing", self.wedge, k, EROSION / WINDOW)
        return {"obs": (measured & scored)[:, 0], "mw": (missing & scored)[:, 0]}


class WedgedDigits(BatchSource):
    """Batches of random digits and their observations.

    Parameters
    ----------
    digits
        `(n, 1, 32, 32)` uint8, on the device of the batches.
    wedged
        Observation model.
    count
        Digits of a batch.
    seed
        It determines, with the number of the step, the random numbers of a step.
    """

    def __init__(self, digits: Tensor, wedged: Wedged, count: int, seed: int) -> None:
        self._digits, self._wedged, self._count, self._seed = digits, wedged, count, seed

    def batch(self, step: int) -> Batch:
        """Digits and observations of step number `step`."""
        generator = torch.Generator().manual_seed(int(np.random.default_rng([self._seed, step]).integers(2**62)))
        chosen = torch.randint(len(self._digits), (self._count,), generator=generator).to(self._digits.device)
        truth, seen = self._wedged.pairs(self._digits[chosen], generator)
        return Batch(seen, truth)


def fit_wiener(truth: Tensor, observed: Tensor, wedged: Wedged) -> Filter:
    """The linear filter with the least squared error on measured components, fitted to digits with known truth.

    Its response is `sum Re(X Y*) / sum |Y|²` per ring, over measured components; 0 in the wedge.
    """
    measured = wedged.wedge.mask_plane((WINDOW, WINDOW))
    weight, ring = measured * hermitian_weights(WINDOW), rings()
    x, y = (torch.fft.rfft2(images.cpu()) for images in (truth, observed))
    cross = ring_sums((x * y.conj()).real * weight, ring)
    power = ring_sums(y.abs().square() * weight, ring)
    response = (cross / power.clamp(min=1e-12)).clamp(min=0)[ring].float() * measured
    return lambda seen: torch.fft.irfft2(torch.fft.rfft2(seen.cpu()) * response, s=(WINDOW, WINDOW)).to(seen.device)


def fit_affine(truth: Tensor, observed: Tensor) -> Filter:
    """The affine map with the least squared error (Kay 1993, chapter 12), from the mean and covariance of digits.

    It knows the position of digits and the correlation between their pixels, so it fills a part of the wedge. A network
    that is better has learned more than these two moments. It is fitted by least squares over pairs; there must be
    several times more pairs than pixels.
    """
    x, y = truth.flatten(1), observed.flatten(1)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    covariance = y.T @ y
    covariance.diagonal().add_(1e-4 * covariance.diagonal().mean())  # the wedge leaves some directions empty
    matrix = torch.cholesky_solve(y.T @ x, torch.linalg.cholesky(covariance))
    offset = x_mean - y_mean @ matrix
    return lambda seen: (seen.flatten(1) @ matrix + offset).reshape(seen.shape)


def scores(truth: Tensor, restored: Tensor, wedged: Wedged) -> dict[str, float]:
    """Agreement of restored digits with the true ones.

    Parameters
    ----------
    truth, restored
        `(n, 1, WINDOW, WINDOW)`.
    wedged
        Which components were measured.

    Returns
    -------
    scores
        `ncc`, mean over the digits; `fsc_obs` and `fsc_mw`, the Fourier ring correlation outside and inside the wedge,
        over all digits at once under a Hann window, mean over the rings from 1/12 to 1/4 cycles per pixel that have
        four components or more; nan where none has.
    """
    a, b = (images.flatten(1).double().cpu() for images in (truth, restored))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    correlation = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)
    found = {"ncc": float(correlation.mean())}
    hann = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)
    first, second = (torch.fft.rfft2(images.double().cpu() * hann * hann[:, None]) for images in (truth, restored))
    ring = rings()
    for name, region in wedged.regions().items():
        weight = region * hermitian_weights(WINDOW)
        cross = ring_sums((first * second.conj()).real * weight, ring)
        powers = [ring_sums(f.abs().square() * weight, ring) for f in (first, second)]
        there = ring_sums(region.double()[None, None], ring) >= _FEWEST
        curve = cross / (powers[0] * powers[1]).sqrt().clamp(min=1e-12)
        found[f"fsc_{name}"] = float(curve[there].mean())
    return found


def rings() -> Tensor:
    """`(WINDOW, WINDOW // 2 + 1)`: the ring of each component, two frequency steps wide."""
    return (radius((WINDOW, 1, WINDOW))[:, 0] / _RING).long()


def ring_sums(values: Tensor, ring: Tensor) -> Tensor:
    """Sums over images and over each ring."""
    total = values.sum(dim=(0, 1)).double()
    return torch.zeros(int(ring.max()) + 1, dtype=torch.float64).index_add(0, ring.flatten(), total.flatten())
