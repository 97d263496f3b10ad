"""Weights adapted to the user's own tomograms, and judged on data that they did not see."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cryowae.config import TrainConfig
from cryowae.config.files import check, read_values
from cryowae.config.options import FitOptions
from cryowae.errors import CheckpointError, ConfigError, OutputError
from cryowae.fit.judge import ComponentJudge, Judge
from cryowae.fit.outcome import FitResult
from cryowae.fit.physics import Physics, measure_physics
from cryowae.fit.preview import Preview
from cryowae.fit.selection import Selection
from cryowae.fit.source import Rehearsal
from cryowae.fit.tilt_judge import tilt_judge
from cryowae.io.checkpoint import read_checkpoint
from cryowae.io.outputs import check_output, write_bytes
from cryowae.models import Autoencoder
from cryowae.models.weights import find_weights, is_fast_in_half, load_model, pick_device, read_network
from cryowae.objectives import StepInfo, rise_and_fall
from cryowae.progress import SILENT, Progress, Stopped
from cryowae.specimen.library import known_structures
from cryowae.tomogram.item import Item, item_of
from cryowae.train import Team, make_objective
from cryowae.train.loop import RunOptions, run_training
from cryowae.train.state import Plan, check_run

_JUDGEMENTS = (2, 8)  # fewest and most
_JUDGING = 0.2  # share of the time
_TRIED = 8  # steps whose speed is measured, after a first one
_FEWEST = 8  # steps
_ROTATING = {"equivariance", "observation_adversary", "observation_transport"}


def fit_weights(
    sources: Sequence[Item | str | Path],
    output: str | Path,
    options: FitOptions | None = None,
    *,
    model: str | Path = "default",
    progress: Progress = SILENT,
) -> FitResult:
    """Adapt weights to tomograms.

    The weights are trained on simulated scenes that have the voxel size, the tilts, the transfer and the noise level of
    the tomograms. They are scored at regular steps on a part of the data that no step uses; the best ones are written,
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
    if path.suffix != ".safetensors":
        raise OutputError(f"got --output {path}, expected the name of weights, such as mine.safetensors")
    folder, picture = path.with_suffix(".fit"), path.with_suffix(".png")
    for place in (path, picture):
        check_output(place, overwrite=options.overwrite or options.resume)
    check_run(folder, options.resume, options.overwrite)
    items = [item_of(source) for source in sources]
    for item in items:
        item.require_content()
    judges: list[Judge] = [tilt_judge(items[0], options)] if options.series else [ComponentJudge(i) for i in items]
    if options.series and len(items) > 1:
        raise ConfigError(f"got one --series and {len(items)} tomograms: expected one tomogram")
    config = _resumed(folder, items, options) if options.resume else _configured(items, options, model, path, progress)
    physics = [Physics.from_values(values) for values in config.options["physics"]]
    team = Team(options.device)
    source = Rehearsal(config, items, physics, str(team.device))
    start = find_weights(config.start_from) if config.start_from else None
    first = load_model(start, options.device) if start else None
    done = _steps_done(folder) if options.resume else None
    judge = Selection(judges, folder, done, Preview(items[0], first), progress)
    with source:
        if not options.resume:
            progress.begin("score the weights at the start", len(items), "tomograms")
            judge.note(0, first)
            judge.draw(None)
            progress.advance(len(items))
            progress.end()
            left = options.minutes * 60 - (time.monotonic() - began)
            config = _planned(config, source, team, left, judge.seconds, progress)
        try:
            steps, stopped = _train(config, source, team, judge, folder, options, progress)
        finally:
            if len(judge.scores) > 1:  # weights of this run were judged
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
        notes=tuple(note for item in items for note in item.notes),
        seconds=time.monotonic() - began,
    )


def _configured(
    items: Sequence[Item], options: FitOptions, model: str | Path, path: Path, progress: Progress
) -> TrainConfig:
    """The configuration of the run, with the physics of every tomogram; its length is not planned yet."""
    values, source = read_values(options.objective, "fit")
    start = None if options.from_scratch else find_weights(model)
    data: dict[str, Any] = {"workers": min(1, (os.cpu_count() or 1) - 1), **values.get("data", {})}
    if start is not None:
        trained = read_network(start)[1]["config"]
        values["model"] = trained["model"]
        data["voxel_sizes"] = trained["data"]["voxel_sizes"]
        known = known_structures(trained["data"]["structures"])
        if known and "structures" not in data:
            data |= {"structures": known, "procedural": trained["data"]["procedural"]}
    else:
        sizes = [item.tomogram.voxel_size for item in items]
        data["voxel_sizes"] = (min(sizes), max(sizes))
    half = is_fast_in_half(torch.device(pick_device(options.device)))
    values |= {
        "name": path.stem,
        "seed": options.seed,
        "start_from": "" if start is None else str(start),
        "precision": "bfloat16" if half else "float32",
        "data": data,
    }
    config = _with_rotations(check(TrainConfig, values, source), options.rotations)
    if "fidelity" in config.objective and any(item.halves is None for item in items):
        raise ConfigError(f"the objective {options.objective} compares two halves; give --half1 and --half2")
    physics = [measure_physics(item, config.data, options.seed, progress) for item in items]
    for item, one in zip(items, physics, strict=True):
        progress.say(f"{item.tomogram.path.name}: {one.summary}")
    if config.data.structures:
        progress.say(f"scenes have {len(config.data.structures)} known structures, and invented ones")
    else:
        progress.say("scenes have invented structures alone; known ones are used if CRYOWAE_DATA names their folder")
    facts = {"physics": [asdict(one) for one in physics], "tomograms": [str(item.tomogram.path) for item in items]}
    facts |= {"minutes": options.minutes}
    # through plain values, so that it is equal to what the file will hold
    return TrainConfig.model_validate(json.loads(config.model_copy(update={"options": facts}).model_dump_json()))


def _with_rotations(config: TrainConfig, rotations: str) -> TrainConfig:
    """The rotations of the user in every term that has some, unless the configuration names them."""
    if isinstance(config.objective, str):
        return config
    terms: dict[str, Any] = dict(config.objective)
    for name in _ROTATING & terms.keys():
        given = terms[name] if isinstance(terms[name], dict) else {"weight": terms[name]}
        terms[name] = {"rotations": rotations, **given}
    return config.model_copy(update={"objective": terms})


def _resumed(folder: Path, items: Sequence[Item], options: FitOptions) -> TrainConfig:
    config = check(TrainConfig, read_values(folder / "config.yaml", "fit")[0], str(folder / "config.yaml"))
    was, now = config.options.get("tomograms"), [str(item.tomogram.path) for item in items]
    if was != now:
        raise CheckpointError(f"{folder} is a fit of {was}, and now {now} are given; give the same files in that order")
    return config


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
    lengths = {"steps": steps, "save_every": -(-steps // judgements), "log_every": max(1, steps // 50)}
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
    plan = Plan(
        f"fit {config.name}",
        config,
        config.steps,
        schedule,
        config.log_every,
        config.save_every,
        finish=lambda done: judge.judge(done, network, config),
        enough=lambda: judge.exhausted,
        kind="fit",
        free=(),
    )
    how: RunOptions = {"resume": options.resume, "overwrite": options.overwrite, "progress": progress}
    try:
        run_training(plan, source, objective, folder, **how)
    except Stopped:
        if len(judge.scores) < 2:
            raise
        return _steps_done(folder), True
    return max(judge.scores), False


def _steps_done(folder: Path) -> int:
    return int(read_checkpoint(folder / "last.safetensors")[1]["step"])


def _write_best(judge: Selection, path: Path, folder: Path, start: Path | None) -> None:
    """Write the best weights so far; those at the start if no others are better."""
    best = start if judge.best == 0 else folder / "best.safetensors"
    if best is not None:
        write_bytes(path, best.read_bytes(), what="weights")
