"""The divergence of random codes from the prior as a term (Kingma & Welling 2014)."""

from __future__ import annotations

import torch
from torch import Tensor

from cryowae.objectives.term import Cost, Pass, Term


class Kl(Term):
    """The sum of the Kullback-Leibler divergences of all codes, as for a VAE.

    It needs an encoder that is random (`Pass.posterior`). It logs the divergence without the weight (`match`).

    Parameters
    ----------
    weight
        Multiplies the divergence. Beside a squared error that is a sum over values, a weight of 1 gives the evidence
        bound with a variance of 1/2 for each value; other weights give a beta-VAE.
    """

    def cost(self, made: Pass) -> Cost:
        each = [gaussian_divergence(mean.flatten(1), log.flatten(1)) for mean, log in made.posterior]
        return self.logged("match", torch.stack(each).sum(), weighted=False)


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from N(0, I), summed over the code, mean over the batch (Kingma & Welling 2014, B).

    Parameters
    ----------
    mean, log_variance
        `(n, d)` of the encoder's independent Gaussians.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
