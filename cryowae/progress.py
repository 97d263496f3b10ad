"""Progress of long work: the library reports to a `Progress`, the terminal draws it. And what such work returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")


class Progress:
    """Receives the progress of long work; this base class is silent."""

    def begin(self, task: str, total: int, unit: str) -> None:
        """Start `task`, which consists of `total` steps called `unit`."""

    def advance(self, n: int = 1) -> None:
        """Note that `n` more steps of the current task are done."""

    def end(self) -> None:
        """Finish the current task."""

    def say(self, message: str) -> None:
        """Tell the user one line of information."""

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
    """What every long work returns; the results of single functions add their own attributes.

    Attributes
    ----------
    notes
        What the user should know, one line each.
    seconds
        Time that it took.
    """

    notes: tuple[str, ...]
    seconds: float


class TerminalProgress(Progress):
    """Draws bars with a rate and a remaining time on standard error, by `rich`.

    Use as a context manager, so that an interrupt leaves the terminal clean.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as Bars,
        )

        self._console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, task: str, total: int, unit: str) -> None:
        self._task = self._bars.add_task(task, total=total, unit=unit, rate="")

    def advance(self, n: int = 1) -> None:
        if self._task is None:
            return
        self._bars.advance(self._task, n)
        task = self._bars.tasks[self._bars.task_ids.index(self._task)]
        if task.elapsed:
            self._bars.update(self._task, rate=f"{task.completed / task.elapsed:.2f}/s")

    def end(self) -> None:
        if self._task is not None:
            self._bars.stop_task(self._task)
            self._task = None

    def say(self, message: str) -> None:
        self._console.print(message, soft_wrap=True, markup=False)
