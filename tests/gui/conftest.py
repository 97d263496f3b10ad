"""Tests in a real window: where there is no display they are skipped with a reason, unless CRYOWAE_REQUIRE_GUI is 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROBE = Path(__file__).with_name("probe.py")


def _why_not() -> str:
    """Reason why a window cannot be shown; empty if it can."""
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY") and sys.platform == "linux":
        return "there is no display (DISPLAY is not set; xvfb-run makes one)"
    try:
        probe = subprocess.run([sys.executable, str(_PROBE)], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "Qt did not answer within two minutes"
    if probe.returncode == 0:
        return ""
    return (probe.stdout.strip().splitlines() or probe.stderr.strip().splitlines() or ["Qt ended without a message"])[0]


@pytest.hookimpl(trylast=True)  # after -m has removed tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gui")]
    if not marked:
        return
    reason = _why_not() or ("" if config.pluginmanager.has_plugin("pytest-qt") else "pytest-qt is off")
    if not reason:
        return
    if os.environ.get("CRYOWAE_REQUIRE_GUI") == "1":
        raise pytest.UsageError(f"CRYOWAE_REQUIRE_GUI is set and no window can be shown: {reason}")
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=f"no window can be shown: {reason}"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A network of a few thousand untrained weights."""
    import torch

    from cryowae.config import ModelConfig, TrainConfig
    from cryowae.models import Autoencoder
    from cryowae.models.weights import write_weights

    torch.manual_seed(0)
    model = ModelConfig(widths=(4, 4, 4), codes=(2, 2, 2), down=(1, 1, 1), up=(1, 1), decode=(1, 1, 1))
    network = Autoencoder(model)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, network, TrainConfig(name="tiny", model=model), 0)
    return path


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """The errors that are shown to the user."""
    from napari.utils import notifications

    messages: list[str] = []
    monkeypatch.setattr(notifications, "show_error", messages.append)
    return messages
