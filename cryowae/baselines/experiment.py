"""One run of a baseline from images to pictures: train, measure, draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryowae.baselines.curves import draw_evaluation, draw_log
from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.features import Extractor
from cryowae.baselines.model import read_baseline
from cryowae.baselines.pictures import draw_baseline
from cryowae.baselines.rows import read_rows
from cryowae.baselines.run import train_baseline
from cryowae.config import BaselineConfig
from cryowae.data.images import ImageSet
from cryowae.models.pretrained import pick_device
from cryowae.progress import SILENT, Progress

SHOWN = 16
"""Held-out images that are kept beside the weights, for pictures."""


def run_baseline(
    config: BaselineConfig,
    images: ImageSet,
    output: Path,
    *,
    test: ImageSet | None = None,
    extractors: Sequence[Extractor] = (),
    final: Sequence[Extractor] = (),
    kept: Path | None = None,
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
    images
        Four fifths of which are trained on.
    output
        Folder for what `train_baseline` writes, `samples.png`, `curves.png`, and `evaluation.png` if it was measured
        more than once.
    test, extractors, final, kept
        As in `Evaluation`.
    resume, overwrite, device, progress
        As in `train_baseline`.

    Returns
    -------
    figures
        The last row of `evaluation.csv`.
    """
    train, held = images.halves(config.images)
    judge = Evaluation.on(pick_device(device), train, held, test, extractors, final, config.seed, kept)
    weights = train_baseline(
        config,
        train,
        output,
        evaluate=judge,
        examples=held.images[:SHOWN],
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
