"""Limits on memory and time of the package, each measured in its own process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite, nan
from multiprocessing import get_context
from pathlib import Path

import mrcfile
import numpy as np
import torch

from cryowae.benchmark.speed import aligned_table, measure_speed, watched_memory
from cryowae.metrics import discrimination
from cryowae.progress import SILENT, Progress
from cryowae.report import RestorationFacts, draw_restoration


@dataclass(frozen=True)
class Limit:
    """A limit on one figure.

    Attributes
    ----------
    name
        Name of the measured quantity.
    most
        The limit.
    unit
        `MB` of anonymous memory, or `s`.
    measure
        Takes a folder for temporary files, and returns the figure; NaN if it cannot be measured here.
    """

    name: str
    most: float
    unit: str
    measure: Callable[[Path], float]

    def verdict(self, value: float) -> str:
        """`kept`, `missed` or `not measured`."""
        return ("kept" if value <= self.most else "missed") if isfinite(value) else "not measured"

    def cells(self, value: float) -> dict[str, str]:
        """A row of the table: heading and text."""
        measured, limit = f"{value:.4g} {self.unit}", f"{self.most:g} {self.unit}"
        return {"what": self.name, "measured": measured, "limit": limit, "": self.verdict(value)}


def measure_limits(progress: Progress = SILENT) -> list[tuple[Limit, float]]:
    """Measure all of `LIMITS`, each in a new process, without memory from other work."""
    rows = []
    for limit in LIMITS:
        progress.say(limit.name)
        rows.append((limit, _in_new_process(limit)))
    return rows


def format_limits(rows: Sequence[tuple[Limit, float]]) -> str:
    """A Markdown table of limits and figures."""
    return aligned_table([limit.cells(value) for limit, value in rows])


def _in_new_process(limit: Limit) -> float:
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(limit.measure, Path(folder)).result()


def _report_memory(folder: Path) -> float:
    """The picture of a mapped volume of 528 MB reads slices and a central block only."""
    facts, small = RestorationFacts(10.0, -60.0, 60.0), np.zeros((16, 16, 16), np.float32)
    draw_restoration(folder / "first.png", small, small, facts)  # loads fonts and libraries
    shape = (150, 1100, 800)
    large = np.memmap(folder / "sparse.raw", np.float32, "w+", shape=shape)
    with watched_memory() as memory:
        draw_restoration(folder / "picture.png", large, large, facts)
    return (max(memory) - memory[0]) / 1e6


def _napari_memory(folder: Path) -> float:
    """The reader of the napari plugin maps a volume of 2.1 GB, and reads a sample and the slice on display."""
    if not find_spec("napari"):
        return nan
    from napari.components import ViewerModel
    from npe2 import PluginManager

    PluginManager.instance().discover()
    small, large = folder / "small.mrc", folder / "large.mrc"
    for path, sections in ((small, 4), (large, 512)):
        with mrcfile.new_mmap(path, (sections, 1024, 1024), mrc_mode=2) as file:  # sparse
            file.voxel_size = 10
    viewer = ViewerModel()
    viewer.open(small, plugin="cryowae")  # loads libraries
    with watched_memory() as memory:
        viewer.open(large, plugin="cryowae")
        viewer.dims.set_current_step(0, 300)
    return (max(memory) - memory[0]) / 1e6


def _restoration_memory(folder: Path) -> float:
    """The network works on windows: memory does not grow with the tomogram."""
    (row,) = measure_speed([(64, 512, 512)], fast=True)
    return row.memory / 1e6


def _matching_seconds(folder: Path) -> float:
    """CPU time on one thread: threads that wait for a busy core would count too."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    volume, template = rng.normal(size=(96, 160, 160)), rng.normal(size=(32, 32, 32))
    positions, decoys = (rng.uniform(24, (71, 135, 135), (30, 3)) for _ in range(2))
    began = time.process_time()
    discrimination(volume, positions, decoys, template, (-60, 60))
    return time.process_time() - began


def _demo_seconds(folder: Path) -> float:
    """Wall-clock time of the command, with the start of Python."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "cryowae", "demo", "--output", str(folder / "demo"), "--device", "cpu"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


LIMITS = (
    Limit("memory of the picture of a mapped volume of 528 MB", 200, "MB", _report_memory),
    Limit("memory of opening a mapped volume of 2.1 GB in napari", 215, "MB", _napari_memory),
    Limit("memory of restoring 64 x 512 x 512 voxels in one pass", 2000, "MB", _restoration_memory),
    Limit("CPU time of matching 500 templates in 60 boxes", 10, "s", _matching_seconds),
    Limit("time of the demo", 180, "s", _demo_seconds),
)
"""Anonymous memory is the increase over that of the libraries; for the restoration, that of the whole process."""
