"""The 2-D baselines: autoencoders and a WGAN on images, trained by the objectives of the 3-D model.

One run goes from images to pictures: train, measure, draw. A sweep of lambda is several of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

import torch

from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.model import SavedBaseline, read_baseline
from cryowae.baselines.objective import baseline_objective, choose_labelled
from cryowae.baselines.plots import draw_baseline, draw_evaluation, draw_log
from cryowae.config import BaselineConfig
from cryowae.data.images import ImageEpochs, ImageSet
from cryowae.errors import OutputError
from cryowae.models.weights import pick_device
from cryowae.objectives import cosine
from cryowae.train.loop import RunOptions, run_training
from cryowae.train.state import Plan, Rows, read_rows

SHOWN = 16
"""Held-out images that are kept beside the weights, for pictures."""


def run_baseline(
    config: BaselineConfig, judge: Evaluation, output: Path, **options: Unpack[RunOptions]
) -> dict[str, str]:
    """Train a baseline, measure it on held-out images while it learns, and draw its images and its curves.

    Parameters
    ----------
    config
        Configuration of the run.
    judge
        Has the images for training, and those for the evaluation.
    output
        Folder for the files of `train_baseline`, `samples.png`, `curves.png`, and `evaluation.png` if it was measured
        more than once.
    options
        As in `train_baseline`.

    Returns
    -------
    figures
        The last row of `evaluation.csv`.
    """
    weights = train_baseline(config, judge.train, output, judge, **options)
    draw_baseline(read_baseline(weights, options.get("device", "auto")), output / "samples.png", config.seed)
    draw_log(read_rows(output / "log.csv"), output / "curves.png")
    rows, picture = read_rows(output / "evaluation.csv"), output / "evaluation.png"
    picture.unlink(missing_ok=True)
    if len(rows) > 1:
        draw_evaluation(rows, picture)
    return rows[-1]


def sweep_weights(
    configs: Sequence[BaselineConfig], judge: Evaluation, output: Path, **options: Unpack[RunOptions]
) -> list[Path]:
    """Train baselines one after the other, each in the folder `output/MODEL-WEIGHT`. Returns the folders.

    A finished run is not repeated, and an interrupted run is resumed.

    Raises
    ------
    OutputError
        If a folder holds a run of another configuration.
    """
    folders = [output / f"{config.model}-{config.weight:g}" for config in configs]
    for config, folder in zip(configs, folders, strict=True):
        if not (folder / "weights.safetensors").exists():
            options["resume"] = (folder / "last.safetensors").exists()
            run_baseline(config, judge, folder, **options)
        elif read_baseline(folder, "cpu").model.config != config:
            raise OutputError(f"{folder} holds a run with other settings; choose another --output")
    return folders


def train_baseline(
    config: BaselineConfig, data: ImageSet, output: Path, judge: Evaluation | None = None, **options: Unpack[RunOptions]
) -> Path:
    """Train a baseline.

    Parameters
    ----------
    config
        Model and length of the training.
    data
        Images to train on, all of them.
    output
        Folder for `weights.safetensors`, `last.safetensors` (for `resume`), `config.yaml`, `log.csv` and
        `evaluation.csv`.
    judge
        Measures the model every `evaluate_every` epochs and at the end. The first of its held-out images are kept
        beside the weights, for pictures; without a judge, the first images for training.
    options
        `resume`, `overwrite`, `device` and `progress`, as in `cryowae.train.loop.RunOptions`. `last.safetensors` is
        written every epoch and every 500 steps.

    Returns
    -------
    weights
        Path of the weights.

    Raises
    ------
    OutputError
        If the folder holds a run and neither `resume` nor `overwrite` is set.
    CheckpointError
        If there is nothing to resume, or it is a run of another configuration.
    ConfigError
        If the objective diverges.
    ImagesError
        If there is not one batch of images, or a class has fewer images than labels are to be given.
    """
    place = torch.device(pick_device(options.get("device", "auto")))
    shown = (judge.held if judge else data).images[:SHOWN]
    source = ImageEpochs(data.images.to(place), config.batch, config.seed)
    told = choose_labelled(data, config.labels, config.seed).to(place) if config.labels else None
    objective, total = baseline_objective(config, place, told), source.epoch * config.epochs
    figures = Rows(output / "evaluation.csv", total if options.get("resume") else None)

    def measure(done: int) -> None:
        epoch, within = divmod(done, source.epoch)
        if judge and not within and (epoch % config.evaluate_every == 0 or done == total):
            figures.write(done, {"epoch": epoch, **judge(objective.network, done == total)})

    plan = Plan(
        f"training {config.model} on {config.data}",
        config,
        total,
        partial(cosine, steps=total) if config.cosine else lambda step: 1.0,
        epoch=source.epoch,
        notes=lambda done: {"epoch": f"{done / source.epoch:.3f}"},
        finish=measure,
        kind="baseline-run",
        keep={"examples": shown.cpu().numpy()},
        free=() if config.cosine else ("epochs",),  # the cosine falls to 0 over all steps
    )
    run_training(plan, source, objective, output, **options)
    weights = output / "weights.safetensors"
    metadata = {"step": total, "config": config.model_dump(mode="json")}
    SavedBaseline(objective.network, shown, metadata).write(weights)
    return weights
