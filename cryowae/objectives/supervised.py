"""The term that compares the restored volume with the known structure."""

from __future__ import annotations

from torch import Tensor

from cryowae.objectives.term import Cost, Pass, RestoredTerm


class Supervised(RestoredTerm):
    """The squared error of `supervised` as a term.

    It needs a truth in every batch, and a scale if faint scenes must have the same weight as strong ones. It logs its
    cost, weight included.
    """

    def cost(self, made: Pass) -> Cost:
        return self.logged("supervised", supervised(self.restored(made), made.needed("truth"), made.scale))


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
