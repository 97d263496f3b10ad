"""Training: it learns, resumes to the bit, and several processes give the gradient of one."""

import csv
import os
import subprocess
import sys

import pytest
import torch
from interrupting import Interrupt
from torch.testing import assert_close

from cryowae.config import TrainConfig, load_config
from cryowae.errors import CheckpointError, ConfigError, OutputError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models.weights import load_model
from cryowae.train import train
from cryowae.train.state import TrainingState

TINY = {
    "name": "tiny",
    "steps": 4,
    "warmup": 2,
    "log_every": 2,
    "save_every": 4,
    "precision": "float32",
    "data": {
        "scene": [24, 32, 32],
        "crop": 16,
        "batch": 4,
        "pool": 2,
        "crops_per_scene": 8,
        "workers": 0,
        "membranes": 0.0,
        "filaments": 0.0,
    },
    "model": {"widths": [8, 8, 8], "codes": [2, 2, 2], "down": [1, 1, 1], "up": [1, 1], "decode": [1, 1, 1]},
    "match": {"positions": 8},
}


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({**TINY, **changes})


@pytest.mark.parametrize(
    "match",
    [
        {"kind": "mmd", "prior": "normal"},
        {"kind": "mmd", "prior": "structure", "neighbourhood": 2},
        {"kind": "adversarial", "neighbourhood": 2},
        {"kind": "none"},
    ],
)
def test_every_objective_trains_and_leaves_its_files(match, tmp_path):
    weights = train(config(match={**TINY["match"], **match}, fidelity=0.1, gradient=1.0), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "weights.safetensors",
        "last.safetensors",
        "log.csv",
        "curves.png",
        "prior.png",
        "interpolation.png",
    }
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert all(float(row[term]) > 0 for row in rows for term in ("fidelity", "gradient"))
    assert ("match_2" in rows[0]) == (match["kind"] != "none")
    assert ("null95_2" in rows[0]) == (match["kind"] == "mmd")
    model = load_model(weights)
    assert model(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_resuming_gives_the_weights_of_a_run_without_the_break(tmp_path):
    settings = config(match={**TINY["match"], "kind": "adversarial"})
    train(settings, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "broken", progress=Interrupt(3))
    train(settings, tmp_path / "broken", resume=True)
    (straight, about), (broken, _) = (
        read_checkpoint(tmp_path / run / "last.safetensors") for run in ("straight", "broken")
    )
    assert about["step"] == 4
    assert straight.keys() == broken.keys()
    for name in straight:
        assert (straight[name] == broken[name]).all(), name
    rows = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("straight", "broken")]
    assert [line.split(",")[0] for line in rows[0]] == [line.split(",")[0] for line in rows[1]]


@pytest.mark.slow
def test_the_loss_falls(tmp_path):
    data = {**TINY["data"], "snr": [1.0, 1.0], "empty": 0.0, "plain": 1.0}
    train(config(steps=150, log_every=25, save_every=150, rate=3e-3, data=data), tmp_path)
    with (tmp_path / "log.csv").open() as file:
        losses = [float(row["supervised"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("kernel_rate", [0.006, 0.0])
@pytest.mark.parametrize("kind", ["mmd", "adversarial"])
def test_every_parameter_is_in_exactly_one_optimiser(kind, kernel_rate):
    state = TrainingState.fresh(config(match={"kind": kind}, kernel_rate=kernel_rate), torch.device("cpu"))
    optimisers = [*state.optimiser.parts.values()] + ([state.opponent] if state.opponent is not None else [])
    held = [
        p.data_ptr() for o in optimisers for group in o.param_groups for p in group["params"]
    ]  # Muon sees kernels flat
    assert len(held) == len(set(held)) and len(optimisers) == 1 + (kernel_rate > 0) + (kind == "adversarial")
    modules = [state.network] + ([state.match.discriminator] if state.match.discriminator is not None else [])
    assert set(held) == {p.data_ptr() for m in modules for p in m.parameters()}


def test_a_step_moves_every_kernel_along_an_orthogonal_matrix():
    state = TrainingState.fresh(config(), torch.device("cpu"))
    kernel = state.network.decoder[0][0].first.weight
    before = kernel.detach().clone()
    for parameter in state.network.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step(0.5)
    step = ((before - kernel) / (0.5 * state.config.kernel_rate)).detach().flatten(1)
    singular = torch.linalg.svdvals(step)
    assert float(singular.min()) > 0.5 and float(singular.max()) < 1.5  # five Newton-Schulz steps are that exact
    state.optimiser.zero_grad()
    assert all(p.grad is None for p in state.network.parameters())


def test_a_run_is_not_overwritten_and_nothing_is_not_resumed(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(config(), tmp_path, resume=True)
    train(config(steps=1, save_every=1), tmp_path)
    with pytest.raises(OutputError, match="holds a run already"):
        train(config(steps=1), tmp_path)
    with pytest.raises(CheckpointError, match="another configuration"):
        train(config(rate=1e-5), tmp_path, resume=True)


def test_a_run_of_a_version_with_one_optimiser_is_not_resumed(tmp_path):
    state = TrainingState.fresh(config(kernel_rate=0.0), torch.device("cpu"))
    state.save(tmp_path / "last.safetensors")
    arrays, metadata = read_checkpoint(tmp_path / "last.safetensors")
    del metadata["config"]["kernel_rate"]  # which version 0.2 did not know
    write_checkpoint(tmp_path / "old.safetensors", arrays, metadata)
    with pytest.raises(CheckpointError, match="another configuration"):
        TrainingState.fresh(config(), torch.device("cpu")).load(tmp_path / "old.safetensors")


def test_a_run_can_start_from_weights(tmp_path):
    weights = train(config(steps=2, save_every=2), tmp_path)
    state = TrainingState.fresh(config(start_from=str(weights), seed=9), torch.device("cpu"))
    stored, _ = read_checkpoint(weights)
    for name, tensor in state.network.state_dict().items():
        assert_close(tensor, torch.from_numpy(stored[f"network.{name}"]).float())
    other = {**TINY["model"], "widths": [8, 8, 12]}
    with pytest.raises(CheckpointError, match="another network"):
        TrainingState.fresh(config(start_from=str(weights), model=other), torch.device("cpu"))


def test_shipped_configurations_are_read_and_overridden():
    loaded = load_config("cryowae-3", ["data.batch=2", "rate=1e-4", "match.kind=adversarial"])
    assert (loaded.data.batch, loaded.rate, loaded.match.kind) == (2, 1e-4, "adversarial")


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("name: a\nstepz: 3", [], "stepz is not known, expected one of: name, seed, steps"),
        ("name: a\nsteps: many", [], "steps: input should be a valid integer"),
        ("- a\n- b", [], "expected names with values"),
        ("name: [", [], "is not YAML"),
        ("name: a", ["steps"], "expected NAME=VALUE"),
        ("name: a", ["name.x=1"], "name is a value"),
    ],
)
def test_configurations_that_make_no_sense(text, overrides, message, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, overrides)


def test_an_unknown_configuration_names_those_that_there_are():
    with pytest.raises(ConfigError, match="cryowae-3"):
        load_config("nothing")


_GRADIENT = """
import sys, torch
from cryowae.config import MatchConfig
from cryowae.models.autoencoder import Autoencoder, AutoencoderShape
from cryowae.objectives.match import LatentMatch, prior_codes
from cryowae.train.loop import _WithCodes
from cryowae.train.parallel import Team

torch.manual_seed(0)
net = Autoencoder(AutoencoderShape(widths=(4, 4), codes=(2, 2), down=(1, 1), up=(1,), decode=(1, 1)))
x = torch.randn(8, 1, 8, 8, 8)
prior = [torch.randn(8, 2, 4, 4, 4), torch.randn(8, 2, 2, 2, 2)]
match = LatentMatch(MatchConfig(weight=1.0, positions=8))
with Team("cpu") as team:
    size = 8 // team._size
    mine = slice(team.rank * size, (team.rank + 1) * size)
    model = team.share(_WithCodes(net))
    restored, codes = model(x[mine])
    loss = restored.square().mean() + match(codes, [p[mine] for p in prior], torch.Generator().manual_seed(1)).loss
    loss.backward()
    if team.leads:
        torch.save([p.grad for p in net.parameters()], sys.argv[1])
"""


def test_two_processes_give_the_gradient_of_one_with_twice_the_batch(tmp_path):
    script = tmp_path / "gradient.py"
    script.write_text(_GRADIENT)
    plain = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, tmp_path / "one"], check=True, env=plain)
    team = plain | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + os.getpid() % 20000)}
    both = [subprocess.Popen([sys.executable, script, tmp_path / "two"], env=team | {"RANK": str(r)}) for r in (0, 1)]
    assert [process.wait(120) for process in both] == [0, 0]
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert_close(b, a, atol=1e-5 * float(a.abs().max()) + 1e-7, rtol=1e-3)
