"""The training loop of the baselines, read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from cryowae.baselines.model import Baseline, SavedBaseline
from cryowae.baselines.rows import Rows
from cryowae.baselines.state import BaselineState
from cryowae.baselines.steps import Labelled, step
from cryowae.config import BaselineConfig
from cryowae.data.images import ImageSet, signed
from cryowae.errors import CheckpointError, ConfigError, ImagesError, OutputError
from cryowae.io.outputs import make_folder
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Progress

Evaluate = Callable[[Baseline, bool], dict[str, float | str]]
"""Figures of a model, which is left as it was; the flag says that the run ends here."""

LOG_EVERY = 50
SAVE_EVERY = 500


def train_baseline(
    config: BaselineConfig,
    images: ImageSet,
    output: Path,
    *,
    evaluate: Evaluate | None = None,
    examples: Tensor | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Train a baseline.

    Parameters
    ----------
    config
        What to train and how long.
    images
        To train on, all of them.
    output
        Folder for `weights.safetensors`, `last.safetensors` (what `resume` takes), `log.csv` and `evaluation.csv`.
    evaluate
        Called every `evaluate_every` epochs and at the end.
    examples
        `(n, c, size, size)` uint8 held-out images that are kept beside the weights, for pictures.
    resume
        Go on from `last.safetensors`, which is written every epoch and every 500 steps; on the CPU the weights end as
        if there had been no break.
    overwrite
        Start anew in a folder that holds a run.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Told every step.

    Returns
    -------
    weights
        Their path.

    Raises
    ------
    OutputError
        If the folder holds a run and neither `resume` nor `overwrite` was asked for.
    CheckpointError
        If there is nothing to resume.
    ConfigError
        If the objective diverges.
    ImagesError
        If there is not one batch of images, or not as many of a class as are to be told.
    """
    check_run(output, resume, overwrite)
    last, weights = make_folder(output) / "last.safetensors", output / "weights.safetensors"
    per_epoch = len(images) // config.batch
    if not per_epoch:
        raise ImagesError(f"got {len(images)} images to train on, expected at least a batch of {config.batch}")
    told = told_labels(images, config) if config.labels else None
    if not resume:
        for old in (last, weights):  # or a stop right now would leave another run's, to resume and to draw
            old.unlink(missing_ok=True)
    place = torch.device(pick_device(device))
    state = BaselineState.fresh(config, place)
    if resume:
        state.load(last)
    log, figures = (Rows(output / name, state.step if resume else None) for name in ("log.csv", "evaluation.csv"))
    shown = examples if examples is not None else images.images[:16]
    images, told = images.to(place), None if told is None else told.to(place)
    total = per_epoch * config.epochs
    progress.begin(f"training {config.model} on {config.data}", total - state.step, "steps")
    try:
        for epoch in range(state.step // per_epoch, config.epochs):
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.seed * 10_007 + epoch))
            for batch in order.split(config.batch)[state.step % per_epoch : per_epoch]:
                began = time.perf_counter()
                state.model.train()
                state.set_rates(total)
                labelled = some_told(told, config.batch, config.shift, state.generator) if told is not None else None
                seen = signed(images.images[batch.to(place)])
                values = step(state.model, state.optimisers, state.step, seen, labelled, state.generator)
                if not all(math.isfinite(value) for value in values.values()):
                    raise ConfigError(f"the objective is not finite at step {state.step}: {values}; lower the rates")
                state.step += 1
                ends = state.step % per_epoch == 0
                log.add({**values, "seconds": time.perf_counter() - began})
                if state.step % LOG_EVERY == 0 or ends:
                    log.write_means(state.step, {"epoch": f"{state.step / per_epoch:.3f}"})
                if evaluate and ends and ((epoch + 1) % config.evaluate_every == 0 or state.step == total):
                    figures.write(state.step, {"epoch": epoch + 1, **evaluate(state.model, state.step == total)})
                if ends or state.step % SAVE_EVERY == 0:
                    state.save(last, shown)
                progress.advance()
    except KeyboardInterrupt:
        if last.exists():
            progress.say(f"interrupted at step {state.step}; --resume goes on from the last checkpoint in {output}")
        raise
    metadata = {"step": state.step, "config": config.model_dump(mode="json")}
    SavedBaseline(state.model, shown, metadata).write(weights)
    progress.end()
    return weights


def check_run(output: Path, resume: bool, overwrite: bool) -> None:
    """Whether a folder is as `train_baseline` wants it.

    Raises
    ------
    OutputError
        If it holds a run and neither `resume` nor `overwrite` was asked for.
    CheckpointError
        If there is nothing to resume.
    """
    there = (output / "last.safetensors").exists()
    if there and not (resume or overwrite):
        raise OutputError(f"{output} holds a run already; give --resume to go on with it, or --overwrite to lose it")
    if resume and not there:
        raise CheckpointError(f"nothing to resume in {output}: no last.safetensors; start without --resume")


def told_labels(images: ImageSet, config: BaselineConfig) -> ImageSet:
    """The training images whose class an AAE is told: as many of each, chosen by the seed.

    Raises
    ------
    ImagesError
        If a class has too few.
    """
    assert images.labels is not None
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.seed)).to(images.labels.device)
    fewest = int(images.labels.bincount(minlength=10).min())
    if config.labels > 10 * fewest:
        raise ImagesError(f"got labels={config.labels}, as many of each class, expected at most {10 * fewest} here")
    classes = images.labels[order]
    chosen = torch.cat([order[classes == label][: config.labels // 10] for label in range(10)])
    return ImageSet(images.name, images.images[chosen], images.labels[chosen])


def some_told(told: ImageSet, count: int, shift: int, generator: torch.Generator) -> Labelled:
    """Images whose class is told, and their classes: drawn at random, each moved by up to `shift` pixels over black."""
    chosen = torch.randint(len(told), (count,), generator=generator)
    moves = torch.randint(2 * shift + 1, (count, 2), generator=generator).tolist()
    assert told.labels is not None
    chosen = chosen.to(told.images.device)
    wide, size = pad(signed(told.images[chosen]), [shift] * 4, value=-1.0), told.images.shape[-1]
    moved = [image[:, y : y + size, x : x + size] for image, (y, x) in zip(wide, moves, strict=True)]
    return torch.stack(moved), told.labels[chosen]
