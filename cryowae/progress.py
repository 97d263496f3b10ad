"""Progress of long work: the library reports to a `Progress`, a terminal or a log file shows it. Also `Outcome`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

Item = TypeVar("Item")

_SECONDS = 30.0  # between two lines of a log file


class Stopped(Exception):
    """The user ends long work early. A `Progress` may raise it in any of its methods but `show`.

    Work that can keep a part of its result catches it. It reports no further progress but by `show`.
    """


class Progress:
    """Receives the progress of long work; this base class is silent."""

    def begin(self, task: str, total: int, unit: str) -> None:
        """Start `task`, which consists of `total` steps called `unit`."""

    def advance(self, n: int = 1) -> None:
        """Report that `n` more steps of the current task are done."""

    def end(self) -> None:
        """Finish the current task."""

    def say(self, message: str) -> None:
        """Tell the user one line of information."""

    def show(self, picture: Path) -> None:
        """Tell the user that a picture was drawn, or drawn again."""

    def track(self, task: str, items: Sequence[Item], unit: str) -> Iterator[Item]:
        """Yield the items one after another, each a step of `task`."""
        self.begin(task, len(items), unit)
        for item in items:
            yield item
            self.advance()
        self.end()


SILENT = Progress()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Base class of the results of long tasks; each function adds its own attributes.

    Attributes
    ----------
    notes
        Messages for the user, one line each.
    seconds
        Run time.
    """

    notes: tuple[str, ...]
    seconds: float


class TerminalProgress(Progress):
    """Shows progress on standard error, with a rate and the remaining time.

    On a terminal these are bars, drawn by `rich`. Elsewhere, as in a log file, it is one line every half minute. Use it
    as a context manager, so that an interrupt leaves the terminal clean.
    """

    def __init__(self) -> None:
        from rich import progress as rich
        from rich.console import Console

        text = rich.TextColumn
        done = text("{task.description}"), rich.BarColumn(bar_width=30), rich.MofNCompleteColumn()
        speed = text("{task.fields[unit]}"), text("{task.fields[rate]}")
        times = rich.TimeElapsedColumn(), text("elapsed,"), rich.TimeRemainingColumn(), text("left")
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._bars = rich.Progress(*done, *speed, *times, console=self._console, disable=not sys.stderr.isatty())
        self._task: rich.Task | None = None
        self._told = 0.0  # seconds of the task at the last line

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, task: str, total: int, unit: str) -> None:
        self._bars.add_task(task, total=total, unit=unit, rate="")
        self._task, self._told = self._bars.tasks[-1], 0.0

    def advance(self, n: int = 1) -> None:
        if (task := self._task) is None:
            return
        self._bars.advance(task.id, n)
        if not task.elapsed:
            return
        rate = task.completed / task.elapsed
        self._bars.update(task.id, rate=f"{rate:.2f}/s")
        if self._bars.disable and task.elapsed - self._told >= _SECONDS and rate:
            self._told = task.elapsed
            left = f"{(task.remaining or 0) / rate / 60:.1f} min left"
            self.say(f"{task.description}: {task.completed}/{task.total} {task.fields['unit']}, {rate:.3g}/s, {left}")

    def end(self) -> None:
        if self._task is not None:
            self._bars.stop_task(self._task.id)
            self._task = None

    def say(self, message: str) -> None:
        self._console.print(message, soft_wrap=True, markup=False)
