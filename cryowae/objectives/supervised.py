"""Squared error against the known structure."""

from __future__ import annotations

from torch import Tensor

from cryowae.objectives.protocols import Values
from cryowae.objectives.term import Pass, Term


class Supervised(Term):
    """The squared error of `supervised`; needs a truth."""

    def cost(self, made: Pass) -> tuple[Tensor, Values]:
        loss = self.weight * supervised(made.restored, made.truth, made.scale)
        return loss, {"supervised": float(loss.detach())}


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
