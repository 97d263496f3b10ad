"""The command line: its files, its messages and its exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import cryowae
from cryowae import __version__
from cryowae.cli import app
from cryowae.io.mrc import write_mrc

SHAPE = (16, 32, 40)


def make_weights(folder: Path) -> Path:
    """A network of a few thousand untrained weights."""
    import torch

    from cryowae.config import ModelConfig, TrainConfig
    from cryowae.models import Autoencoder
    from cryowae.models.weights import write_weights

    torch.manual_seed(0)
    model = ModelConfig(widths=(4, 4, 4), codes=(2, 2, 2), down=(1, 1, 1), up=(1, 1), decode=(1, 1, 1))
    network = Autoencoder(model)
    write_weights(folder / "tiny.safetensors", network, TrainConfig(name="tiny", model=model), 0)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


def save(folder: Path, name: str = "tomo", shape=SHAPE, angles: bool = True) -> Path:
    """Noise with bright balls in a lattice."""
    z, y, x = (axis % 12 - 6 for axis in np.ogrid[tuple(slice(n) for n in shape)])
    volume = np.random.default_rng(0).normal(size=shape) + 4 * np.exp(-(z**2 + y**2 + x**2) / 8)
    write_mrc(folder / f"{name}.mrc", volume.astype(np.float32), voxel_size=10.0)
    if angles:
        (folder / f"{name}.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    return folder / f"{name}.mrc"


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_restore_writes_volume_and_picture_and_reports_them(tmp_path, weights):
    result = run("restore", save(tmp_path), "--model", weights)
    assert result.exit_code == 0, result.stderr
    assert sorted(os.listdir(tmp_path)) == ["tomo.mrc", "tomo.tlt", "tomo_restored.mrc", "tomo_restored.png"]
    for word in ("tomo_restored.mrc", "-60 to +60 degrees", "tomo.tlt", "10 Å", "inferred", "correlation"):
        assert word in result.stdout
    assert mrcfile.validate(tmp_path / "tomo_restored.mrc")


def test_every_option_is_accepted(tmp_path, weights):
    source = save(tmp_path, angles=False)
    rng, volume = np.random.default_rng(1), mrcfile.read(source)
    mask = np.clip(volume, 0, 1)
    for name, values in {"a": volume + rng.normal(size=SHAPE), "b": volume + rng.normal(size=SHAPE), "m": mask}.items():
        write_mrc(tmp_path / f"{name}.mrc", values.astype(np.float32), voxel_size=10.0)
    options = [
        *(
            "--half1",
            tmp_path / "a.mrc",
            "--half2",
            tmp_path / "b.mrc",
            "--tilt-range",
            "-50",
            "60",
            "--flip-tilt",
            "--axes",
            "zyx",
        ),
        *("--contrast", "dark", "--voxel-size", "12", "--model", weights, "--consistency", "soft", "--wedge", "leave"),
        *("--mask", tmp_path / "m.mrc", "--device", "cpu", "--window", "24", "--overlap", "8", "--no-report"),
        *("--output", tmp_path / "out.mrc", "--overwrite", "--float16", "--write-halves"),
        "--write-inferred",
    ]
    result = run("restore", source, *options)
    assert result.exit_code == 0, result.stderr
    assert sorted(p.name for p in tmp_path.glob("out*")) == [
        "out.mrc",
        "out_half1.mrc",
        "out_half2.mrc",
        "out_inferred.mrc",
    ]
    assert "-60 to +50 degrees" in result.stdout and "dark" in result.stdout
    with mrcfile.open(tmp_path / "out.mrc") as file:
        assert file.header.mode == 12 and file.voxel_size.x == pytest.approx(12)


def test_several_results_are_written_to_a_folder(tmp_path, weights):
    sources = [save(tmp_path, "a"), save(tmp_path, "b")]
    result = run("restore", *sources, "--model", weights, "--no-report", "--output", tmp_path / "out" / "here")
    assert result.exit_code == 0, result.stderr
    assert sorted(os.listdir(tmp_path / "out" / "here")) == ["a_restored.mrc", "b_restored.mrc"]


def test_one_result_is_written_to_a_folder_if_the_name_has_no_ending(tmp_path, weights):
    source = save(tmp_path, "a")
    result = run("restore", source, "--model", weights, "--no-report", "--output", tmp_path / "restored")
    assert result.exit_code == 0, result.stderr
    assert os.listdir(tmp_path / "restored") == ["a_restored.mrc"]


def test_one_failure_does_not_stop_the_other_tomograms(tmp_path, weights):
    good, bad = save(tmp_path, "good"), tmp_path / "bad.mrc"
    bad.write_bytes(b"")
    result = run("restore", bad, good, "--model", weights, "--no-report")
    assert result.exit_code == 1
    assert (tmp_path / "good_restored.mrc").is_file() and "bad.mrc" in result.stderr
    assert run("restore", bad, bad, "--model", weights, "--no-report").exit_code == 2


def test_results_of_one_name_do_not_overwrite_each_other(tmp_path, weights):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sources = [save(tmp_path / name) for name in ("one", "two")]
    result = run("restore", *sources, "--model", weights, "--output", tmp_path / "out", "--overwrite")
    assert result.exit_code == 2 and "would be a result of" in result.stderr


def test_info_describes_a_file(tmp_path):
    result = run("info", save(tmp_path))
    assert result.exit_code == 0, result.stderr
    for word in ("16 x 32 x 40", "10 Å", "tomo.tlt", "protein is bright", "spectrum"):
        assert word in result.stdout


def test_info_needs_no_angles_and_takes_a_range(tmp_path):
    source = save(tmp_path, angles=False)
    assert "no angles" in run("info", source).stdout
    assert "-40 to 50" in run("info", source, "--tilt-range", "-40", "50").stdout


def test_version_and_help_do_not_import_torch():
    code = (
        "import sys, typer.testing as t; from cryowae.cli import app; run = t.CliRunner().invoke;"
        "print(run(app, ['--version']).stdout, run(app, ['restore', '--help']).exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cryowae", __version__, "0", "False"]


def commands(command, *names):
    """Every command with its names."""
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, *names, name)
    if not hasattr(command, "commands"):
        yield " ".join(names), command


def test_every_argument_and_option_has_a_help_text():
    found = dict(commands(typer.main.get_command(app)))
    assert len(found) > 20
    for name, command in found.items():
        assert command.help and "----" not in command.help, name
        assert [p.name for p in command.params if not p.help] == [], name


def test_the_help_of_an_option_is_from_the_closest_docstring():
    helps = {name: {p.name: p.help for p in one.params} for name, one in commands(typer.main.get_command(app))}
    assert helps["simulate wedge"]["tilts"] == "Tilt angles; each keeps a thin slab."  # of the command
    assert "searched for beside the volume" in helps["info"]["tilts"]  # of the dataclass
    assert helps["simulate wedge"]["axes"] == helps["restore"]["axes"]  # of the base of the dataclass
    assert helps["train"]["overwrite"] != helps["simulate scene"]["overwrite"] == "Overwrite existing files."


def test_usage_errors_exit_with_2(tmp_path):
    assert run("restore").exit_code == 2
    assert run("restore", "a.mrc", "--contrast", "light").exit_code == 2
    assert run("restore", "a.mrc", "--tilt-range", "-60").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_train_passes_its_options_on(tmp_path, monkeypatch):
    import cryowae.train

    seen = {}

    def train(config, output, **options):
        seen.update(options, config=config, output=output)
        return output / "weights.safetensors"

    monkeypatch.setattr(cryowae.train, "train", train)
    (tmp_path / "small.yaml").write_text("name: small\nsteps: 10\n")
    options = ["--set", "steps=3", "--set", "data.batch=2", "--resume", "--output", tmp_path / "run", "--device", "cpu"]
    result = run("train", tmp_path / "small.yaml", *options)
    assert result.exit_code == 0, result.stderr
    assert seen["config"].steps == 3 and seen["config"].data.batch == 2
    assert seen["resume"] and not seen["overwrite"] and seen["output"] == tmp_path / "run"


def test_demo_exits_with_1_unless_the_result_is_better(tmp_path, monkeypatch):
    import cryowae.demo

    class Result:
        table, seconds, passed = "NCC", 1.0, False
        tomogram = truth = restored = picture = tmp_path / "demo.mrc"

    monkeypatch.setattr(cryowae.demo, "run_demo", lambda *_, **__: Result())
    assert run("demo", "--output", tmp_path).exit_code == 1
    Result.passed = True
    assert run("demo", "--output", tmp_path).exit_code == 0


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "cryowae", *map(str, words)]


def test_a_real_process_exits_with_2_and_one_line(tmp_path):
    done = subprocess.run(command("train", tmp_path / "none.yaml"), capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("cryowae: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_an_interrupted_process_leaves_nothing_behind(tmp_path, weights, number, code):
    source = save(tmp_path, shape=(64, 200, 200))
    before = sorted(os.listdir(tmp_path))
    words = command("restore", source, "--model", weights, "--window", 24, "--overlap", 16, "--device", "cpu")
    heard = partial(signal.signal, number, signal.SIG_DFL)  # in the background the signal may be ignored
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heard)
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) == len(before) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == code, complaint
    assert sorted(os.listdir(tmp_path)) == before
    assert "Traceback" not in complaint


def test_there_are_six_calls_from_the_command_to_the_network(tmp_path, weights, monkeypatch):
    """docs/inside.md walks through these calls."""
    from cryowae.models import Autoencoder

    package, paths, forward = Path(cryowae.__file__).parent, [], Autoencoder.forward

    def watched(self, observation):
        frames = [frame for frame, _ in traceback.walk_stack(None) if package in Path(frame.f_code.co_filename).parents]
        paths.append([frame.f_code.co_qualname for frame in reversed(frames)])
        return forward(self, observation)

    monkeypatch.setattr(Autoencoder, "forward", watched)
    assert run("restore", save(tmp_path), "--model", weights, "--no-report").exit_code == 0
    calls = paths[0][paths[0].index("restore") + 1 :]  # below the command; the network itself is the last call
    assert calls == [
        "restore_tomogram",
        "restore_array",
        "apply_tiled",
        "WindowNetwork.__call__",
        "RestorationModel.__call__",
    ]


def test_one_tilt_file_does_not_silently_serve_several_tomograms(tmp_path, weights):
    one, two = save(tmp_path, "TS_1_full", angles=False), save(tmp_path, "TS_2_full", angles=False)
    angles = tmp_path / "TS_1.tlt"
    angles.write_text("".join(f"{t}\n" for t in range(-60, 61, 3)))
    before = sorted(os.listdir(tmp_path))
    result = run("restore", one, two, "--model", weights, "--tilts", angles)
    assert result.exit_code == 2 and "TS_2_full.mrc has another name" in result.stderr and "NAME.tlt" in result.stderr
    assert sorted(os.listdir(tmp_path)) == before
    bin4 = save(tmp_path, "TS_1_bin4", angles=False)  # the angles of one series, for two volumes of this series
    result = run("restore", one, bin4, "--model", weights, "--tilts", angles, "--no-report")
    assert result.exit_code == 0, result.stderr
