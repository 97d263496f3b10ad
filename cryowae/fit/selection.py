"""Selection of the best weights of a fit, by their score on data that the training does not see."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryowae.config import TrainConfig
from cryowae.fit.judge import Judge
from cryowae.fit.preview import Preview
from cryowae.io.outputs import make_folder
from cryowae.models import Autoencoder
from cryowae.models.weights import RestorationModel, is_fast_in_half, write_weights
from cryowae.progress import Progress
from cryowae.report.fitting import NARROW
from cryowae.report.style import WIDTH
from cryowae.train.state import Rows, read_rows

PATIENCE = 3
"""Judgements without a better score after which the fit ends, in its second half."""

WORTHWHILE = 0.01
"""Smallest gain of the score over the weights at the start: smaller ones were no gain on a simulated tomogram."""


class Selection:
    """Scores weights at regular steps, and keeps the best.

    Parameters
    ----------
    judges
        The score is the mean of theirs.
    folder
        Folder for `held-out.csv` and `best.safetensors`.
    resume
        Keep the scores up to this step of a run that is continued; None starts anew.
    preview
        Draws the scores and slices at the start and after every judgement, to `preview.png`.
    progress
        Is told every score, and shown the picture.

    Attributes
    ----------
    scores
        Score by step; that of the weights at the start is step 0, and -infinity without such weights.
    seconds
        Time of the last judgement.
    """

    def __init__(
        self, judges: Sequence[Judge], folder: Path, resume: int | None, preview: Preview, progress: Progress
    ) -> None:
        self.judges, self.folder, self.preview, self.progress = judges, folder, preview, progress
        self.seconds = 0.0
        self._table = folder / "held-out.csv"
        self.scores: dict[int, float] = {}
        if resume is not None and self._table.exists():
            rows = [(int(row["step"]), float(row["score"])) for row in read_rows(self._table)]
            self.scores = {step: score for step, score in rows if step <= resume}
        make_folder(folder)
        self._rows = Rows(self._table, resume)

    @property
    def best(self) -> int:
        """Step of the best weights; 0 for those at the start, unless others are better by `WORTHWHILE`."""
        best = max(self.scores, key=lambda step: self.scores[step])
        return best if self.scores[best] >= self.scores.get(0, -math.inf) + WORTHWHILE else 0

    def exhausted(self, steps: int) -> bool:
        """Whether the last judgements of a run of `steps` were all worse than the best one.

        Not in its first half: the score often falls at first, as long as the learning rate is high.
        """
        return 2 * max(self.scores) >= steps and sum(step > self.best for step in self.scores) >= PATIENCE

    def note(self, step: int, model: RestorationModel | None) -> None:
        """Score weights. No model stands for random weights."""
        self._keep(step, self._score(model))

    def judge(self, step: int, network: Autoencoder, config: TrainConfig) -> None:
        """Score the weights of a run, and write them if they are the best so far."""
        device = next(network.parameters()).device
        sizes, half = config.data.voxel_sizes, is_fast_in_half(device)
        model = RestorationModel(network, config.name, "", sizes, {}, device, half)
        score = self._score(model)
        if score > self.scores[self.best]:  # first the weights: a score without them must not be left by Ctrl-C
            write_weights(self.folder / "best.safetensors", network, config, step)
        self._keep(step, score)
        self.draw(model)

    def draw(self, model: RestorationModel | None, picture: Path | None = None) -> None:
        """Draw the scores so far, and slices that these weights restore: to `preview.png`, and wide to `picture`."""
        preview = self.folder / "preview.png"
        for path, width in ((preview, NARROW), (picture, WIDTH)):
            if path is not None:
                self.preview.draw(path, self.scores, model, self.judges[0].question, width)
        self.progress.show(preview)

    def _score(self, model: RestorationModel | None) -> float:
        began = time.monotonic()
        score = -math.inf if model is None else float(np.mean([judge.score(model) for judge in self.judges]))
        self.seconds = time.monotonic() - began
        return -math.inf if math.isnan(score) else score  # weights that are not finite

    def _keep(self, step: int, score: float) -> None:
        change = f" ({score - self.scores[0]:+.3f})" if math.isfinite(self.scores.get(0, math.nan)) else ""
        self.scores[step] = score
        self._rows.write(step, {"score": repr(score)})  # all digits, so that a resumed run has the same best
        if math.isfinite(score):
            self.progress.say(f"held-out score after {step} steps: {score:.3f}{change}")
