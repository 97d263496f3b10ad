"""Signals that end a run, acted on between two steps: Ctrl-C, a batch system that ends a job, a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupts:
    """Turns SIGINT into `KeyboardInterrupt`, SIGTERM and SIGHUP into `SystemExit`.

    Inside `held` they wait for its end, so that no half-made state is saved. A second signal there does not wait.

    Attributes
    ----------
    whole
        Whether the last `held` block came to its end.
    """

    def __init__(self) -> None:
        self.whole = True
        self._noted: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that signals do not interrupt."""
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

    Python handles signals in the main thread alone; in any other thread nothing is watched.
    """
    found, main = Interrupts(), threading.current_thread() is threading.main_thread()
    watched = [number for number in _NUMBERS if main and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, found.note) for number in watched}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
