"""Terminal output of commands: progress, results and errors; and exit codes.

Errors that a user can correct take one line and exit code 2; an interrupt exits with 130; a bug keeps its traceback.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from cryowae.errors import CryowaeError
from cryowae.progress import TerminalProgress

MENDABLE, INTERRUPTED, TERMINATED = 2, 130, 143

progress = TerminalProgress


class ErrorsInOneLine(TyperGroup):
    """Commands whose errors become a line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the selected command."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except CryowaeError as error:
            complain(error)
            raise typer.Exit(MENDABLE) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def complain(error: CryowaeError | str) -> None:
    """Print one line on standard error."""
    typer.echo(f"cryowae: {' '.join(str(error).split())}", err=True)


def print_results(*rows: object, notes: Iterable[str] = (), width: int = 11) -> None:
    """Print results, one per line, and notes on standard error.

    Parameters
    ----------
    rows
        Texts and paths are printed unchanged, pairs as a name with its value: a float with five digits. A row or a
        value of None is left out.
    notes
        Messages for the user, one line each.
    width
        Characters of the column of names.
    """
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    for row in rows:
        name, value = row if isinstance(row, tuple) else ("", row)
        if value is not None:
            value = f"{value:.5g}" if isinstance(value, float) else value
            typer.echo(f"{name:<{width}} {value}" if name else str(value))


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    # as an exception, so that half-written files are removed
    raise SystemExit(TERMINATED)
