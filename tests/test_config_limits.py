"""Values of configurations that cannot work are refused by one line, before any work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cryowae.config import baseline_config, load_config, load_scene, load_suite
from cryowae.config.files import check, read_values, shipped
from cryowae.config.training import TrainConfig
from cryowae.errors import ConfigError, TomogramError
from cryowae.train import Team, make_objective, make_source

BEYOND = 10**30
LOADERS = {
    "train": partial(load_config, "cryowae-3"),
    "scene": partial(load_scene, "crowded"),
    "suite": partial(load_suite, "quick"),
    "baseline": partial(baseline_config, "mnist", "wae-mmd", "fixed"),
}


def every_shipped() -> list[tuple[Callable[[Path], Any], Path]]:
    folder = shipped()
    groups = {
        "scenes": load_scene,
        "benchmark": load_suite,
        "fit": lambda path: check(TrainConfig, *read_values(path, "")),
    }
    found = [(load, path) for group, load in groups.items() for path in (folder / group).glob("*.yaml")]
    return [*found, (load_config, folder / "cryowae-3.yaml")]


@pytest.mark.parametrize(("load", "path"), every_shipped(), ids=lambda value: getattr(value, "stem", ""))
def test_every_shipped_configuration_is_accepted(load, path):
    assert load(path).name


@pytest.mark.parametrize(
    ("kind", "assignment"),
    [
        *(("train", f"data.snr={pair}") for pair in ("[2,.1]", "[0,1]", "[-1,1]", "[.1,.inf]", "[1]", "[1,2,3]")),
        *(("train", f"data.voxel_sizes={pair}") for pair in ("[20,8]", "[0,8]", "[-8,8]", "[.001,8]")),
        *(("train", f"data.occupancy={pair}") for pair in ("[.3,.1]", "[0,.1]", "[.1,2]")),
        *(("train", f"data.tilts={t}") for t in ("[60,-60,3]", "[-60,60,0]", "[-60,60,1e-7]", "[-90,90,3]", "[0,1,2]")),
        *(("train", f"data.scene={s}") for s in ("[1,1,1]", "[0,64,64]", "[64,64]", f"[{10**5},64,64]", "[32,64,64]")),
        *(("train", f"data.crop={n}") for n in (0, -8, 12, BEYOND)),
        *(("train", f"data.batch={n}") for n in (0, -1, 1.5, "yes", BEYOND)),
        *(("train", f"data.{name}=-1") for name in ("pool", "crops_per_scene", "workers", "faint", "plain", "empty")),
        *(("train", f"data.gains={v}") for v in ("[]", "[1]", "[1,-1]")),
        *(("train", f"data.angles={v}") for v in ("[]", "[1]", "[3,2]", "[1,1]", "[-95,0]", "[2020-01-01,2020-01-02]")),
        *(("train", f"model.widths={v}") for v in ("[]", "[8]", "[0,8,8]", "[-1,8,8]", f"[8,8,{BEYOND}]", "8")),
        *(("train", f"model.{n}=[1,1,1,1]") for n in ("codes", "down", "up", "decode")),
        *(("train", f"model.{n}=[]") for n in ("codes", "down", "up", "decode")),
        *(("train", f"steps={v}") for v in (0, -1, BEYOND, "true", "2020-01-01", "[]", "{}", "many")),
        *(("train", f"seed={v}") for v in (-1, 2**63, BEYOND, "1.5")),
        *(("train", f"{n}=-1") for n in ("rate", "kernel_rate", "warmup", "decay", "clip", "threads", "log_every")),
        *(("train", f"rate={v}") for v in (".nan", ".inf", 0, 1e9)),
        *(("train", f"name={v}") for v in ('"a\\0b"', '""', "a/b", "..", '"a\\nb"', "x" * 300, "[a]")),
        *(("scene", f"shape={s}") for s in ("[1,1]", "[0,9,9]", f"[{BEYOND},9,9]", "[-5,9,9]", "9")),
        *(("scene", f"imaging.tilts={t}") for t in ("[60,-60,3]", "[-60,60,1e-7]", "[-60,60,-3]", "[-60,60]")),
        *(("scene", f"imaging.angles={t}") for t in ("[5]", "[5,4]", "[-60,.nan]")),
        *(("scene", f"{n}=-1") for n in ("seed", "voxel_size", "thickness", "above", "membranes", "beads", "ice")),
        *(("scene", f"{n}={BEYOND}") for n in ("seed", "membranes", "beads", "bead_diameter", "molecules.procedural")),
        *(("scene", f"imaging.{n}=.nan") for n in ("snr", "growth", "defocus", "voltage", "cs", "dose")),
        *(("scene", f"name={v}") for v in ('"a\\0b"', "a/b", "..")),
        *(("suite", f"seeds={v}") for v in ("[]", "[-1]", f"[{2**63}]", "[1,1]", "1")),
        *(("suite", v) for v in ("crop=-1", "crop=32", f"crop={BEYOND}", "scenes=[]", "methods=5")),
        *(("baseline", f"{n}=-1") for n in ("epochs", "batch", "rate", "code", "weight", "shift", "critic_steps")),
        *(("baseline", f"{n}={BEYOND}") for n in ("epochs", "batch", "rate", "code", "weight", "seed", "images")),
        *(("baseline", f"{n}=[1]") for n in ("betas", "scales.0")),
        *(("baseline", f"scales={v}") for v in ("[]", "[0]", "[-1]", "[.inf]")),
        *(
            ("train", v)
            for v in (
                "objective={1: 2}",
                "objective.mmd=[1]",
                "=1",
                "data..snr=1",
                "a.b.c.d.e.f.g.h.i.j.k=1",
                "data=5",
                "steps=!!python/name:a 5",
            )
        ),
    ],
)
def test_a_value_beyond_its_limits_is_refused(kind, assignment):
    with pytest.raises(ConfigError) as refused:
        LOADERS[kind]([assignment])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600


def test_a_range_may_be_one_value_and_an_integer_may_be_a_number():
    assert load_config("cryowae-3", ["data.snr=[1,1]", "rate=1", "seed=9223372036854775807"]).data.snr == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nsteps: !!int 5", "the tag tag:yaml.org,2002:int"),
        ("name: !secret a", "the tag !secret"),
        ("name: a\noptions: " + "[" * 5000 + "]" * 5000, "more than 30 levels"),
        ("name: a\noptions: {a: " + "{a: " * 900 + "1" + "}" * 901, "more than 30 levels"),
        (
            "name: a\noptions:\n  x0: &x0 [1, 1]\n"
            + "".join(f"  x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 20)),
            "some by aliases",
        ),
        (
            "name: a\noptions:\n  x0: &x0 [1]\n" + "".join(f"  x{i}: &x{i} [*x{i - 1}]\n" for i in range(1, 2000)),
            "some by aliases",
        ),
        ("name: a\noptions: &x [*x]", "an alias within"),
        ("name: a\noptions: {x: *nothing}", "undefined alias"),
        ("name: a\nsteps: 3\nsteps: 4", "steps twice"),
        ("name: a\nsteps: " + "9" * 5000, "is not YAML"),
        ("name: a\nsteps: 2020-01-01", "steps: input should be a valid integer"),
        ('name: "a\\0b"', "control characters"),
        ("name: a\n#" + "x" * 1_100_000, "at most 1000000"),
        ("{[1]: 2}", "unhashable"),
        ("name: \0", "is not YAML"),
        ("", "expected names with values"),
        ("--- {name: a}\n--- {name: b}", "is not YAML"),
    ],
)
def test_yaml_that_no_configuration_needs_is_refused(text, message, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as refused:
        load_config(path)
    assert "\n" not in str(refused.value)


def test_aliases_and_merges_are_understood(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "name: a\ndata: &d {pool: 3}\noptions: {x: {<<: *d, pool: 4}, y: &e {<<: *d, z: 1, pool: 5}, w: {<<: *e}}"
    )
    assert load_config(path).options == {"x": {"pool": 4}, "y": {"pool": 5, "z": 1}, "w": {"pool": 5, "z": 1}}


def test_a_file_that_may_not_be_read_or_is_not_text(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(path)
    with pytest.raises(ConfigError, match="no configuration"):
        load_config("a\0b")


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["data.scene=[2000,2000,2000]"], "a pool of 12 scenes of 2000 x 2000 x 2000 voxels"),
        (["data.batch=10000", "data.scene=[512,512,512]", "data.crop=512"], "batches of 10000 x 512³"),
        (["model.widths=[1024,1024,1024]", "model.down=[32,32,32]", "model.decode=[32,32,32]"], "a network of"),
    ],
)
def test_a_training_that_does_not_fit_into_memory_is_refused(assignments, said):
    config = load_config("cryowae-3", [*assignments, "data.structures=[]"])
    with pytest.raises(TomogramError, match=f"{said}.* GB of memory"):
        (make_objective if "network" in said else make_source)(config, Team("cpu"))
