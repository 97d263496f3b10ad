"""The queue of ablations: its arms are valid configurations, and its results are read back as written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from cryowae.config import load_config, load_suite

ROOT = Path(__file__).parent.parent
QUEUE = yaml.safe_load((ROOT / "configs" / "ablation.yaml").read_text())


@pytest.fixture
def tool(monkeypatch, tmp_path):
    specification = importlib.util.spec_from_file_location("ablation", ROOT / "tools" / "ablation.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "docs" / "results.csv")
    return module


def row(tool, arm: str, scene: str, seed: int, ncc: float) -> dict[str, str]:
    values = {"arm": arm, "steps": "240", "match": ".1/.2/.3", "scene": scene, "snr": "0.2", "seed": str(seed)}
    return dict.fromkeys(tool.FIELDS, "0.5") | values | {"ncc": str(ncc)}


def test_every_arm_differs_from_the_others_in_what_it_changes():
    configs = [load_config(QUEUE["config"], [*QUEUE["base"], *changes]) for changes in QUEUE["arms"].values()]
    assert len({config.model_dump_json() for config in configs}) == len(configs)
    assert {config.steps for config in configs} == {configs[0].steps}
    assert len(load_suite("ablation").scenes) == 5


def test_results_are_added_to_and_averaged_over_the_seeds(tool):
    assert tool.read_rows() == []
    tool.append_rows([row(tool, "one", "base", 1, 0.7), row(tool, "one", "base", 2, 0.8)])
    tool.append_rows([row(tool, "two", "base", 1, 0.9)])
    assert [each["arm"] for each in tool.read_rows()] == ["one", "one", "two"]
    table = tool.format_rows(tool.read_rows()).splitlines()
    assert table[2].startswith("| one | 0.750 0.500 0.500 |") and table[3].startswith("| two | 0.900")
    assert not list(tool.RESULTS.parent.glob("*.partial"))
