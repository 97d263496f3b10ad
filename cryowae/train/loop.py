"""The training loop, read from top to bottom: for volumes and images, for every source and objective."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypedDict, Unpack

import yaml

from cryowae.io.outputs import make_folder, write_text
from cryowae.objectives import BatchSource, Objective, StepInfo
from cryowae.progress import SILENT, Progress, Stopped
from cryowae.train.state import Plan, Rows, check_run, load_state, save_state

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class RunOptions(TypedDict, total=False):
    """Options of a run.

    Attributes
    ----------
    resume
        Continue from `last.safetensors`; on the CPU the final weights are those of a run without interruption.
    overwrite
        Overwrite the run in the folder, and start from the beginning.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Receives the progress of every step.
    """

    resume: bool
    overwrite: bool
    device: str
    progress: Progress


def run_training(
    plan: Plan, source: BatchSource, objective: Objective, output: Path, **options: Unpack[RunOptions]
) -> None:
    """Train.

    Parameters
    ----------
    plan
        Length of the run, and its outputs.
    source
        Provides the batches.
    objective
        Updates the parameters.
    output
        Folder for `last.safetensors` (for `resume`), `log.csv` and `config.yaml`.
    options
        As in `RunOptions`; the device is that of the objective.

    Raises
    ------
    OutputError
        If the folder holds a run and neither `resume` nor `overwrite` is set.
    CheckpointError
        If there is nothing to resume, or it is a run of another configuration.
    KeyboardInterrupt, SystemExit
        After Ctrl-C, SIGTERM or SIGHUP, between two steps. The checkpoint is up to date then.
    Stopped
        If the progress raises it, between two steps. The checkpoint is up to date then.
    """
    resume, progress = options.get("resume", False), options.get("progress", SILENT)
    last, weights, table, settings = (
        output / name.replace(".", f"{plan.suffix}.")
        for name in ("last.safetensors", "weights.safetensors", "log.csv", "config.yaml")
    )
    check_run(output, resume, options.get("overwrite", False), last.name)
    done = load_state(last, objective, plan) if resume else 0
    rows = Rows(table, done if resume else None)
    if plan.writes:
        make_folder(output)
        write_text(settings, yaml.safe_dump(plan.config.model_dump(mode="json"), sort_keys=False))
        for old in () if resume else (last, weights):  # otherwise a stop now would leave the files of another run
            old.unlink(missing_ok=True)

    def save() -> None:
        if plan.writes:
            save_state(last, objective, done, plan)

    progress.begin(plan.title, plan.steps - done, "steps")
    with watch_signals() as interrupts, source:
        try:
            while done < plan.steps:
                began = time.perf_counter()
                info = StepInfo(done, plan.schedule(done), plan.ends(done + 1, plan.log_every))
                batch = source.batch(done)
                with interrupts.held():
                    values = objective.step(batch, info)
                    done += 1
                if plan.writes:
                    rows.add({**values, "seconds": time.perf_counter() - began})
                    if info.logged:
                        rows.write_means(done, plan.notes(done))
                    if plan.ends(done, plan.save_every):
                        plan.finish(done)
                        save()
                        if plan.enough():
                            break
                progress.advance()
        except (KeyboardInterrupt, SystemExit, Stopped):
            if interrupts.whole:
                save()
                progress.say(f"interrupted after step {done}; --resume continues from there")
            raise
    progress.end()


class Interrupts:
    """Signals that end a run (Ctrl-C, a batch system that ends a job, a closed terminal), handled between two steps.

    Turns SIGINT into `KeyboardInterrupt`, SIGTERM and SIGHUP into `SystemExit`.

    Inside `held` they wait for its end, so that no incomplete state is saved. A second signal there does not wait.

    Attributes
    ----------
    whole
        Whether the last `held` block was completed.
    """

    whole = True
    _noted: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block in which signals are deferred."""
        self.whole = False
        yield
        self.whole = True
        if self._noted is not None:
            self._raise(self._noted)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler of a signal."""
        if self.whole or self._noted is not None:
            self._raise(number)
        self._noted = number

    def _raise(self, number: int) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def watch_signals() -> Iterator[Interrupts]:
    """Watch for signals in this block, except for those that are ignored, as SIGHUP is under `nohup`.

    Python handles signals only in the main thread; in any other thread they are not handled.
    """
    found, main = Interrupts(), threading.current_thread() is threading.main_thread()
    watched = [number for number in _SIGNALS if main and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, found.note) for number in watched}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
