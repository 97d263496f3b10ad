"""Common parts of all tests: the folder of real data, and skipping of tests that a machine cannot run."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

# Small tensors and one process a core: threads would only wait for each other. To be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that CRYOWAE_DATA names; without it the test is skipped."""
    name = os.environ.get("CRYOWAE_DATA", "")
    if not name:
        pytest.skip("CRYOWAE_DATA is not set: it names the folder of real data")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip(f"CRYOWAE_DATA is {name!r}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet trained on a few images of the baselines' tests."""
    from baseline_parts import blobs

    from cryowae.baselines.features import train_lenet

    path = tmp_path_factory.mktemp("lenet") / "lenet.safetensors"
    train_lenet(blobs(400), blobs(40), path, epochs=1, device="cpu")
    return path


@pytest.fixture
def inception(tmp_path: Path) -> Path:
    """A TorchScript file as a substitute for Inception."""
    import torch
    from baseline_parts import Corners

    path = tmp_path / "inception.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Corners()).save(str(path))
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `gpu` where there is no CUDA; CUDA is checked only if there are such tests."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
