"""Ctrl-C during long work."""

from __future__ import annotations

from cryowae.progress import Progress


class Interrupt(Progress):
    """Presses Ctrl-C after a given number of steps, 0 for never; stores the announced number of steps."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.ahead: list[int] = []

    def begin(self, task: str, total: int, unit: str) -> None:
        self.ahead.append(total)

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if n and self.left == 0:
            raise KeyboardInterrupt
