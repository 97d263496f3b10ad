"""The result of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryowae.fit.physics import Physics
from cryowae.progress import Outcome


@dataclass(frozen=True)
class FitResult(Outcome):
    """Adapted weights and their scores.

    Attributes
    ----------
    path
        The weights, for `restore --model`.
    folder
        The run: `last.safetensors` for `--resume`, `config.yaml`, `log.csv`, `held-out.csv`.
    picture
        Curves of the run and slices before and after.
    physics
        What was estimated from each tomogram.
    steps
        Training steps that were done.
    question
        What the score tests.
    before, after
        Score of the weights at the start, and of the weights that were written.
    stopped
        Whether the user ended the fit early; `resume` continues it.
    """

    path: Path
    folder: Path
    picture: Path
    physics: tuple[Physics, ...]
    steps: int
    question: str
    before: float
    after: float
    stopped: bool = False

    @property
    def improved(self) -> bool:
        """Whether the weights are better than those at the start; otherwise the latter were written."""
        return self.after > self.before
