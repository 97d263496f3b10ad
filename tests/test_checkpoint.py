"""Checkpoints return what was written, and files that are no checkpoints are refused."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
from safetensors.numpy import save

from cryowae.errors import CheckpointError, OutputError
from cryowae.io.checkpoint import FORMAT, read_checkpoint, write_checkpoint

TENSORS = {
    "encoder.weight": np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32),
    "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "strided": np.arange(12, dtype=np.int64)[::3],
    "scalar": np.array(7, dtype=np.int64),
    "half": np.ones(3, np.float16),
    "empty": np.zeros((0, 3), np.float32),
}
METADATA = {"config": {"lr": 1e-4, "codes": [8, 16]}, "voxel_sizes": [8.0, 20.0], "version": "0.1.0", "name": "Å"}


def test_round_trip(tmp_path):
    write_checkpoint(tmp_path / "a.safetensors", TENSORS, METADATA)
    tensors, metadata = read_checkpoint(tmp_path / "a.safetensors")
    assert metadata == METADATA
    assert set(tensors) == set(TENSORS)
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        assert tensors[name].shape == expected.shape
        np.testing.assert_array_equal(tensors[name], expected)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    """Safetensors itself writes the metadata in the order of a hash table, which is random."""
    for i in range(60):
        write_checkpoint(tmp_path / f"{i}", dict(reversed(TENSORS.items())) if i % 2 else TENSORS, METADATA)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_file_with_its_metadata_in_the_other_order_is_read_too(tmp_path):
    write_checkpoint(tmp_path / "a", TENSORS, METADATA)
    content = (tmp_path / "a").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(reversed(header["__metadata__"].items()))
    head = json.dumps(header).encode()
    (tmp_path / "b").write_bytes(len(head).to_bytes(8, "little") + head + content[start:])
    tensors, metadata = read_checkpoint(tmp_path / "b")
    assert metadata == METADATA and set(tensors) == set(TENSORS)


@pytest.mark.parametrize("padding", range(0, 320, 8))
def test_metadata_may_have_any_length(tmp_path, padding):
    """The first byte of the file belongs to a length, and can be equal to the first byte of pickled files."""
    write_checkpoint(tmp_path / "a.safetensors", {"x": np.zeros(2, np.float32)}, {"note": "x" * padding})
    assert read_checkpoint(tmp_path / "a.safetensors")[1] == {"note": "x" * padding}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch, error):
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, TENSORS, METADATA)
    before = path.read_bytes()

    def fail(descriptor):
        raise error

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_checkpoint(path, {}, {})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_unwritable_place(tmp_path):
    (tmp_path / "none").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_checkpoint(tmp_path / "none" / "a", TENSORS, METADATA)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def foreign() -> dict[str, tuple[bytes, str]]:
    """Contents that are no checkpoint, and a part of the expected message for each."""
    marked = {"cryowae_format": str(FORMAT), "cryowae_metadata": "{}"}
    good = save(TENSORS, marked)
    return {
        "nothing": (b"", "damaged or foreign"),
        "text": (b"just some text that is long enough", "damaged or foreign"),
        "pickle": (pickle.dumps(Bomb()), "unpickling runs code"),
        "zip of torch": (b"PK\x03\x04" + bytes(100), "unpickling runs code"),
        "other program": (save(TENSORS, {"format": "pt"}), "another program"),
        "no metadata": (save(TENSORS), "another program"),
        "newer format": (save(TENSORS, {**marked, "cryowae_format": "999"}), "format 999, expected 1"),
        "metadata lost": (save(TENSORS, {"cryowae_format": "1"}), "damaged"),
        "metadata no JSON": (save(TENSORS, {**marked, "cryowae_metadata": "{"}), "damaged"),
        "metadata deep": (save(TENSORS, {**marked, "cryowae_metadata": "[" * 10**5}), "damaged"),
        "header deep": ((10**5).to_bytes(8, "little") + b'{"a":' + b"[" * 10**5, "damaged"),
        "metadata a list": (save(TENSORS, {**marked, "cryowae_metadata": "[]"}), "damaged"),
        "cut": (good[:-5], "damaged"),
        "cut in the header": (good[:50], "damaged"),
        "longer": (good + b"12345", "damaged"),
        "header no JSON": (good[:8] + b"!" + good[9:], "damaged"),
    }


@pytest.mark.parametrize("name", foreign())
def test_damaged_and_foreign_files_give_one_clear_line(tmp_path, name):
    content, part = foreign()[name]
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(part)) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "none")


def test_metadata_lie_in_the_header_in_plain_json(tmp_path):
    write_checkpoint(tmp_path / "a", TENSORS, METADATA)
    content = (tmp_path / "a").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["cryowae_metadata"]) == METADATA
