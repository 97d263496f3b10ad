"""Samples of the codes of a window by Langevin steps: the prior and the observation decide, the encoder only starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.restore.likelihood import Likelihood

Decoder = Callable[[Sequence[Tensor]], Tensor]
Noise = Callable[[int], list[Tensor]]
"""Standard normal numbers for a step, in the shapes of the codes."""

BAYES = 2.0
"""`gamma` for which the misfit, a sum of squares, has the weight of Bayes' rule."""


@dataclass(frozen=True)
class Langevin:
    """Preconditioned Langevin steps on the codes (CryoWGEN-II).

    `z <- z + (eta / 2) s^2 grad[log p(z) - c(y, z) / gamma] + sqrt(eta) s xi`, with a standard normal prior p, the
    misfit c and the deviation s of the encoder as preconditioner (Roberts & Tweedie 1996; Welling & Teh 2011). There is
    no Metropolis test: over a whole window it would accept nothing. The step is halved when the cost of a window rises
    by more than the noise of the steps explains.

    Attributes
    ----------
    steps
        Number of steps.
    eta
        First size of a step, in units of the squared deviation of the encoder.
    gamma
        Temperature of the misfit; 2 is Bayes' rule.
    """

    steps: int = 20
    eta: float = 0.1
    gamma: float = BAYES

    def run(
        self,
        decode: Decoder,
        posterior: Sequence[tuple[Tensor, Tensor]],
        observed: Tensor,
        likelihood: Likelihood,
        noise: Noise,
    ) -> list[Tensor]:
        """Codes after all steps, from a draw of the encoder.

        Parameters
        ----------
        decode
            Codes to a restored window.
        posterior
            Mean and log-variance of each code.
        observed
            `(1, 1, z, y, x)`.
        likelihood
            Of the observation.
        noise
            Is called with 0 for the start, then with the number of each step.
        """
        spreads = [(0.5 * log).exp().float() for _, log in posterior]
        codes = [mean.float() + s * e for (mean, _), s, e in zip(posterior, spreads, noise(0), strict=True)]
        eta, before = self.eta, float("inf")
        for step in range(1, self.steps + 1):
            energy, slopes = self._slopes(decode, codes, observed, likelihood)
            size = sum(code.numel() for code in codes)
            if energy > before + eta * size:
                eta /= 2
            before = energy
            codes = [
                z - eta / 2 * s.square() * g + eta**0.5 * s * e
                for z, s, g, e in zip(codes, spreads, slopes, noise(step), strict=True)
            ]
        return codes

    def _slopes(
        self,
        decode: Decoder,
        codes: Sequence[Tensor],
        observed: Tensor,
        likelihood: Likelihood,
    ) -> tuple[float, tuple[Tensor, ...]]:
        """Minus the log-density of the codes up to a constant, and its gradient."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            moving = [code.detach().clone().requires_grad_() for code in codes]
            misfit = likelihood.misfit(decode(moving), observed.clone()).sum() / self.gamma
            energy = misfit + sum(code.square().sum() for code in moving) / 2
            return float(energy.detach()), torch.autograd.grad(energy, moving)
