"""What a command writes on the terminal: progress on standard error, and a table of the results."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from cryowae.progress import Outcome, TerminalProgress

progress = TerminalProgress


def print_outcome(outcome: Outcome, rows: Iterable[tuple[str, object]]) -> None:
    """Print the notes of long work on standard error, and a table with its time; rows of None are left out."""
    for note in outcome.notes:
        typer.echo(f"note: {note}", err=True)
    for name, value in (*rows, ("time", f"{outcome.seconds:.1f} s")):
        if value is not None:
            typer.echo(f"{name:<12}{value}")
