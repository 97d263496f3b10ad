"""Features in which images are compared: LeNet, Inception, and the cache."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path

import pytest
import torch
from baseline_parts import blobs
from interrupting import Interrupt

from cryowae.baselines.evaluate import Evaluation
from cryowae.baselines.features import ACCURACY, InceptionFeatures, LeNet, LeNetFeatures, accuracy_warning, train_lenet
from cryowae.errors import CheckpointError, ImagesError
from cryowae.train.state import Rows, read_rows


def test_a_lenet_is_trained_and_named_by_its_hash(lenet, tmp_path):
    features = LeNetFeatures.read(lenet, "cpu")
    assert features.accuracy < ACCURACY and accuracy_warning(features.accuracy) and not accuracy_warning(ACCURACY)
    digest = hashlib.sha256(lenet.read_bytes()).hexdigest()
    assert features.name == f"lenet-{digest[:12]}"
    assert features(blobs(3).images).shape == (3, 84)
    assert sum(p.numel() for p in LeNet().parameters()) == 61_706
    with pytest.raises(CheckpointError, match="cryowae baseline lenet"):
        LeNetFeatures.read(tmp_path / "none.safetensors")
    with pytest.raises(ImagesError, match="at least a batch of 128"):
        train_lenet(blobs(100), blobs(40), tmp_path / "untrained.safetensors", device="cpu")


def test_inception_input_is_resized_and_scaled(inception, tmp_path):
    """Three channels of 299 pixels, `(value - 128) / 128`; grey images are repeated."""
    images = torch.zeros(60, 1, 32, 32, dtype=torch.uint8)
    images[59, :, 16:] = 255
    features = InceptionFeatures(inception, "cpu")
    found = features(images)
    assert found.shape == (60, 6) and (found[:59] == -1).all()
    assert torch.allclose(found[59], torch.tensor([-1.0] * 3 + [127 / 128] * 3))
    assert features.name == f"inception-{hashlib.sha256(inception.read_bytes()).hexdigest()[:12]}"
    for path in (tmp_path / "none.pt", Path(__file__)):
        with pytest.raises(CheckpointError, match="holds no TorchScript network"):
            InceptionFeatures(path, "cpu")


def test_inception_of_torchmetrics(monkeypatch):
    """It gets 8 bits and three channels, and resizes images itself; without the packages the error names them."""

    class Own(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert (name, features) == ("inception-v3-compat", ["2048"])

        def forward(self, images):
            assert images.dtype == torch.uint8 and images.shape[1:] == (3, 32, 32)
            return images.float().mean((2, 3))

    module = types.ModuleType("torchmetrics.image.fid")
    module.NoTrainInceptionV3 = Own
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", module)
    features = InceptionFeatures("download", "cpu")
    assert features(torch.full((60, 1, 32, 32), 7, dtype=torch.uint8)).tolist() == [[7.0] * 3] * 60
    assert features.name == "inception-2015-12-05"
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(CheckpointError, match="pip install torchmetrics torch-fidelity torchvision, or give a file"):
        InceptionFeatures("download", "cpu")


def test_inception_features_are_cached_and_continue_after_an_interrupt(inception, tmp_path, monkeypatch):
    monkeypatch.setattr("cryowae.baselines.features._FILE", 100)
    images = torch.randint(0, 256, (250, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = InceptionFeatures(inception, "cpu")(images)
    stopped = Interrupt(200)  # in the second hundred, which is not written yet
    with pytest.raises(KeyboardInterrupt):
        InceptionFeatures(inception, "cpu", stopped, tmp_path / "kept")(images)
    on = Interrupt(0)
    extractor = InceptionFeatures(inception, "cpu", on, tmp_path / "kept")
    assert torch.equal(extractor(images), plain) and torch.equal(extractor(images), plain)
    assert stopped.ahead == [250] and on.ahead == [150, 0]
    extractor.forget(images[:100])
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_features_of_the_reference_stay_in_the_cache_and_others_do_not(inception, tmp_path):
    train, held = blobs(40).halves()
    made = torch.randint(0, 256, (32, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    counts = Interrupt(0)
    for _ in range(2):
        judge = Evaluation(train, held, final=[InceptionFeatures(inception, "cpu", counts, tmp_path / "kept")])
        found = judge.distances({"sample": made})
    assert counts.ahead == [32, 8, 32, 0] and len(list((tmp_path / "kept").iterdir())) == 1
    again = Evaluation(train, held, final=[InceptionFeatures(inception, "cpu")])
    assert found["inception_fd_sample"] > 0 and found == again.distances({"sample": made})
    few = Evaluation(train, held, final=[InceptionFeatures(inception, "cpu")], few=5)
    assert few.distances({"sample": made}) == again.distances({"sample": made[[0, 6, 12, 19, 25]]}) | {
        "inception_images": "5"
    }
    table = tmp_path / "evaluation.csv"
    for judge in (few, again):  # the figures of all images replace those of a few
        Rows(table, keep=1).write(1, judge.distances({"sample": made}))
    assert read_rows(table)[0]["inception_images"] == again.distances({"sample": made})["inception_images"] == "all"
