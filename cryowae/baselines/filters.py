"""Restoration of digits behind a wedge without a network: a Wiener filter, and the best affine map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.baselines.wedged import WINDOW, Wedged, ring_sums, rings
from cryowae.fourier.grids import hermitian_weights


@dataclass(frozen=True, eq=False)
class Wiener:
    """The linear filter with the least squared error on measured components, fitted to digits with known truth.

    Attributes
    ----------
    response
        `(WINDOW, WINDOW // 2 + 1)`.
    """

    response: Tensor

    @classmethod
    def fit(cls, truth: Tensor, observed: Tensor, wedged: Wedged) -> Wiener:
        """`sum Re(X Y*) / sum |Y|²` per ring, over measured components; 0 in the wedge."""
        measured = wedged.wedge.mask_plane((WINDOW, WINDOW))
        weight, ring = measured * hermitian_weights(WINDOW), rings()
        x, y = (torch.fft.rfft2(images.cpu()) for images in (truth, observed))
        cross = ring_sums((x * y.conj()).real * weight, ring)
        power = ring_sums(y.abs().square() * weight, ring)
        return cls((cross / power.clamp(min=1e-12)).clamp(min=0)[ring].float() * measured)

    def __call__(self, observed: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(observed.cpu()) * self.response, s=(WINDOW, WINDOW))
        return filtered.to(observed.device)


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine map with the least squared error (Kay 1993, chapter 12), from the mean and covariance of digits.

    It knows the position of digits and the correlation between their pixels, so it fills some of the wedge. A network
    that is better has learned more than these two moments.

    Attributes
    ----------
    matrix, offset
        `(pixels, pixels)` and `(pixels,)`: `y` is restored as `y @ matrix + offset`.
    """

    matrix: Tensor
    offset: Tensor

    @classmethod
    def fit(cls, truth: Tensor, observed: Tensor) -> Affine:
        """Least squares over pairs; there must be several times as many as pixels."""
        x, y = truth.flatten(1), observed.flatten(1)
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        covariance = y.T @ y
        covariance.diagonal().add_(1e-4 * covariance.diagonal().mean())  # the wedge leaves some directions empty
        matrix = torch.cholesky_solve(y.T @ x, torch.linalg.cholesky(covariance))
        return cls(matrix, x_mean - y_mean @ matrix)

    def __call__(self, observed: Tensor) -> Tensor:
        answer: Tensor = observed.flatten(1) @ self.matrix + self.offset
        return answer.reshape(observed.shape)
