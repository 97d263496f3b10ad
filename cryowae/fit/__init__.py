"""Weights adapted to the user's own tomograms, and judged on data that they did not see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryowae.config import TrainConfig
from cryowae.config.files import check, read_values
from cryowae.config.options import FitOptions
from cryowae.errors import CheckpointError, ConfigError, OutputError
from cryowae.fit.configuration import configure_fit, tomograms_of
from cryowae.fit.judge import ComponentJudge, Judge
from cryowae.fit.outcome import FitResult
from cryowae.fit.physics import Physics
from cryowae.fit.preview import Preview
from cryowae.fit.selection import Selection
from cryowae.fit.source import Rehearsal, needs_own
from cryowae.fit.tilt_judge import tilt_judge
from cryowae.io.checkpoint import read_checkpoint
from cryowae.io.outputs import check_output, write_bytes
from cryowae.models import Autoencoder
from cryowae.models.weights import find_weights, load_model, pick_device
from cryowae.objectives import StepInfo, rise_and_fall
from cryowae.progress import SILENT, Progress, Stopped
from cryowae.tomogram.item import Item, item_of
from cryowae.train import Team, make_objective
from cryowae.train.loop import RunOptions, run_training
from cryowae.train.state import Plan, check_run

_JUDGEMENTS = (2, 8)  # fewest and most
_JUDGING = 0.2  # share of the time
_TRIED = 8  # steps whose speed is measured, after a first one
_FEWEST = 8  # steps
_AVERAGED = 0.05  # share of the steps over which weights are averaged, at least
_LAST = "last.safetensors"


def fit_weights(
    sources: Sequence[Item | str | Path],
    output: str | Path,
    options: FitOptions | None = None,
    *,
    model: str | Path = "default",
    progress: Progress = SILENT,
) -> FitResult:
    """Adapt weights to tomograms.

    The weights are trained on simulated scenes that have the voxel size, the tilts and about the noise level of the
    tomograms. They are scored at regular steps on a part of the data that no step uses; the best ones are written,
    and those at the start if none is better.

    Parameters
    ----------
    sources
        Tomograms, or items with their halves, tilts and masks.
    output
        The weights, `NAME.safetensors`. The run is in the folder `NAME.fit` beside it, the picture in `NAME.png`.
    options
        Time, objective, and the like.
    model
        Weights to start from, by name or path.
    progress
        Receives the progress, and is shown the picture `NAME.fit/preview.png` after every judgement. If it raises
        `Stopped` after the first judgement of the run, the fit ends there and has a result.

    Raises
    ------
    TomogramError, TiltError
        If a tomogram cannot be used.
    CheckpointError
        If the weights cannot be used, or there is nothing to resume.
    ConfigError
        If the objective is unknown or cannot be used with these data.
    OutputError
        If the output exists, or cannot be written.
    KeyboardInterrupt
        After Ctrl-C; the best weights so far have been written, if any of this run were judged.
    Stopped
        If the progress raises it before weights of this run were judged; nothing has been written but to the folder.
    """
    began, options, path = time.monotonic(), options or FitOptions(), Path(output)
    folder, picture = path.with_suffix(".fit"), path.with_suffix(".png")
    items = [item_of(source) for source in sources]
    _check_outputs(path, picture, folder, options)
    judges = _judges(items, options)
    config = _resumed(folder, items) if options.resume else configure_fit(items, options, model, path, progress)
    if not needs_own(config):  # no step uses the tomograms
        judges = [replace(judge, whole=True) if isinstance(judge, ComponentJudge) else judge for judge in judges]
    physics = [Physics.from_values(values) for values in config.options["physics"]]
    start = find_weights(config.start_from) if config.start_from else None
    first = load_model(start, options.device) if start else None
    team = Team(options.device)
    source = Rehearsal(config, items, physics, str(team.device))
    done = _steps_done(folder) if options.resume else None
    if done is None:  # otherwise a stop before the first step would leave the run of another fit
        (folder / _LAST).unlink(missing_ok=True)
    judge = Selection(judges, folder, done, Preview(items[0], first), progress)
    try:
        with source:
            if 0 not in judge.scores:
                progress.begin("score the weights at the start", len(items), "tomograms")
                judge.note(0, first)
                judge.draw(None)
                progress.advance(len(items))
                progress.end()
            if not options.resume:
                left = options.minutes * 60 - (time.monotonic() - began)
                config = _planned(config, source, team, left, judge.seconds, progress)
            steps, stopped = _train(config, source, team, judge, folder, options, progress)
    finally:
        if len(judge.scores) > 1:  # before the first weights of the run are scored, there is nothing to write
            _write_best(judge, path, folder, start)
    judge.draw(load_model(path, options.device) if judge.best else None, picture)
    return FitResult(
        path=path,
        folder=folder,
        picture=picture,
        physics=tuple(physics),
        steps=steps,
        question=judge.judges[0].question,
        before=judge.scores[0],
        after=judge.scores[judge.best],
        stopped=stopped,
        notes=(*(note for item in items for note in item.notes), *_doubts(config, options)),
        seconds=time.monotonic() - began,
    )


def _check_outputs(path: Path, picture: Path, folder: Path, options: FitOptions) -> None:
    if path.suffix != ".safetensors":
        raise OutputError(f"got --output {path}, expected the name of weights, such as mine.safetensors")
    for place in (path, picture):
        check_output(place, overwrite=options.overwrite or options.resume)
    check_run(folder, options.resume, options.overwrite)


def _judges(items: Sequence[Item], options: FitOptions) -> list[Judge]:
    """The judges, after a check of the tomograms."""
    if not items:
        raise ConfigError("got no tomogram; give one or more")
    if options.series and len(items) > 1:
        raise ConfigError(f"got one --series and {len(items)} tomograms: expected one tomogram")
    for item in items:
        _ = item.wedge  # raises the error of unknown tilts
    pick_device(options.device)
    judges = [tilt_judge(items[0], options)] if options.series else [ComponentJudge(item) for item in items]
    for item in items:
        item.require_no_doubts()
        item.require_content()
    return list(judges)


def _resumed(folder: Path, items: Sequence[Item]) -> TrainConfig:
    """The configuration of an interrupted run; its time, objective and seed stay as they were."""
    config = check(TrainConfig, read_values(folder / "config.yaml", "fit")[0], str(folder / "config.yaml"))
    was, now = config.options.get("tomograms"), tomograms_of(items)
    if was is None:
        raise CheckpointError(f"{folder} is not the run of a fit; give the --output of the fit to continue")
    if was != now:
        raise CheckpointError(f"{folder} is a fit of {was}, and now {now} are given; give the same files in that order")
    return config


def _doubts(config: TrainConfig, options: FitOptions) -> list[str]:
    if not (options.series and needs_own(config)):
        return []
    return ["the objective learns from the tomogram, which has the tilts that are left out: the score is too high"]


def _planned(
    config: TrainConfig, source: Rehearsal, team: Team, left: float, judging: float, progress: Progress
) -> TrainConfig:
    """The number of steps that fit into the seconds that are left, from the speed of a few that are thrown away."""
    began = time.monotonic()
    objective = make_objective(config, team)
    warm = began
    for step in progress.track("measure the speed", range(_TRIED + 1), "steps"):
        objective.step(source.batch(step), StepInfo(step))
        warm = time.monotonic() if step == 0 else warm  # the first step waits for the first scenes
    each = (time.monotonic() - warm) / _TRIED
    left -= time.monotonic() - began
    fewest, most = _JUDGEMENTS
    judgements = min(most, max(fewest, int(_JUDGING * left / max(judging, 1e-3))))
    steps = max(_FEWEST, int((left - judgements * judging) / each))
    progress.say(f"planned: {steps} steps of {each:.1f} s, and {judgements} judgements of {judging:.0f} s")
    average = max(config.ema, 1 - 1 / (_AVERAGED * steps))
    lengths = {"ema": average, "steps": steps, "save_every": -(-steps // judgements), "log_every": max(1, steps // 50)}
    return config.model_copy(update=lengths)


def _train(
    config: TrainConfig,
    source: Rehearsal,
    team: Team,
    judge: Selection,
    folder: Path,
    options: FitOptions,
    progress: Progress,
) -> tuple[int, bool]:
    """Train until the score does not rise any more, the end, or the user's stop; number of steps, and whether stopped.

    Raises `Stopped` if the user stops it before the first judgement.
    """
    objective = make_objective(config, team)
    network: Autoencoder = objective.average  # type: ignore[attr-defined]
    schedule = partial(rise_and_fall, steps=config.steps, warmup=config.warmup)

    def finish(done: int) -> None:
        if done not in judge.scores:  # otherwise it was interrupted after the score
            judge.judge(done, network, config)

    plan = Plan(
        f"fit {config.name}",
        config,
        config.steps,
        schedule,
        config.log_every,
        config.save_every,
        finish=finish,
        enough=lambda: judge.exhausted(config.steps),
        kind="fit",
        free=(),
    )
    how: RunOptions = {"resume": options.resume, "overwrite": options.overwrite, "progress": progress}
    try:
        if not judge.exhausted(config.steps):
            run_training(plan, source, objective, folder, **how)
    except Stopped:
        if len(judge.scores) < 2:
            raise
        return _steps_done(folder), True
    return max(judge.scores), False


def _steps_done(folder: Path) -> int:
    return int(read_checkpoint(folder / _LAST)[1]["step"])


def _write_best(judge: Selection, path: Path, folder: Path, start: Path | None) -> None:
    """Write the best weights so far; those at the start if no others are better."""
    best = start if judge.best == 0 else folder / "best.safetensors"
    if best is not None:
        write_bytes(path, best.read_bytes(), what="weights")
