"""One run of a baseline from images to pictures: train, measure, draw."""

from __future__ import annotations

from pathlib import Path

from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.model import read_baseline
from cryowae.baselines.mosaics import draw_baseline
from cryowae.baselines.plots import draw_evaluation, draw_log
from cryowae.baselines.rows import read_rows
from cryowae.baselines.run import train_baseline
from cryowae.config import BaselineConfig
from cryowae.progress import SILENT, Progress

SHOWN = 16
"""Held-out images that are kept beside the weights, for pictures."""


def run_baseline(
    config: BaselineConfig,
    judge: Evaluation,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress = SILENT,
) -> dict[str, str]:
    """Train a baseline, measure it on held-out images while it learns, and draw what it makes and how it went.

    Parameters
    ----------
    config
        What to train.
    judge
        Has the images to train on, and those to measure it by.
    output
        Folder for what `train_baseline` writes, `samples.png`, `curves.png`, and `evaluation.png` if it was measured
        more than once.
    resume, overwrite, device, progress
        As in `train_baseline`.

    Returns
    -------
    figures
        The last row of `evaluation.csv`.
    """
    weights = train_baseline(
        config,
        judge.train,
        output,
        evaluate=judge,
        examples=judge.held.images[:SHOWN],
        resume=resume,
        overwrite=overwrite,
        device=device,
        progress=progress,
    )
    draw_baseline(read_baseline(weights, device), output / "samples.png", config.seed)
    draw_log(read_rows(output / "log.csv"), output / "curves.png")
    rows, picture = read_rows(output / "evaluation.csv"), output / "evaluation.png"
    picture.unlink(missing_ok=True)
    if len(rows) > 1:
        draw_evaluation(rows, picture)
    return rows[-1]
