"""Training: it learns, is resumed bit-identically, and several processes give the gradient of one."""

import csv
import io
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
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.progress import Progress
from cryowae.train import Team, make_objective, train

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


def objective(**changes: object) -> AutoencoderObjective:
    return make_objective(config(**changes), Team("cpu"))


@pytest.mark.parametrize(
    "match",
    [
        {"kind": "mmd", "prior": "normal"},
        {"kind": "mmd", "prior": "structure", "neighbourhood": 2},
        {"kind": "adversarial", "neighbourhood": 2},
        {"kind": "none"},
    ],
)
def test_every_objective_trains_and_writes_its_files(match, tmp_path):
    weights = train(config(match={**TINY["match"], **match}, fidelity=0.1, gradient=1.0), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "weights.safetensors",
        "last.safetensors",
        "config.yaml",
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


def test_resuming_gives_the_weights_of_an_uninterrupted_run(tmp_path):
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
    for name in straight.keys() - {"state"}:
        assert (straight[name] == broken[name]).all(), name
    kept = [torch.load(io.BytesIO(run["state"].tobytes()), weights_only=True) for run in (straight, broken)]
    assert kept[0]["parts"].keys() == {"optimiser", "muon", "adversary.opponent"}
    assert_close(kept[1], kept[0], rtol=0, atol=0)
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
    made = objective(match={"kind": kind}, kernel_rate=kernel_rate)
    optimisers = [part for part in made.parts.values() if isinstance(part, torch.optim.Optimizer)]
    held = [
        p.data_ptr() for o in optimisers for group in o.param_groups for p in group["params"]
    ]  # Muon uses kernels as matrices
    assert len(held) == len(set(held)) and len(optimisers) == 1 + (kernel_rate > 0) + (kind == "adversarial")
    modules = [part for name, part in made.parts.items() if isinstance(part, torch.nn.Module) and name != "ema"]
    assert len(modules) == 1 + (kind == "adversarial")
    assert set(held) == {p.data_ptr() for m in modules for p in m.parameters()}


def test_a_step_moves_every_kernel_along_an_orthogonal_matrix():
    state = objective()
    kernel = state.network.decoder[0][0].first.weight
    before = kernel.detach().clone()
    for parameter in state.network.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step(0.5)
    step = ((before - kernel) / (0.5 * config().kernel_rate)).detach().flatten(1)
    singular = torch.linalg.svdvals(step)
    assert float(singular.min()) > 0.5 and float(singular.max()) < 1.5  # five Newton-Schulz steps have this precision
    state.optimiser.zero_grad()
    assert all(p.grad is None for p in state.network.parameters())


def test_a_run_is_not_overwritten_and_an_empty_folder_is_not_resumed(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing to resume .* holds no run"):
        train(config(), tmp_path, resume=True)
    (tmp_path / "config.yaml").write_text("name: killed")
    with pytest.raises(CheckpointError, match=r"ended before its first checkpoint .* anew with --overwrite"):
        train(config(), tmp_path, resume=True)
    train(config(steps=1, save_every=1), tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="holds a run already"):
        train(config(steps=1), tmp_path)
    changed = r"another configuration \(rate was 0.002 and is 1e-05, objective.mmd.positions was 8 and is 9\)"
    with pytest.raises(CheckpointError, match=changed):
        train(config(rate=1e-5, save_every=1, match={"positions": 9}), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="holds only weights"):
        (tmp_path / "last.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes())
        train(config(), tmp_path, resume=True)


class Said(Progress):
    """Stores what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def test_a_run_can_be_extended_which_is_said_and_not_shortened(tmp_path):
    train(config(steps=2), tmp_path)
    said = Said()
    train(config(steps=3), tmp_path, resume=True, progress=said)
    assert any("steps was 2 and is 3: the rates now fall over this length" in line for line in said.lines)
    with pytest.raises(CheckpointError, match="has 3 steps already, more than the 1"):
        train(config(steps=1), tmp_path, resume=True)
    assert read_checkpoint(tmp_path / "last.safetensors")[1]["step"] == 3
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "3"]


def test_a_run_of_version_0_3_is_not_resumed_and_gives_its_weights(tmp_path):
    train(config(steps=1), tmp_path)
    arrays, metadata = read_checkpoint(tmp_path / "last.safetensors")
    old = {name: array for name, array in arrays.items() if name != "state"} | {"optimiser.0.step": arrays["state"]}
    write_checkpoint(tmp_path / "last.safetensors", old, metadata | {"plain": {"optimiser": {}}})
    with pytest.raises(CheckpointError, match=r"is a run of version 0\.3 .* start again"):
        train(config(), tmp_path, resume=True)
    model = load_model(tmp_path / "last.safetensors", half=False)
    assert_close(
        model.network.head.state_dict(),
        load_model(tmp_path / "weights.safetensors").network.head.state_dict(),
        atol=1e-3,
        rtol=1e-3,
    )
    objective(start_from=str(tmp_path / "last.safetensors"))


def test_a_run_can_start_from_weights(tmp_path):
    weights = train(config(steps=2, save_every=2), tmp_path)
    state = objective(start_from=str(weights), seed=9)
    stored, _ = read_checkpoint(weights)
    for name, tensor in state.network.state_dict().items():
        assert_close(tensor, torch.from_numpy(stored[f"network.{name}"]).float())
    other = {**TINY["model"], "widths": [8, 8, 12]}
    with pytest.raises(CheckpointError, match="different network"):
        objective(start_from=str(weights), model=other)


def test_shipped_configurations_are_read_and_overridden():
    loaded = load_config("cryowae-3", ["data.batch=2", "rate=1e-4", "match.kind=adversarial"])
    assert (loaded.data.batch, loaded.rate, loaded.objective["adversary"]) == (
        2,
        1e-4,
        {"prior": "normal", "weight": 0.01},
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"supervised": 1.0, "mmd": 1e-3}),
        ({"gradient": 4, "fidelity": 0}, {"supervised": 1.0, "mmd": 1e-3, "gradient": 4.0}),
        ({"supervised": 2, "match": {"kind": "none"}}, {"supervised": 2.0}),
        (
            {"match": {"kind": "mmd", "prior": "structure", "positions": 9, "discriminator_rate": 1}},
            {"supervised": 1.0, "mmd": {"weight": 1e-3, "prior": "structure", "positions": 9}},
        ),
        (
            {"match": {"kind": "adversarial", "weight": 0.1, "positions": 9, "discriminator_rate": 1}},
            {"supervised": 1.0, "adversary": {"weight": 0.1, "rate": 1}},
        ),
        ({"objective": {"gradient": 1, "mmd": None}}, {"gradient": 1.0}),
    ],
)
def test_keys_of_version_0_3_are_terms(old, new):
    assert TrainConfig.model_validate({"name": "a", **old}).objective == new


def test_overrides_by_old_and_new_names_change_the_terms_of_both_kinds_of_files(tmp_path):
    (tmp_path / "old.yaml").write_text("name: a\ngradient: 1\nmatch: {weight: .5, positions: 9}\n")
    (tmp_path / "new.yaml").write_text(
        "name: a\nobjective: {supervised: 1, mmd: {weight: .5, positions: 9}, gradient: 1}\n"
    )
    for name in ("old", "new"):
        for overrides in (["gradient=3", "match.weight=.2"], ["objective.gradient=3", "objective.mmd.weight=.2"]):
            found = load_config(tmp_path / f"{name}.yaml", overrides).objective
            assert found == {"supervised": 1.0, "gradient": 3.0, "mmd": {"weight": 0.2, "positions": 9}}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "the objective has no terms"),
        ({"supervized": 1}, "objective.supervized is no term of an objective"),
        ({"mmd": {"wait": 1}}, "objective.mmd: wait is not known, expected one of: weight, prior, positions"),
        ({"mmd": {"prior": "odd"}}, "objective.mmd: prior: input should be 'normal' or 'structure', got 'odd'"),
        ({"gradient": -1}, "objective.gradient: weight: input should be greater than or equal to 0, got -1"),
        ({"nothing.here:Term": 1}, "nothing.here:Term cannot be imported"),
    ],
)
def test_invalid_terms_are_refused(terms, message):
    chosen = TrainConfig.model_validate({"name": "a", "model": TINY["model"], "objective": terms})
    with pytest.raises(ConfigError, match=message):
        make_objective(chosen, Team("cpu"))


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
def test_invalid_configurations_are_refused(text, overrides, message, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, overrides)


def test_an_unknown_configuration_lists_the_known_ones():
    with pytest.raises(ConfigError, match="cryowae-3"):
        load_config("nothing")


_GRADIENT = """
import sys, torch
from cryowae.config import ModelConfig
from cryowae.models import Autoencoder
from cryowae.objectives.autoencoder import _WithCodes
from cryowae.objectives.mmd import Mmd
from cryowae.objectives import Batch, StepInfo
from cryowae.objectives.term import Pass
from cryowae.train import Team

torch.manual_seed(0)
net = Autoencoder(ModelConfig(widths=(4, 4), codes=(2, 2), down=(1, 1), up=(1,), decode=(1, 1)))
x = torch.randn(8, 1, 8, 8, 8)
prior = [torch.randn(8, 2, 4, 4, 4), torch.randn(8, 2, 2, 2, 2)]
match = Mmd(weight=1.0, positions=8)
with Team("cpu") as team:
    size = 8 // team._size
    mine = slice(team.rank * size, (team.rank + 1) * size)
    generator = torch.Generator().manual_seed(1)
    model = team.share(_WithCodes(net, generator))
    restored, codes, _ = model(x[mine])
    drawn = [p[mine] for p in prior]
    made = Pass(Batch(x[mine]), codes, restored, net, generator, StepInfo(0), drawn_prior=drawn)
    (restored.square().mean() + match.cost(made)[0]).backward()
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
