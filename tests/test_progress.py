"""Progress on standard error: lines in a log file, without terminal codes."""

from __future__ import annotations

import re

import pytest

from cryowae import progress
from cryowae.progress import TerminalProgress


def test_a_log_file_gets_lines_with_the_rate_and_the_remaining_time(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    with TerminalProgress() as shown:
        shown.say("reading [1] of /a/path :smile:" + 100 * " x")
        shown.begin("restoring", 4, "windows")
        shown.advance()
        shown.advance(3)
        shown.end()
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "reading [1] of /a/path :smile:" + 100 * " x"
    expected = r"restoring: {}/4 windows, [0-9.e+]+/s, 0\.0 min left"
    assert len(lines) == 2
    assert all(re.fullmatch(expected.format(done), line) for done, line in zip((1, 4), lines, strict=True))


def test_a_log_file_gets_no_line_before_half_a_minute(capsys):
    with TerminalProgress() as shown:
        shown.begin("restoring", 2, "windows")
        shown.advance(2)
        shown.end()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("steps", [0, 3])
def test_steps_without_a_task_are_ignored(capsys, steps):
    with TerminalProgress() as shown:
        shown.advance(steps)
        shown.end()
    assert capsys.readouterr().err == ""
