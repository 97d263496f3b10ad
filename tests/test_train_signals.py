"""A training that is stopped at any moment, and resumed, ends as if it had not been stopped."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from baseline_parts import blobs
from baseline_parts import config as baseline

from cryowae.baselines import train_baseline
from cryowae.baselines.digits import RestorerConfig, train_restorer
from cryowae.config import TrainConfig
from cryowae.io.checkpoint import read_checkpoint
from cryowae.objectives import Batch, BatchSource
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.progress import Progress
from cryowae.train import train
from cryowae.train.loop import watch_signals

SOURCE = "test_train_signals:Smooth"
MODEL = {"widths": [8, 8, 8], "codes": [2, 2, 2]}
TINY = {"name": "tiny", "steps": 6, "warmup": 2, "log_every": 4, "save_every": 3, "precision": "float32"}


class Smooth(BatchSource):
    """Smooth random volumes."""

    def __init__(self, config, team):
        self.seed = config.seed

    def batch(self, step):
        white = torch.randn(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1000 * self.seed + step))
        truth = torch.nn.functional.avg_pool3d(white, 3, 1, 1)
        return Batch(truth + 0.1 * white, truth)


def volumes(folder, **options):
    config = {**TINY, "source": SOURCE, "model": MODEL, "objective": {"supervised": 1, "adversary": 0.01}}
    train(TrainConfig.model_validate(config), folder, device="cpu", **options)


def images(folder, **options):
    train_baseline(baseline("wae-gan"), blobs(64), folder, device="cpu", **options)


def digits(folder, **options):
    train_restorer(RestorerConfig(match="mmd", steps=3), blobs(64), folder, device="cpu", **options)


@pytest.fixture(autouse=True)
def handlers():
    """Signals as in a terminal: a shell starts background jobs with SIGINT ignored."""

    def terminate(number, frame):
        raise SystemExit(128 + number)

    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate, signal.SIGHUP: terminate}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def contents(folder):
    """All networks of a run, with all digits, and its log without times."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        arrays = {name: value for name, value in read_checkpoint(path)[0].items() if name != "state"}
        found[path.name] = {name: (str(value.dtype), value.tobytes()) for name, value in arrays.items()}
    for path in sorted(folder.glob("log*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        found[path.name] = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return found


def call(act, stop_at=0, number=signal.SIGINT, twice=0):
    """Do it, with a signal at one moment: calls of functions are counted. Returns their number, 0 if it was stopped."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += 1
        if calls in (stop_at, stop_at + twice):
            signal.raise_signal(number)

    sys.setprofile(count)
    try:
        act()
    except (KeyboardInterrupt, SystemExit):
        return 0
    finally:
        sys.setprofile(None)
        torch.set_grad_enabled(True)  # a second signal may come while PyTorch sets it; a process would end there
    return calls


SOON = pytest.param(50, marks=pytest.mark.slow, id="a second one soon")


@pytest.mark.parametrize("twice", [pytest.param(0, id="one signal"), SOON])
@pytest.mark.parametrize("run", [volumes, images, digits])
def test_stops_at_random_moments_change_no_digit(run, twice, tmp_path, monkeypatch):
    monkeypatch.setattr("cryowae.train.draw_training_curves", lambda *_: None)  # most of the calls would be drawing
    monkeypatch.setattr("cryowae.train._Gallery._draw", lambda *_: None)
    rng, stops = random.Random(f"{run.__name__} {twice}"), 0
    run(tmp_path / "straight")
    calls = call(lambda: run(tmp_path / "again"))
    assert contents(tmp_path / "again") == contents(tmp_path / "straight")
    for number in range(5):
        folder = tmp_path / str(number)
        for moment in (rng.randrange(calls), rng.randrange(calls), -calls):  # the third one is not stopped
            resume = any(folder.glob("last*"))
            how = partial(run, folder, resume=resume, overwrite=not resume)
            if call(how, moment, rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]), twice):
                break
            stops += 1
        assert contents(folder) == contents(tmp_path / "straight"), number
    assert stops >= 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_step(number, tmp_path, monkeypatch):
    """The checkpoint has the network after the step during which the signal came."""
    inside = []
    whole = AutoencoderObjective._update_average

    def interrupted(made, steps):
        if steps == 2:
            signal.raise_signal(number)
            inside.append(made)
        whole(made, steps)

    monkeypatch.setattr(AutoencoderObjective, "_update_average", interrupted)
    before = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
        volumes(tmp_path)
    assert raised.type is KeyboardInterrupt or raised.value.code == 128 + number
    assert signal.getsignal(number) == before and len(inside) == 1
    arrays, about = read_checkpoint(tmp_path / "last.safetensors")
    assert about["step"] == 2
    for name, value in inside[0].average.state_dict().items():
        assert (arrays[f"ema.{name}"] == value.numpy()).all(), name


def test_a_stop_while_weights_are_written_is_made_good(tmp_path, monkeypatch):
    """A second signal at the last step, in `finish`: the state is saved, and the weights are written by the resume."""
    from cryowae.train import _Gallery

    volumes(tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(_Gallery, "__call__", _pressed_twice_at(6, _Gallery.__call__))
        assert not call(lambda: volumes(tmp_path / "broken"))
    assert read_checkpoint(tmp_path / "broken" / "weights.safetensors")[1]["step"] == 3
    volumes(tmp_path / "broken", resume=True)
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")


def _pressed_twice_at(step, whole):
    def finish(gallery, done):
        for _ in range(2 * (done == step)):
            signal.raise_signal(signal.SIGINT)
        whole(gallery, done)

    return finish


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with watch_signals():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_the_first_signal_waits_and_is_said_and_the_second_does_not():
    told = Told()
    with watch_signals(told) as watched, pytest.raises(KeyboardInterrupt), watched.held():
        signal.raise_signal(signal.SIGINT)
        told.heard.wait(10)
        signal.raise_signal(signal.SIGINT)
    assert "a second Ctrl-C stops at once" in told.text


class Told(Progress):
    """Stores what it is told."""

    def __init__(self):
        self.heard, self.text = threading.Event(), ""

    def say(self, message):
        self.text += message
        self.heard.set()


@pytest.mark.slow
def test_a_stopped_command_is_resumed_with_its_own_settings(tmp_path):
    """Ctrl-C on the command line, in the middle of the training; the resume needs no further option."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "source": SOURCE, "model": MODEL}))
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "cryowae", "train", "tiny.yaml"]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": paths}, "text": True}
    again = ("--set", "steps=30", "--set", "save_every=5")
    subprocess.run([*command, *again, "--output", "straight"], check=True, capture_output=True, **options)
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [*command, *again, "--output", "broken"], preexec_fn=heard, stderr=subprocess.PIPE, **options
    ) as process:
        while not (tmp_path / "broken" / "last.safetensors").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130 and "--resume continues from there" in said
    subprocess.run([*command, "--output", "broken", "--resume"], check=True, capture_output=True, **options)
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")
