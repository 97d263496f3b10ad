"""A training with all terms for data without truth: configured by one line each, and resumed to the bit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from interrupting import Interrupt

from cryowae.config import TrainConfig
from cryowae.fourier.wedge import Wedge
from cryowae.io.checkpoint import read_checkpoint
from cryowae.objectives import Batch, BatchSource
from cryowae.train import train

TERMS = {
    "supervised": 1.0,
    "fidelity": 0.5,
    "equivariance": {"weight": 0.5, "rotations": "full", "wedge_weight": 3.0},
    "mmd": {"prior": "structure", "weight": 0.01},
    "observation_transport": {"weight": 0.05, "rotations": "about-z", "epsilon": 1.0},
    "observation_adversary": {"weight": 0.001, "rotations": "half-turns", "width": 4},
}
LOGGED = ("supervised", "fidelity", "equivariance", "match_2", "transport", "transport_null95", "recognised")


class Rehearsal(BatchSource):
    """Smooth random volumes with truth, and others without, seen through a wedge with noise."""

    def __init__(self, config, team):
        self.seed = config.seed

    def batch(self, step):
        generator = torch.Generator().manual_seed(1000 * self.seed + step)

        def observed(n, edge):
            white = torch.randn(n + 3 * n, 1, edge, edge, edge, generator=generator)
            truth = 3 * torch.nn.functional.avg_pool3d(white[:n], 3, 1, 1)
            noise = Wedge.binary(-60, 60).apply(white[n:]).split(n)
            return truth, Wedge.binary(-60, 60).apply(truth), noise

        truth, signal, (noise, _, _) = observed(2, 16)
        tilts = ((-60.0, 60.0),)
        _, mine, (first, second, third) = observed(3, 24)
        own = Batch(mine + first, other=mine + second, tilts=3 * tilts, noise=third)
        return Batch(signal + noise, truth, tilts=2 * tilts, own=own)


def settings(**changes) -> TrainConfig:
    small = {"widths": (8, 8, 8), "codes": (2, 2, 2)}
    values = {"name": "own", "steps": 4, "warmup": 1, "log_every": 1, "precision": "float32", "model": small}
    return TrainConfig(source="test_own_training:Rehearsal", objective=TERMS, **(values | changes))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_terms_are_logged_and_the_run_is_resumed_to_the_bit(tmp_path):
    train(settings(), tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(settings(), tmp_path / "broken", device="cpu", progress=Interrupt(2))
    train(settings(), tmp_path / "broken", device="cpu", resume=True)
    straight, broken = rows(tmp_path / "straight"), rows(tmp_path / "broken")
    assert len(straight) == 4 and set(LOGGED) <= set(straight[0])
    for name in (*LOGGED, "loss"):
        assert [row[name] for row in straight] == [row[name] for row in broken], name
    first, second = (read_checkpoint(tmp_path / run / "last.safetensors")[0] for run in ("straight", "broken"))
    assert first.keys() == second.keys()
    assert any(name.startswith("observation_adversary.discriminator") for name in first)
    assert all((first[name] == second[name]).all() for name in first)


def test_bfloat16_gives_finite_costs(tmp_path):
    train(settings(steps=2, precision="bfloat16"), tmp_path / "run", device="cpu")
    assert all(abs(float(row[name])) < 100 for row in rows(tmp_path / "run") for name in (*LOGGED, "loss"))
