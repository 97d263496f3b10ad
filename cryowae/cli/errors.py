"""Errors that a user can mend take one line and exit code 2; an interrupt exits with 130; a bug keeps its traceback."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from cryowae.errors import CryowaeError

MENDABLE, INTERRUPTED, TERMINATED = 2, 130, 143


class ErrorsInOneLine(TyperGroup):
    """Commands whose errors become a line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
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


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    # as an exception, so that half-written files are removed
    raise SystemExit(TERMINATED)
