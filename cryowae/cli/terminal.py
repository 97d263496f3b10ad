"""Terminal output of commands: progress, results and errors; and exit codes.

Errors that a user can correct take one line and exit code 2; an interrupt exits with 130; a bug keeps its traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperGroup

from cryowae.cli.signals import INTERRUPTED, raise_in_steps
from cryowae.errors import CryowaeError
from cryowae.io.outputs import in_letters
from cryowae.progress import TerminalProgress

MENDABLE = 2

_OF_THE_SYSTEM = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT),
)

progress = TerminalProgress


class ErrorsInOneLine(TyperGroup):
    """Commands whose errors become a line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the selected command."""
        raise_in_steps()
        try:
            return super().invoke(ctx)
        except (CryowaeError, OSError) as error:
            complain(mendable(error))
            raise typer.Exit(MENDABLE) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def mendable(error: Exception) -> CryowaeError:
    """The error that a user can correct: the same, or a failure of the file system. Any other one is raised again."""
    if isinstance(error, CryowaeError):
        return error
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
        place = "a file" if error.filename is None else error.filename
        return CryowaeError(f"{place} cannot be used ({error.strerror}); check the place, or choose another one")
    raise error


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
            typer.echo(in_letters(f"{name:<{width}} {value}" if name else str(value)))
