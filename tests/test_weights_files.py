"""Weights whose metadata do not fit their tensors, or are impossible: one line, and nothing large is allocated."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_cli import make_weights, run, save

from cryowae.config import ModelConfig, TrainConfig
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models import Autoencoder
from cryowae.models.weights import find_weights, load_model, write_weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


def model(**values: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda tensors, metadata: metadata["config"]["model"].update(values)


def sizes(value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda tensors, metadata: metadata["config"]["data"].update(voxel_sizes=value)


def entry(*path: str, value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
        for part in path[:-1]:
            metadata = metadata[part]
        metadata[path[-1]] = value

    return change


def tensor(change: Callable[[dict[str, Any], str], object]) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def apply(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
        change(tensors, "network.stem.mix.weight")

    return apply


CHANGES = {
    "other widths": model(widths=[8, 8, 8]),
    "huge widths": model(widths=[10**9, 4, 4]),
    "wide but possible": model(widths=[4096, 4096, 4096]),
    "huge codes": model(codes=[10**12, 2, 2]),
    "zero widths": model(widths=[0, 0, 0]),
    "negative": model(widths=[-4, 4, 4]),
    "million blocks": model(down=[10**6, 1, 1]),
    "negative blocks": model(down=[-1, 1, 1]),
    "no scales": model(widths=[], codes=[], down=[], up=[], decode=[]),
    "five scales": model(widths=[4] * 5, codes=[2] * 5, down=[1] * 5, up=[1] * 4, decode=[1] * 5),
    "thousand scales": model(widths=[4] * 999, codes=[2] * 999, down=[1] * 999, up=[1] * 998, decode=[1] * 999),
    "unequal lists": model(codes=[2, 2]),
    "too many blocks upwards": model(up=[1, 1, 1]),
    "words": model(widths="wide"),
    "other names": model(kernel=10**6),
    "no voxel sizes": sizes([]),
    "one voxel size": sizes([10]),
    "reversed voxel sizes": sizes([20, 8]),
    "negative voxel sizes": sizes([-8, 20]),
    "endless voxel sizes": sizes([8, 1e999]),
    "huge voxel sizes": sizes([8, 10**400]),
    "words as voxel sizes": sizes("ab"),
    "no data": entry("config", "data", value=None),
    "data a list": entry("config", "data", value=[1, 2]),
    "no model": entry("config", "model", value=None),
    "no config": entry("config", value=None),
    "config a list": entry("config", value=[]),
    "a tensor less": tensor(lambda tensors, name: tensors.pop(name)),
    "a tensor more": tensor(
        lambda tensors, name: tensors.update(more=np.zeros(3)) or tensors.update({"network.x": np.zeros(3)})
    ),
    "a tensor of another shape": tensor(lambda tensors, name: tensors.update({name: np.zeros(3)})),
    "a downsampling kernel of a million": tensor(
        lambda tensors, name: tensors.update({"network.halve.0.weight": np.zeros((4, 4, 100, 100, 100), np.float16)})
    ),
    "infinite weights": tensor(lambda tensors, name: tensors.update({name: tensors[name] * np.float16(np.inf)})),
    "no tensors": tensor(lambda tensors, name: tensors.clear()),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", CHANGES)
def test_impossible_weights_give_one_line(tmp_path, tiny, name):
    tensors, metadata = read_checkpoint(tiny)
    tensors, metadata = dict(tensors), copy.deepcopy(metadata)
    CHANGES[name](tensors, metadata)
    write_checkpoint(tmp_path / "w.safetensors", tensors, metadata)
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path / "w.safetensors", "cpu")
    assert "\n" not in str(caught.value) and "w.safetensors" in str(caught.value) and len(str(caught.value)) < 400


def test_five_scales_that_fit_their_tensors_are_used(tmp_path):
    shape = ModelConfig(widths=(4,) * 5, codes=(2,) * 5, down=(1,) * 5, up=(1,) * 4, decode=(1,) * 5)
    write_weights(tmp_path / "five.safetensors", Autoencoder(shape), TrainConfig(name="five", model=shape), 0)
    result = run("restore", save(tmp_path, shape=(40, 48, 56)), "--model", tmp_path / "five.safetensors", "--fast")
    assert result.exit_code == 0, result.stderr


def test_tensors_of_other_types_give_one_line_or_are_read(tmp_path, tiny):
    tensors, metadata = read_checkpoint(tiny)
    for kind in (np.float64, np.float32, np.int32, np.uint8, np.bool_, np.uint16):
        write_checkpoint(tmp_path / "w.safetensors", {k: v.astype(kind) for k, v in tensors.items()}, metadata)
        try:
            load_model(tmp_path / "w.safetensors", "cpu")
        except CheckpointError:
            continue
    texts = {"cryowae_format": "1", "cryowae_metadata": "{}"}
    save_file({"network.a": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "w.safetensors", texts)
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "w.safetensors", "cpu")


@pytest.mark.parametrize("name", ["x" * 300, "none/w.safetensors", "a\0b", "../cryowae", "", "*", "/dev/zero"])
def test_names_that_are_no_weights_give_one_line(name):
    with pytest.raises(CheckpointError) as caught:
        load_model(name, "cpu")
    assert "\n" not in str(caught.value)


def test_weights_in_a_folder_that_may_not_be_searched_give_one_line(tmp_path, monkeypatch):
    stat = os.stat

    def denied(path, *args, **options):
        if str(path).endswith("closed/w.safetensors"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(CheckpointError, match="Permission denied"):
        find_weights(tmp_path / "closed" / "w.safetensors")
