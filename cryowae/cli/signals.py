"""Ctrl-C and termination: an exception between two steps of Python, never inside an import or while a picture is drawn.

Compiled libraries that are imported or draw can turn an exception of a signal into another error, or abort. There, the
signal is repeated a moment later.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143

_AGAIN = 0.05  # seconds
_UNSAFE = ("importlib", "matplotlib")  # packages


def raise_in_steps() -> None:
    """Raise `KeyboardInterrupt` after Ctrl-C and `SystemExit` after a termination, so that files are removed."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background
                signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    if _is_unsafe(frame):
        later = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise SystemExit(TERMINATED)


def _is_unsafe(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in _UNSAFE:
            return True
        frame = frame.f_back
    return False
