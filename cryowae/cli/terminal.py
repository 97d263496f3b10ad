"""Progress for whoever reads standard error: bars on a terminal, now and then a line in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from cryowae.progress import Outcome, Progress, TerminalProgress

_SECONDS = 30.0


@contextmanager
def progress() -> Iterator[Progress]:
    """What a command hands to the library."""
    if sys.stderr.isatty():
        with TerminalProgress() as bars:
            yield bars
    else:
        yield _Lines()


def print_outcome(outcome: Outcome, rows: Iterable[tuple[str, object]]) -> None:
    """Print the notes of long work on standard error, and a table with its time; rows of None are left out."""
    for note in outcome.notes:
        typer.echo(f"note: {note}", err=True)
    for name, value in (*rows, ("time", f"{outcome.seconds:.1f} s")):
        if value is not None:
            typer.echo(f"{name:<12}{value}")


class _Lines(Progress):
    """One line every half minute, with the rate and the remaining time."""

    def begin(self, task: str, total: int, unit: str) -> None:
        self._task, self._total, self._unit, self._done = task, total, unit, 0
        self._began = self._told = time.monotonic()

    def advance(self, n: int = 1) -> None:
        self._done += n
        now = time.monotonic()
        if now - self._told >= _SECONDS:
            self._told = now
            rate = self._done / (now - self._began)
            left = (self._total - self._done) / rate / 60
            self.say(f"{self._task}: {self._done}/{self._total} {self._unit}, {rate:.3g}/s, {left:.1f} min left")

    def say(self, message: str) -> None:
        typer.echo(message, err=True)
