"""A run: its plan, and the files in its folder: a table, and a checkpoint.

A resumed run ends with the same weights as a run without interruption, bit-identical on the CPU.

Networks are named arrays, so that the file can be used as weights too. The rest, the optimisers and the state of the
random generator, is one array of bytes that `torch.save` wrote and `torch.load` reads with `weights_only`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryowae.config.files import Frozen, check
from cryowae.errors import CheckpointError, OutputError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.outputs import write_text
from cryowae.objectives import Objective
from cryowae.progress import SILENT, Progress

_REST = "state"


@dataclass(frozen=True)
class Plan:
    """Length, outputs and settings of a run.

    Attributes
    ----------
    title
        Title of the run, for the progress.
    config
        Configuration of the run. It is written into its folder, and the run can only be resumed with the same one.
    steps
        Number of steps.
    schedule
        The share of the full learning rates at a step.
    log_every, save_every
        Steps between rows of the log, and between checkpoints. The last step has both.
    epoch
        Steps of an epoch, each of which ends with a row and a checkpoint; 0 for none.
    notes
        Further values for a row of the log after a step.
    finish
        Called with the number of steps done before every checkpoint: to measure, draw, write weights.
    enough
        Asked after every checkpoint; the run ends early if it is true.
    kind
        Kind of the run in the metadata of the checkpoint.
    keep
        Further arrays to keep in the checkpoint.
    free
        Names in `config` that may change when a run is resumed.
    suffix
        Suffix of the names of all files, if several runs share a folder.
    writes
        Whether this process writes the files; if several train together, only one does.
    """

    title: str
    config: Frozen
    steps: int
    schedule: Callable[[int], float] = lambda step: 1.0
    log_every: int = 50
    save_every: int = 500
    epoch: int = 0
    notes: Callable[[int], Mapping[str, object]] = lambda steps: {}
    finish: Callable[[int], None] = lambda steps: None
    enough: Callable[[], bool] = lambda: False
    kind: str = "training"
    keep: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    free: tuple[str, ...] = ("steps",)
    suffix: str = ""
    writes: bool = True

    @property
    def follows_length(self) -> bool:
        """Whether the schedule depends on the number of steps."""
        return self.schedule(self.steps - 1) != 1

    def ends(self, steps: int, every: int) -> bool:
        """Whether an action for every `every` steps, every epoch and the end is due."""
        return steps % every == 0 or steps == self.steps or (self.epoch > 0 and steps % self.epoch == 0)


@dataclass
class Position:
    """How far a run has come.

    Attributes
    ----------
    done
        Number of completed steps.
    unfinished
        Whether the call of `Plan.finish` that is due after this step is not complete.
    unlogged
        Values of the steps since the last row of the log, by name.
    """

    done: int = 0
    unfinished: bool = False
    unlogged: dict[str, list[float]] = field(default_factory=dict)


def save_state(path: Path, objective: Objective, at: Position, plan: Plan) -> None:
    """Write the complete state of a run.

    Parameters
    ----------
    path
        The file.
    objective
        Has the parts and the random generator.
    at
        How far the run has come.
    plan
        Plan of the run.
    """
    arrays, rest = dict(plan.keep), {}
    for name, part in objective.parts.items():
        state = part.state_dict()
        if isinstance(part, nn.Module):
            arrays |= {f"{name}.{key}": value.detach().cpu().numpy() for key, value in state.items()}
        else:
            rest[name] = state
    buffer = io.BytesIO()
    torch.save({"parts": rest, "generator": objective.generator.get_state()}, buffer)
    arrays[_REST] = np.frombuffer(buffer.getvalue(), np.uint8)
    about = {"step": at.done, "unfinished": at.unfinished, "unlogged": at.unlogged}
    write_checkpoint(path, arrays, {"kind": plan.kind, **about, "config": plan.config.model_dump(mode="json")})


def load_state(path: Path, objective: Objective, plan: Plan, progress: Progress = SILENT) -> Position:
    """Restore the state of an objective from the file of `save_state`; parameters as in `save_state`.

    `progress` is told if the run gets another length, and so another schedule.

    Returns
    -------
    at
        How far the run has come.

    Raises
    ------
    CheckpointError
        If the file is not the checkpoint of a run, or is that of another configuration.
    """
    arrays, metadata = read_checkpoint(path)
    if "plain" in metadata:
        raise CheckpointError(
            f"{path} is a run of version 0.3 and cannot be resumed; finish it with 0.3, or start again with --overwrite"
        )
    if _REST not in arrays:
        raise CheckpointError(f"{path} holds only weights, expected the checkpoint of a run (last.safetensors)")
    stored = check(type(plan.config), metadata["config"], str(path))
    if changed := _differences(stored, plan.config, plan.free):
        raise CheckpointError(
            f"{path} has another configuration ({changed}); resume with its own, by --resume without --set, or start "
            "again with --overwrite"
        )
    at = Position(int(metadata["step"]), metadata.get("unfinished", False), metadata.get("unlogged", {}))
    if at.done > plan.steps:
        raise CheckpointError(f"{path} has {at.done} steps already, more than the {plan.steps} that are to be done")
    if (longer := _differences(stored, plan.config)) and plan.follows_length:
        progress.say(f"{longer}: the rates now fall over this length; a run of it from the start would differ")
    state = torch.load(io.BytesIO(arrays[_REST].tobytes()), map_location="cpu", weights_only=True)
    for name, part in objective.parts.items():
        if isinstance(part, nn.Module):
            own = {key: arrays.get(f"{name}.{key}") for key in part.state_dict()}
            part.load_state_dict({key: torch.from_numpy(value) for key, value in own.items() if value is not None})
        else:
            part.load_state_dict(state["parts"][name])
    objective.generator.set_state(state["generator"])
    return at


def check_run(output: Path, resume: bool, overwrite: bool, suffix: str = "") -> None:
    """Check that a run can start, or be resumed, in a folder; `suffix` is that of its files.

    Raises
    ------
    OutputError
        If it holds a run and neither `resume` nor `overwrite` is set.
    CheckpointError
        If there is nothing to resume.
    """
    last, settings = (output / f"{name}{suffix}.{kind}" for name, kind in (("last", "safetensors"), ("config", "yaml")))
    if last.exists() and not (resume or overwrite):
        raise OutputError(f"{output} holds a run already; give --resume to continue it, or --overwrite to replace it")
    if resume and not last.exists():
        why = "the run ended before its first checkpoint" if settings.exists() else "it holds no run"
        raise CheckpointError(
            f"nothing to resume in {output}: {why} (no {last.name}); start anew with --overwrite in place of --resume"
        )


class Rows:
    """The table of a run: a CSV file with a column `step`. A resumed run removes the rows after its checkpoint.

    Parameters
    ----------
    path
        The file; it is rewritten whole with every row.
    keep
        Keep the rows up to this step; None starts a new table.
    unlogged
        Values of the steps since the last row, by name. They are changed in place.
    """

    def __init__(self, path: Path, keep: int | None = None, unlogged: dict[str, list[float]] | None = None) -> None:
        self._path = path
        self._unlogged = {} if unlogged is None else unlogged
        self._rows: list[dict[str, str]] = []
        if keep is not None and path.exists():
            self._rows = [row for row in read_rows(path) if int(row["step"]) <= keep]

    def add(self, values: Mapping[str, float]) -> None:
        """Note values of one step."""
        for name, value in values.items():
            self._unlogged.setdefault(name, []).append(value)

    def write_means(self, step: int, more: Mapping[str, object]) -> None:
        """Write a row with the means of the values since the last row."""
        self.write(step, {**more, **{name: sum(v) / len(v) for name, v in self._unlogged.items()}})
        self._unlogged.clear()

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """Write a row. If the step has a row already, its other values are kept."""
        row = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()}
        same = next((r for r in self._rows if r["step"] == str(step)), {})
        self._rows = [r for r in self._rows if r is not same] + [{**same, "step": str(step), **row}]
        write_rows(self._rows, self._path)


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write a CSV file with a column for every name that a row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _differences(stored: Frozen, given: Frozen, free: Sequence[str] = ()) -> str:
    was, now = (_flat(config.model_dump(mode="json", exclude=set(free))) for config in (stored, given))
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return ", ".join(f"{name} was {was.get(name)} and is {now.get(name)}" for name in names)


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found
