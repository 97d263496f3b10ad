"""A fit that is ended early keeps its best weights, and can be continued."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from tiny_fit import make_tiny

from cryowae.config.options import FitOptions
from cryowae.io.checkpoint import read_checkpoint
from cryowae.io.mrc import write_mrc
from cryowae.progress import Progress, Stopped


class Stop(Progress):
    """Ends the work after some training steps, or when it says something; stores the pictures that it was shown."""

    def __init__(self, after: int = -1, said: str = "never") -> None:
        self.left, self.said, self.pictures, self.training = after, said, [], False

    def begin(self, task, total, unit):
        self.training = task.startswith("fit ")
        self._check()

    def advance(self, n=1):
        self.left -= self.training
        self._check()

    def say(self, message):
        if self.said in message:
            raise Stopped

    def show(self, picture):
        self.pictures.append(picture.read_bytes())

    def _check(self):
        if self.training and self.left == 0:
            raise Stopped


def fit(folder, progress, **options):
    from cryowae.fit import fit_weights
    from cryowae.tomogram import item_of

    path = folder / "tomo.mrc"
    if not path.exists():
        write_mrc(path, np.random.default_rng(0).normal(size=(24, 40, 48)).astype(np.float32), voxel_size=10)
    options = FitOptions(from_scratch=True, device="cpu", **options)
    item = item_of(path, tilt_range=(-60.0, 60.0), contrast="dark")
    return fit_weights([item], folder / "mine.safetensors", options, progress=progress)


def weights(path):
    arrays, _ = read_checkpoint(path)
    return {name: value for name, value in arrays.items() if name != "state"}


def equal(one, other) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def steps_judged(folder):
    with (folder / "mine.fit" / "held-out.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_a_stopped_fit_has_its_best_weights_and_is_continued_to_the_bit(tmp_path, monkeypatch):
    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    whole = fit(tmp_path / "straight", Stop())
    assert not whole.stopped and whole.steps == 4 and steps_judged(tmp_path / "straight") == [0, 2, 4]
    make_tiny(monkeypatch, scores=(0.2,))
    part = fit(tmp_path / "broken", Stop(after=3))
    assert part.stopped and part.steps == 3 and steps_judged(tmp_path / "broken") == [0, 2]
    assert part.after == 0.2 and part.picture.is_file()
    assert equal(part.path, tmp_path / "broken" / "mine.fit" / "best.safetensors")
    assert not equal(part.path, whole.path)
    make_tiny(monkeypatch, scores=(0.3,))
    again = fit(tmp_path / "broken", Stop(), resume=True)
    assert not again.stopped and again.steps == 4 and again.after == 0.3
    assert equal(again.path, whole.path)


def test_a_stop_at_the_moment_of_the_first_score_keeps_its_weights(tmp_path, monkeypatch):
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    done = fit(tmp_path, Stop(said="score after 2 steps"))
    assert done.stopped and done.steps == 2 and done.after == 0.2
    assert equal(done.path, tmp_path / "mine.fit" / "best.safetensors")


def test_a_stop_before_the_first_judgement_raises_and_is_continued(tmp_path, monkeypatch):
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    with pytest.raises(Stopped):
        fit(tmp_path, Stop(after=1))
    assert not (tmp_path / "mine.safetensors").exists() and not (tmp_path / "mine.png").exists()
    assert fit(tmp_path, Stop(), resume=True).steps == 4


def test_a_stop_before_the_training_raises_and_writes_no_weights(tmp_path, monkeypatch):
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    with pytest.raises(Stopped):
        fit(tmp_path, Stop(after=0))
    assert not (tmp_path / "mine.safetensors").exists() and not (tmp_path / "mine.png").exists()
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    assert fit(tmp_path, Stop()).steps == 4  # what is left in the folder does not prevent another one


def test_the_picture_is_shown_at_the_start_and_after_every_judgement(tmp_path, monkeypatch):
    make_tiny(monkeypatch, scores=(0.2, 0.3))
    watch = Stop()
    fit(tmp_path, watch)
    assert len(watch.pictures) == 4  # the last one has the weights that were written
    assert len(set(watch.pictures)) >= 3
    assert (tmp_path / "mine.fit" / "preview.png").read_bytes() == watch.pictures[-1]
