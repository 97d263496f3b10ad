"""`fit_weights` with a tiny network: what is written, when it ends, how it is resumed, what is refused."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from fit_parts import ANGLES, PHYSICS, SHAPE, Told, item_from, noise_of, objective_file, observe, scene_of
from safetensors.numpy import save_file
from test_cli import make_weights

import cryowae.fit as fit
from cryowae.config import TrainConfig
from cryowae.config.options import FitOptions
from cryowae.errors import CheckpointError, ConfigError, CryowaeError, OutputError, TiltError, TomogramError
from cryowae.fit import fit_weights
from cryowae.fit.preview import Preview
from cryowae.fit.selection import Selection
from cryowae.fit.source import Rehearsal
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.mrc import write_mrc
from cryowae.models.weights import load_model
from cryowae.progress import SILENT

STEPS, EVERY = 6, 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def scene():
    """A tomogram and its halves, protein bright."""
    observation = observe(scene_of(SHAPE))[1]
    return observation.tomogram(1.0).numpy(), tuple(half.numpy() for half in observation.halves(1.0))


@pytest.fixture
def quick(monkeypatch):
    """Six steps with three judgements, physics without simulation, no pictures, float32."""

    def planned(config, *_):
        return config.model_copy(update={"steps": STEPS, "save_every": EVERY, "log_every": 1})

    monkeypatch.setattr(fit, "_planned", planned)
    monkeypatch.setattr("cryowae.fit.configuration.measure_physics", lambda *_: PHYSICS)
    monkeypatch.setattr("cryowae.fit.configuration.is_fast_in_half", lambda device: False)
    monkeypatch.setattr(Preview, "draw", lambda self, path, *_: path.write_bytes(b"picture"))


@pytest.fixture
def scored(monkeypatch):
    """Scores by judgement, in place of those of the judges; -1 for the weights at the start."""

    def give(*scores):
        left = list(scores)
        monkeypatch.setattr(Selection, "_score", lambda self, model: left.pop(0))

    return give


class Stop(Rehearsal):
    """Raises an error when the batch of a step is asked for, the first time."""

    at, error = 0, KeyboardInterrupt

    def batch(self, step):
        if step == type(self).at:
            type(self).at = -1
            raise type(self).error
        return super().batch(step)


def start(folder, volume, weights, output="mine.safetensors", terms=None, crops=64, **options):
    """Run a fit with the tiny objective."""
    given = {"objective": str(objective_file(folder, terms, crops_per_scene=crops)), "device": "cpu"} | options
    items = volume if isinstance(volume, list) else [item_from(volume)]
    return fit_weights(items, folder / output, FitOptions(**given), model=weights)


def scores_of(folder):
    with (folder / "held-out.csv").open() as file:
        return {int(row["step"]): float(row["score"]) for row in csv.DictReader(file)}


def arrays(path):
    return read_checkpoint(path)[0]


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


# ---- what is written


@pytest.mark.usefixtures("quick")
def test_the_best_weights_are_written_and_can_be_used(tmp_path, scene, weights, scored):
    scored(0.1, 0.2, 0.4, 0.3)
    result = start(tmp_path, scene[0], weights)
    assert (result.before, result.after, result.steps, result.improved) == (0.1, 0.4, STEPS, True)
    assert scores_of(result.folder) == {0: 0.1, 2: 0.2, 4: 0.4, 6: 0.3}
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine.fit",
        "mine.png",
        "mine.safetensors",
        "objective.yaml",
    }
    files = {"best.safetensors", "last.safetensors", "config.yaml", "log.csv", "held-out.csv", "preview.png"}
    assert {path.name for path in result.folder.iterdir()} == files
    assert read_checkpoint(result.path)[1]["step"] == 4
    model = load_model(result.path, "cpu")
    assert model.voxel_sizes == (8.0, 20.0) and model(torch.zeros(1, 1, 16, 16, 16)).isfinite().all()
    config = TrainConfig(**yaml.safe_load((result.folder / "config.yaml").read_text()))
    assert config.options["tomograms"][0].endswith("tomo.mrc") and config.start_from == str(weights)
    assert config.options["physics"][0]["snr"] == PHYSICS.snr and result.physics == (PHYSICS,)
    assert "18 degrees" in result.question


@pytest.mark.usefixtures("quick")
def test_the_weights_at_the_start_are_written_if_nothing_is_better(tmp_path, scene, weights, scored):
    scored(0.5, 0.2, 0.4, 0.5)
    result = start(tmp_path, scene[0], weights)
    assert (result.before, result.after, result.improved) == (0.5, 0.5, False)
    assert result.path.read_bytes() == weights.read_bytes()


@pytest.mark.usefixtures("quick")
def test_the_fit_ends_in_its_second_half_after_three_scores_that_are_not_better(
    tmp_path, scene, weights, scored, monkeypatch
):
    monkeypatch.setattr(
        fit, "_planned", lambda config, *_: config.model_copy(update={"steps": 20, "save_every": 1, "log_every": 1})
    )
    scored(0.1, *[0.05] * 9, 0.3, 0.29, 0.3, 0.1, 9.0)
    result = start(tmp_path, scene[0], weights)
    assert list(scores_of(result.folder)) == list(range(14)) and result.steps == 13
    assert read_checkpoint(result.path)[1]["step"] == 10


@pytest.mark.usefixtures("quick")
def test_weights_that_are_not_finite_never_win(tmp_path, scene, weights, monkeypatch):
    scores = iter([0.1, np.nan, 0.2, np.nan])
    monkeypatch.setattr("cryowae.fit.judge.ComponentJudge.score", lambda self, model: next(scores))
    result = start(tmp_path, scene[0], weights)
    assert result.after == 0.2 and read_checkpoint(result.path)[1]["step"] == 4


@pytest.mark.usefixtures("quick")
def test_the_score_is_the_mean_over_the_tomograms(tmp_path, scene, weights, monkeypatch):
    by_name = {"a.mrc": 0.1, "b.mrc": 0.3}
    monkeypatch.setattr(
        "cryowae.fit.judge.ComponentJudge.score", lambda self, model: by_name[self.item.tomogram.path.name]
    )
    result = start(tmp_path, [item_from(scene[0], name=name) for name in by_name], weights)
    assert result.before == pytest.approx(0.2) and result.physics == (PHYSICS, PHYSICS)


@pytest.mark.usefixtures("quick")
def test_random_weights_can_be_the_start(tmp_path, scene, weights):
    model = {"widths": [4, 4, 4], "codes": [2, 2, 2], "down": [1, 1, 1], "up": [1, 1], "decode": [1, 1, 1]}
    path = objective_file(tmp_path)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "model": model}))
    options = FitOptions(objective=str(path), from_scratch=True, device="cpu")
    result = fit_weights([item_from(scene[0])], tmp_path / "new.safetensors", options, model="no such weights")
    assert result.before == -np.inf and result.improved and np.isfinite(result.after)
    assert load_model(result.path, "cpu").voxel_sizes == (10.0, 10.0)


@pytest.mark.usefixtures("quick")
def test_weights_learn_the_voxel_size_of_the_tomogram(tmp_path, scene, weights):
    """Finer than those of the training: otherwise the adapted weights would be used at another size."""
    item = item_from(scene[0])
    object.__setattr__(item.tomogram, "voxel_size", 6.0)
    result = start(tmp_path, [item], weights)
    assert read_checkpoint(result.folder / "last.safetensors")[1]["config"]["data"]["voxel_sizes"] == [6.0, 20.0]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "terms", [{"fidelity": 1.0, "equivariance": {"weight": 0.5, "wedge_weight": 3.0}}, {"supervised": 1.0, "mmd": 0.01}]
)
def test_objectives_from_a_file(tmp_path, scene, weights, terms):
    volume, halves = scene
    result = start(tmp_path, [item_from(volume, halves)], weights, terms=terms, rotations="half-turns")
    with (result.folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == STEPS and set(terms) - {"mmd"} <= set(rows[0])
    kept = yaml.safe_load((result.folder / "config.yaml").read_text())["objective"]
    if "equivariance" in terms:
        assert kept["equivariance"] == {"rotations": "half-turns", "weight": 0.5, "wedge_weight": 3.0}
        assert all(0 < float(row["fidelity"]) < 100 for row in rows)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("named", [False, True])
def test_scenes_have_the_known_structures_of_the_weights(tmp_path, scene, weights, monkeypatch, named):
    """Those whose files exist here, unless the objective names its own."""
    z, y, x = np.mgrid[:24, :24, :24] - 11.5
    write_mrc(tmp_path / "ball.mrc", np.float32(z**2 + y**2 + x**2 < 40), voxel_size=10.0)
    monkeypatch.setenv("CRYOWAE_DATA", str(tmp_path))
    tensors, metadata = read_checkpoint(weights)
    metadata["config"]["data"] |= {"structures": ["ball.mrc", "lost.mrc"], "procedural": 0.25}
    write_checkpoint(tmp_path / "w.safetensors", tensors, metadata)
    objective = objective_file(tmp_path, **({"structures": []} if named else {}))
    options = FitOptions(objective=str(objective), device="cpu")
    told = Told()
    result = fit_weights(
        [item_from(scene[0])], tmp_path / "m.safetensors", options, model=tmp_path / "w.safetensors", progress=told
    )
    data = yaml.safe_load((result.folder / "config.yaml").read_text())["data"]
    assert (data["structures"], data["procedural"]) == (([], 0.5) if named else (["ball.mrc"], 0.25))
    assert any(("invented structures alone" if named else "1 known structures") in line for line in told.lines)


@pytest.mark.usefixtures("quick")
def test_rotations_in_the_file_win(tmp_path, scene, weights):
    result = start(tmp_path, scene[0], weights, terms={"supervised": 1.0, "equivariance": {"rotations": "full"}})
    assert yaml.safe_load((result.folder / "config.yaml").read_text())["objective"]["equivariance"] == {
        "rotations": "full"
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("terms", "count"), [({"supervised": 1.0}, 0), ({"supervised": 1.0, "equivariance": 1.0}, 1)])
def test_own_data_that_have_the_tilts_of_the_judge_are_said(tmp_path, scene, weights, scored, terms, count):
    scored(0.1, 0.2, 0.3, 0.4)
    images = np.random.default_rng(0).normal(size=(21, 48, 80)).astype(np.float32)
    write_mrc(tmp_path / "TS.st", images, voxel_size=10.0)
    (tmp_path / "TS.tlt").write_text("".join(f"{angle}\n" for angle in ANGLES))
    series = {"series": tmp_path / "TS.st", "series_tilts": tmp_path / "TS.tlt"}
    result = start(tmp_path, scene[0], weights, terms=terms, **series)
    assert "images that were left out" in result.question
    assert sum("the score is too high" in note for note in result.notes) == count


# ---- interrupted and resumed


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("at", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_resumed_fit_is_that_without_interruption_to_the_bit(tmp_path, scene, weights, monkeypatch, at):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    how = {"output": "w.safetensors", "crops": 4}  # a new scene every two steps
    straight = start(tmp_path / "a", scene[0], weights, **how)
    monkeypatch.setattr(fit, "Rehearsal", Stop)
    monkeypatch.setattr(Stop, "at", at)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "b", scene[0], weights, **how)
    assert read_checkpoint(tmp_path / "b/w.fit/last.safetensors")[1]["step"] == at
    resumed = start(tmp_path / "b", scene[0], weights, **how, resume=True)
    assert scores_of(straight.folder) == scores_of(resumed.folder) and len(scores_of(resumed.folder)) == 4
    assert straight.path.read_bytes() == resumed.path.read_bytes()
    one, two = (arrays(result.folder / "last.safetensors") for result in (straight, resumed))
    assert same({k: v for k, v in one.items() if k != "state"}, {k: v for k, v in two.items() if k != "state"})
    assert (straight.before, straight.after) == (resumed.before, resumed.after) and resumed.steps == STEPS


@pytest.mark.usefixtures("quick")
def test_ctrl_c_writes_the_best_weights_so_far(tmp_path, scene, weights, scored, monkeypatch):
    monkeypatch.setattr(fit, "Rehearsal", Stop)
    monkeypatch.setattr(Stop, "at", 5)
    scored(0.1, 0.3, 0.2)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, scene[0], weights)
    assert read_checkpoint(tmp_path / "mine.safetensors")[1]["step"] == 2
    assert read_checkpoint(tmp_path / "mine.fit/last.safetensors")[1]["step"] == 5


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ConfigError("wrong")])
def test_a_stop_before_the_first_judgement_writes_no_weights(tmp_path, scene, weights, monkeypatch, error):
    monkeypatch.setattr(fit, "Rehearsal", Stop)
    monkeypatch.setattr(Stop, "at", 1)
    monkeypatch.setattr(Stop, "error", error)
    with pytest.raises((KeyboardInterrupt, ConfigError)):
        start(tmp_path, scene[0], weights)
    assert not (tmp_path / "mine.safetensors").exists() and not (tmp_path / "mine.png").exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("where", ["score", "write"])
def test_ctrl_c_in_the_last_judgement_is_made_good(tmp_path, scene, weights, monkeypatch, where):
    """The last weights are scored when the fit is resumed, and written if they are the best."""
    scores = iter([0.1, 0.2, 0.3, "stop", 0.4] if where == "score" else [0.1, 0.2, 0.3, 0.4, 0.4])

    def score(self, model):
        value = next(scores)
        if value == "stop":
            raise KeyboardInterrupt
        return value

    monkeypatch.setattr(Selection, "_score", score)
    if where == "write":
        write = fit.selection.write_weights

        def once(path, network, config, steps):
            if steps == STEPS:
                monkeypatch.setattr(fit.selection, "write_weights", write)
                raise KeyboardInterrupt
            write(path, network, config, steps)

        monkeypatch.setattr(fit.selection, "write_weights", once)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, scene[0], weights)
    assert read_checkpoint(tmp_path / "mine.safetensors")[1]["step"] == 4
    result = start(tmp_path, scene[0], weights, resume=True)
    assert result.after == 0.4 and read_checkpoint(result.path)[1]["step"] == STEPS
    assert scores_of(result.folder) == {0: 0.1, 2: 0.2, 4: 0.3, 6: 0.4}


@pytest.mark.usefixtures("quick")
def test_a_fit_that_ended_is_not_trained_further(tmp_path, scene, weights, scored):
    scored(0.1, 0.2, 0.3, 0.4)
    first = start(tmp_path, scene[0], weights)
    before = first.path.read_bytes()
    again = start(tmp_path, scene[0], weights, resume=True)
    assert again.path.read_bytes() == before and again.steps == STEPS and again.after == 0.4


@pytest.mark.usefixtures("quick")
def test_a_new_fit_over_an_old_one_leaves_nothing_of_it_to_resume(tmp_path, scene, weights, monkeypatch):
    start(tmp_path, scene[0], weights)
    monkeypatch.setattr(fit, "_planned", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, scene[0], weights, overwrite=True)
    with pytest.raises(CheckpointError, match="nothing to resume"):
        start(tmp_path, scene[0], weights, resume=True)


# ---- the plan


def test_the_plan_fills_the_time(monkeypatch):
    """Steps of 2 seconds, judgements of 5: of 100 seconds, 18 go to the trial, 15 to judgements, 66 to steps."""
    clock = SimpleNamespace(now=0.0)

    class Objective:
        def step(self, batch, info):
            clock.now += 2

    monkeypatch.setattr(fit, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(fit, "make_objective", lambda *_: Objective())
    source = SimpleNamespace(batch=lambda step: None)
    told = Told()
    plan = fit._planned(TrainConfig(name="x"), source, None, 100.0, 5.0, told)
    assert (plan.steps, plan.save_every, plan.log_every) == (33, 11, 1)
    assert told.lines == ["planned: 33 steps of 2.0 s, and 3 judgements of 5 s"]
    assert fit._planned(TrainConfig(name="x"), source, None, 1.0, 5.0, SILENT).steps == 8  # never fewer
    assert fit._planned(TrainConfig(name="x"), source, None, 1e5, 5.0, SILENT).save_every == -(-49971 // 8)


# ---- what is refused, before the long work


@pytest.fixture
def no_work(monkeypatch):
    def fails(*_):
        raise AssertionError("the long work has begun")

    monkeypatch.setattr("cryowae.fit.configuration.measure_physics", fails)


def refused(kind, words, function):
    with pytest.raises(kind, match=words) as error:
        function()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("no_work")
def test_outputs_are_checked_first(tmp_path, scene, weights):
    missing = [tmp_path / "no such tomogram.mrc"]  # it is not even opened
    for name in ("mine", "mine.mrc"):
        refused(OutputError, "expected the name of weights", lambda name=name: start(tmp_path, missing, weights, name))
    (tmp_path / "old.png").touch()
    refused(OutputError, r"old\.png exists already", lambda: start(tmp_path, missing, weights, "old.safetensors"))
    (tmp_path / "run.fit").mkdir()
    (tmp_path / "run.fit/last.safetensors").touch()
    refused(OutputError, "holds a run already", lambda: start(tmp_path, missing, weights, "run.safetensors"))
    refused(OutputError, "is not a folder", lambda: start(tmp_path, missing, weights, "old.png/w.safetensors"))
    refused(CheckpointError, "nothing to resume", lambda: start(tmp_path, missing, weights, resume=True))


@pytest.mark.usefixtures("no_work")
def test_the_weights_at_the_start_are_not_overwritten(tmp_path, scene):
    own = make_weights(tmp_path)
    refused(OutputError, "is an input", lambda: start(tmp_path, scene[0], own, own.name, overwrite=True))


@pytest.mark.usefixtures("no_work")
def test_weights_of_another_kind_are_refused(tmp_path, scene):
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    baseline = {"config": {"model": "wae-mmd", "data": "mnist"}, "kind": "weights"}
    write_checkpoint(tmp_path / "baseline.safetensors", {"network.a": np.zeros(3, np.float32)}, baseline)
    write_checkpoint(tmp_path / "bare.safetensors", {"a": np.zeros(3, np.float32)}, {})
    for name, words in (
        ("foreign", "another program"),
        ("baseline", "holds no restoration"),
        ("bare", "holds no rest"),
    ):
        path = tmp_path / f"{name}.safetensors"
        refused(CheckpointError, words, lambda path=path: start(tmp_path, scene[0], path))
    refused(CheckpointError, "no weights 'none'", lambda: start(tmp_path, scene[0], "none"))


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"fidelity": 1.0}, "compares two halves; give --half1 and --half2"),
        ({"wrong": 1.0}, "objective.wrong is no term"),
        ({"supervised": {"weigth": 1.0}}, "weigth is not known"),
        ("test_extending:Smallest", "expected terms"),
    ],
)
def test_objectives_that_cannot_be_used_are_refused(tmp_path, scene, weights, terms, words):
    refused(ConfigError, words, lambda: start(tmp_path, scene[0], weights, terms=terms))


@pytest.mark.usefixtures("no_work")
def test_files_that_are_no_objective_are_refused(tmp_path, scene, weights):
    path = tmp_path / "mine.yaml"
    for text, words in (("- 1\n", "expected names"), ("data: 3\n", "got 3 for data"), ("stepps: 1\n", "not known")):
        path.write_text(text)
        refused(ConfigError, words, lambda: start(tmp_path, scene[0], weights, objective=str(path)))
    refused(ConfigError, "no configuration 'none'", lambda: start(tmp_path, scene[0], weights, objective="none"))
    (tmp_path / "large").mkdir()
    large = objective_file(tmp_path / "large", crop=32)
    refused(ConfigError, "expected a crop that fits", lambda: start(tmp_path, scene[0], weights, objective=str(large)))


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"volume": np.ones((32, 48, 80), np.float32)}, TomogramError, "is constant"),
        ({"volume": noise_of((24, 24, 40))[0]}, TomogramError, "too small to fit"),
        ({"voxel_size": 100.0}, TomogramError, "resampling by more than 2"),
        ({"wedge": None}, TiltError, "is not known"),
    ],
)
def test_tomograms_that_cannot_be_used_are_refused(tmp_path, scene, weights, change, kind, words):
    item = item_from(change.pop("volume", scene[0]))
    for name, value in change.items():
        object.__setattr__(item.tomogram, name, value)
    second = [item_from(scene[0], name="a.mrc"), item]
    refused(kind, words, lambda: start(tmp_path, second, weights, terms={"supervised": 1.0, "equivariance": 1.0}))


@pytest.mark.usefixtures("no_work")
def test_other_input_that_does_not_fit_is_refused(tmp_path, scene, weights):
    refused(ConfigError, "got no tomogram", lambda: start(tmp_path, [], weights))
    two = [item_from(scene[0]), item_from(scene[0])]
    write_mrc(tmp_path / "TS.st", np.ones((21, 48, 80), np.float32), voxel_size=10.0)
    refused(
        ConfigError, "one --series and 2 tomograms", lambda: start(tmp_path, two, weights, series=tmp_path / "TS.st")
    )
    refused(ConfigError, "device 'none'", lambda: start(tmp_path, scene[0], weights, device="none"))
    for minutes in (0.5, float("nan"), 1e9):
        refused(ConfigError, "--minutes", lambda minutes=minutes: FitOptions(minutes=minutes))
    refused(ConfigError, "no --series", lambda: FitOptions(series_tilts=tmp_path / "a.tlt"))


@pytest.mark.usefixtures("quick")
def test_a_fit_is_resumed_only_with_its_own_tomograms(tmp_path, scene, weights, scored):
    scored(0.1, 0.2, 0.3, 0.4)
    start(tmp_path, scene[0], weights)
    other = [item_from(scene[0], name="other.mrc")]
    refused(CheckpointError, "give the same files", lambda: start(tmp_path, other, weights, resume=True))
    path = tmp_path / "mine.fit/config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "options": {}}))
    refused(CheckpointError, "is not the run of a fit", lambda: start(tmp_path, scene[0], weights, resume=True))


def test_a_tomogram_of_pure_noise_is_refused(tmp_path, weights):
    volume = noise_of(SHAPE).mean(0)
    refused(CryowaeError, "no signal above the noise", lambda: start(tmp_path, volume, weights))
    assert not (tmp_path / "mine.safetensors").exists() and not (tmp_path / "mine.fit").exists()


# ---- all of it


def test_a_whole_fit_with_physics_judges_plan_and_pictures(tmp_path, scene, weights, monkeypatch):
    """Nothing is replaced but the number of steps, and the score rises: the start has never learned anything."""
    monkeypatch.setattr(fit, "_TRIED", 1)
    monkeypatch.setattr(fit, "_FEWEST", 4)
    monkeypatch.setattr(fit, "_JUDGEMENTS", (2, 2))
    original = fit._planned
    monkeypatch.setattr(fit, "_planned", lambda *words: original(*words[:3], 0.0, *words[4:]))
    result = start(tmp_path, scene[0], weights)
    assert result.steps == 4 and list(scores_of(result.folder)) == [0, 2, 4]
    assert result.physics[0].angles == ANGLES and 0.2 < result.physics[0].snr < 5
    assert all(path.stat().st_size > 20_000 for path in (result.picture, result.folder / "preview.png"))
    assert load_model(result.path, "cpu").voxel_sizes == (8.0, 20.0)
