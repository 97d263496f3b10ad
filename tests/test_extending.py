"""The example of docs/extending.md: a source, a term and an objective from outside the package, trained by the loop."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import pytest
import yaml
from interrupting import Interrupt

from cryowae.config import load_config
from cryowae.io.checkpoint import read_checkpoint
from cryowae.models.weights import load_model
from cryowae.train import train

PAGE = (Path(__file__).parent.parent / "docs" / "extending.md").read_text("utf-8")
SMALL = ["warmup=1", "log_every=1", "precision=float32", "model.widths=[8,8,8]", "model.codes=[2,2,2]"]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The configuration of the page, with its module on the path."""
    (code,), blocks = (
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL),
        re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL),
    )
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "waves.yaml").write_text(next(block for block in blocks if "mine:" in block))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return lambda *overrides: load_config(tmp_path / "waves.yaml", [*SMALL, *overrides])


def logged(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_term_and_a_source_from_outside(settings, tmp_path):
    weights = train(settings("steps=12", "rate=1e-2"), tmp_path / "run", device="cpu")
    rows = logged(tmp_path / "run")
    assert len(rows) == 12 and "total" in rows[0]
    assert float(rows[-1]["supervised"]) < float(rows[0]["supervised"])
    assert load_model(weights, "cpu").metadata["config"]["source"] == "mine:Waves"


def test_an_objective_from_outside_learns_and_is_resumed_to_the_bit(settings, tmp_path):
    chosen = settings("objective=mine:Smallest", "steps=60", "rate=0.2")
    train(chosen, tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "broken", device="cpu", progress=Interrupt(20))
    train(chosen, tmp_path / "broken", device="cpu", resume=True)
    rows = [logged(tmp_path / run) for run in ("straight", "broken")]
    assert [row["factor"] for row in rows[0]] == [row["factor"] for row in rows[1]]
    # least squares: the power of the cosine over that of cosine and noise
    assert float(rows[0][-1]["factor"]) == pytest.approx(0.5 / (0.5 + 0.3**2), abs=0.02)
    kept = read_checkpoint(tmp_path / "broken" / "last.safetensors")[0]["layer.weight"]
    assert kept == read_checkpoint(tmp_path / "straight" / "last.safetensors")[0]["layer.weight"]


def test_the_terms_of_the_page_are_terms(tmp_path):
    first = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "a.yaml").write_text("name: a\n" + first)
    assert load_config(tmp_path / "a.yaml").objective == yaml.safe_load(first)["objective"]
