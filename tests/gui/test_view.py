"""`cryowae view` as a program, whose arguments Qt reads too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from driving import save

pytestmark = pytest.mark.gui

CODE = """
import sys
import napari
from qtpy.QtTest import QTest

def run():
    viewer = napari.current_viewer()
    QTest.qWait(1500)
    window = viewer.window
    docks = getattr(window, "dock_widgets", None) or window._dock_widgets
    room = window._qt_window.screen().availableGeometry()
    print([layer.name for layer in viewer.layers], viewer.dims.ndisplay, list(docks))
    print(window._qt_window.isVisible(), window.geometry()[2:] == (min(room.width(), 1400), min(room.height(), 900)))
    viewer.close()

napari.run = run
sys.argv = ["cryowae", *sys.argv[1:]]
from cryowae.cli import app
app()
"""


def own_settings(folder):
    """The environment, in which napari keeps its settings in this folder and not in the user's."""
    return os.environ | {"NAPARI_CONFIG": str(folder / "settings.yaml")}


def test_the_command_opens_a_window_with_related_files(tmp_path):
    path = save(tmp_path, "x.mrc")
    shutil.copy(path, tmp_path / "x_restored.mrc")
    command = [sys.executable, "-c", CODE, "view", str(path), "--show", "volume", "--axes", "zyx"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=own_settings(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['x', 'x_restored'] 3 ['Compare (cryowae)']", "True True"]


def test_a_file_that_is_not_a_volume_is_one_line(tmp_path):
    (tmp_path / "x.mrc").write_bytes(b"not a volume")
    command = [sys.executable, "-c", CODE, "view", str(tmp_path / "x.mrc")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=own_settings(tmp_path))
    lines = [line for line in done.stderr.splitlines() if line.startswith("cryowae: ")]
    assert done.returncode == 2 and len(lines) == 1 and "is not an MRC volume" in lines[0]
    assert "Traceback" not in done.stderr
