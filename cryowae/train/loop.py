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
from cryowae.train.state import Plan, Position, Rows, check_run, load_state, save_state

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
    check_run(output, resume, options.get("overwrite", False), plan.suffix)
    at = load_state(last, objective, plan, progress) if resume else Position()
    rows = Rows(table, at.done if resume else None, at.unlogged)
    if plan.writes:
        make_folder(output)
        write_text(settings, yaml.safe_dump(plan.config.model_dump(mode="json"), sort_keys=False))
        for old in () if resume else (last, weights):  # otherwise a stop now would leave the files of another run
            old.unlink(missing_ok=True)
    whole = True  # whether the state is that between two steps

    def save() -> None:
        if plan.writes:
            save_state(last, objective, at, plan)

    def finish() -> bool:
        plan.finish(at.done)
        at.unfinished = False
        save()
        return plan.enough()

    progress.begin(plan.title, plan.steps - at.done, "steps")
    with watch_signals(progress) as interrupts, source:
        try:
            with interrupts.held():
                ended = at.unfinished and finish()
            while at.done < plan.steps and not ended:
                began = time.perf_counter()
                info = StepInfo(at.done, plan.schedule(at.done), plan.ends(at.done + 1, plan.log_every))
                batch = source.batch(at.done)  # a signal does not wait for it: it changes nothing that is saved
                with interrupts.held():
                    whole = False
                    values = objective.step(batch, info)
                    if plan.writes:
                        rows.add({**values, "seconds": time.perf_counter() - began})
                    at.done += 1
                    at.unfinished = plan.writes and plan.ends(at.done, plan.save_every)
                    whole = True
                    if plan.writes and info.logged:
                        rows.write_means(at.done, plan.notes(at.done))
                    ended = at.unfinished and finish()
                if not ended:
                    progress.advance()
        except (KeyboardInterrupt, SystemExit, Stopped):
            if whole:
                save()
                progress.say(f"interrupted after step {at.done}; --resume continues from there")
            raise
    progress.end()


class Interrupts:
    """Signals that end a run (Ctrl-C, a batch system that ends a job, a closed terminal), handled between two steps.

    Turns SIGINT into `KeyboardInterrupt`, SIGTERM and SIGHUP into `SystemExit`. Inside `held` they wait for its end, so
    that a run stops between two steps. A second signal there does not wait.

    Parameters
    ----------
    progress
        Is told that a signal waits.
    """

    def __init__(self, progress: Progress = SILENT) -> None:
        self._progress, self._held, self._noted = progress, False, 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block in which the first signal is deferred."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._noted:
            self._raise(self._noted)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler of a signal."""
        if not self._held or self._noted:
            self._raise(number)
        self._noted = number
        told = "stopping after this step; a second Ctrl-C stops at once and goes back to the last checkpoint"
        # in a thread: the signal may have come in the middle of other output
        threading.Thread(target=self._progress.say, args=(told,)).start()

    def _raise(self, number: int) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def watch_signals(progress: Progress = SILENT) -> Iterator[Interrupts]:
    """Watch for signals in this block, except for those that are ignored, as SIGHUP is under `nohup`.

    Python handles signals only in the main thread; in any other thread they are not handled.
    """
    found, main = Interrupts(progress), threading.current_thread() is threading.main_thread()
    watched = [number for number in _SIGNALS if main and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, found.note) for number in watched}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
