"""Image sets: reading MNIST and CelebA, and conversions."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cryowae.data.images import CROP, FACES, MD5, read_celeba, read_idx, read_mnist, signed, unsigned, write_idx
from cryowae.errors import ImagesError

TOOLS = Path(__file__).parent.parent / "tools"


def test_conversion_to_8_bits_and_back():
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(unsigned(signed(images)), images)
    assert unsigned(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_idx_files_are_written_and_read_back():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (read_idx(write_idx(array)) == array).all()
    for content in (b"", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", write_idx(array)[:-1]):
        with pytest.raises(ValueError):
            read_idx(content)


def test_mnist_is_read_plain_and_gzipped_and_checked(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    digits, labels = generator.integers(0, 256, (5, 28, 28), dtype=np.uint8), np.arange(5, dtype=np.uint8)
    for name, array, packed in (("images-idx3", digits, True), ("labels-idx1", labels, False)):
        content = write_idx(array)
        monkeypatch.setitem(MD5, f"t10k-{name}-ubyte", hashlib.md5(content).hexdigest())
        path = tmp_path / f"t10k-{name}-ubyte{'.gz' * packed}"
        path.write_bytes(gzip.compress(content) if packed else content)
    read = read_mnist(tmp_path, "t10k", size=28)
    assert (read.images[:, 0].numpy() == digits).all() and read.labels.tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setenv("CRYOWAE_MNIST", str(tmp_path))
    assert read_mnist(None, "t10k").images.shape == (5, 1, 32, 32)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(write_idx(labels[::-1].copy()))
    with pytest.raises(ImagesError, match=r"has the md5 .*, expected .*: download it again") as told:
        read_mnist(tmp_path, "t10k")
    assert "\n" not in str(told.value)
    with pytest.raises(ImagesError, match="no train-images-idx3-ubyte or"):
        read_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b no")
    with pytest.raises(ImagesError, match="cannot be read"):
        read_mnist(tmp_path, "t10k")


def test_official_mnist_has_the_expected_content():
    if not os.environ.get("CRYOWAE_MNIST"):
        pytest.skip("CRYOWAE_MNIST is not set: it names the folder of MNIST's idx files")
    digits = read_mnist(None, "t10k")
    assert digits.images.shape == (10_000, 1, 32, 32)
    assert digits.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_a_missing_image_folder_is_an_error(monkeypatch, tmp_path):
    monkeypatch.delenv("CRYOWAE_MNIST", raising=False)
    with pytest.raises(ImagesError, match="give --data FOLDER, or set CRYOWAE_MNIST"):
        read_mnist()
    with pytest.raises(ImagesError, match="is not a folder"):
        read_mnist(tmp_path / "nowhere")


def test_celeba_is_cropped_to_its_centre_and_resized(tmp_path):
    folder = tmp_path / FACES
    folder.mkdir()
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[35 : 35 + CROP, 15 : 15 + CROP] = (200, 100, 50)  # the part that is kept; black is cut off
    Image.fromarray(picture).save(folder / "000002.jpg", quality=100, subsampling=0)
    Image.fromarray(picture // 2).save(folder / "000001.jpg", quality=100, subsampling=0)
    read = read_celeba(tmp_path)
    assert read.images.shape == (2, 3, 64, 64) and read.images.dtype == torch.uint8
    means = read.images.float().mean(dim=(2, 3))
    assert torch.allclose(means[1], torch.tensor([200.0, 100.0, 50.0]), atol=6)
    assert torch.allclose(means[0], means[1] / 2, atol=4)
    assert len(read_celeba(folder, count=1)) == 1
    (folder / "000003.jpg").write_bytes(b"no picture")
    with pytest.raises(ImagesError, match="cannot be read as an image"):
        read_celeba(tmp_path)
    with pytest.raises(ImagesError, match=r"no \.jpg in"):
        read_celeba(TOOLS)


def test_pictures_in_the_layout_of_celeba_are_made_and_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "argv", ["make_celeba_like.py", str(tmp_path), "--count", "4"])
    import make_celeba_like

    make_celeba_like.main()
    faces = read_celeba(tmp_path).images.float()
    assert faces.shape == (4, 3, 64, 64)
    assert all(float((faces[0] - other).abs().mean()) > 5 for other in faces[1:])
    assert len((tmp_path / "list_eval_partition.txt").read_text().splitlines()) == 4
