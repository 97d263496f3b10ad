"""The queue of the baselines' rows: it agrees with the page, and a failed run does not stop the others."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from cryowae.config import baseline_config

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    before = signal.getsignal(signal.SIGINT)
    import baselines

    yield baselines
    signal.signal(signal.SIGINT, before)


def listed(tool, monkeypatch, capsys, *words: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["baselines.py", "--list", *words])
    tool.main()
    return capsys.readouterr().out.splitlines()


def test_every_row_of_the_page_can_be_run_again(tool, monkeypatch, capsys):
    text = (ROOT / "docs" / "baselines.md").read_text()
    rows = set(re.findall(r"^\| ((?:fixed|faithful|aae)-[a-z0-9-]+)", text, re.MULTILINE))
    assert len(rows) > 10
    commands = listed(tool, monkeypatch, capsys, *sorted(rows), "--seed", "0", "4", "--full")
    assert len(commands) == 2 * len(rows)
    assert all(command.startswith("cryowae baseline mnist ") and "--epochs 100 " in command for command in commands)


def test_settings_of_the_rows_are_settings(tool, monkeypatch, capsys):
    configs = set()
    for command in listed(tool, monkeypatch, capsys):
        words = shlex.split(command)
        given = {name[2:]: value for name, value in zip(words[3::2], words[4::2], strict=True) if name != "--set"}
        changes = [value for name, value in zip(words[3::2], words[4::2], strict=True) if name == "--set"]
        changes += [f"{name}={given[name]}" for name in ("epochs", "labels", "seed") if name in given]
        configs.add(baseline_config("mnist", given["model"], given.get("preset", "fixed"), changes).model_dump_json())
    assert len(configs) == len(tool._ROWS)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_stops_no_other(tool, tmp_path, jobs):
    done = tmp_path / "done"
    done.mkdir()
    (done / "weights.safetensors").touch()
    lists = {name: ["baseline", "table", str(tmp_path / "nothing"), "--output", str(tmp_path / name)] for name in "abc"}
    commands = {tmp_path / name: words for name, words in lists.items()} | {done: ["nonsense"]}
    commands[tmp_path / "good"] = ["baseline", "bandwidth", "--output", str(tmp_path / "good"), "--draws", "20"]
    assert tool.run(commands, jobs) == 1
    assert (tmp_path / "good" / "bandwidth.csv").is_file()
    if jobs == 2:
        assert "nothing" in (tmp_path / "a.txt").read_text() and not (tmp_path / "done.txt").exists()
    assert tool.run({done: ["nonsense"]}, jobs) == 0
