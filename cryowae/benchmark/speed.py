"""What a restoration costs: time and memory as ratios to a plain filter and to the volume, on simulated volumes.

Seconds depend on the machine and on who else uses it. The same volume therefore also goes, in the same process, through
a filter that everybody has: `scipy.ndimage.gaussian_filter` of 2 voxels, in float32, which uses one thread.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, prod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cryowae.benchmark.work import Work, card_limits
from cryowae.io.mrc import MrcWriter, read_mrc
from cryowae.models.weights import RestorationModel, load_model
from cryowae.progress import SILENT, Progress
from cryowae.restore import RestoreOptions, restore_tomogram
from cryowae.restore.network import Model

Shape = tuple[int, int, int]

SIGMA = 2.0
"""Voxels of the reference filter."""


@dataclass(frozen=True)
class SpeedRow:
    """What the restoration of one volume cost.

    Attributes
    ----------
    shape
        `(z, y, x)` voxels.
    device
        Where the network ran, with the number of threads on a CPU, and whether in half precision.
    model
        Its name.
    seconds, cpu_seconds
        On the clock, from the file to the finished file; and of all threads together, which others do not prolong.
    reference_seconds
        Of the reference filter on the same volume, in memory.
    memory
        Peak of the process's anonymous memory in bytes, the program and its libraries included: what the system cannot
        take back. Mapped files do not count. NaN where the system does not tell.
    volume_bytes
        Of the volume in float32.
    device_memory
        Peak of the CUDA allocator in bytes; None elsewhere.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the volume.
    rate
        Multiply-adds of the network's convolutions a second; None if the model is no network.
    compute_share, traffic_share
        On CUDA, arithmetic and memory traffic of the convolutions as shares of what the same card reaches in a matrix
        product and in a copy.
    """

    shape: Shape
    device: str
    model: str
    seconds: float
    cpu_seconds: float
    reference_seconds: float
    memory: float
    volume_bytes: int
    device_memory: int | None
    network_voxels_per_voxel: float
    rate: float | None = None
    compute_share: float | None = None
    traffic_share: float | None = None

    @property
    def time_ratio(self) -> float:
        """Time of the restoration over that of the reference filter."""
        return self.seconds / self.reference_seconds

    @property
    def memory_ratio(self) -> float:
        """Peak memory over the volume's own bytes."""
        return self.memory / self.volume_bytes


def measure_speed(
    sizes: Sequence[Shape],
    device: str = "auto",
    model: Model | str | Path = "default",
    fast: bool = False,
    progress: Progress = SILENT,
) -> list[SpeedRow]:
    """Restore volumes of noise with blobs in it, one a size, and measure what it costs.

    The network sees one small window before, so that no size pays for starting up. All is measured in this process:
    what an earlier, larger volume made it keep counts for the later ones, so give the sizes in increasing order.

    Parameters
    ----------
    sizes
        `(z, y, x)` voxels each.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    model
        Weights by name or path, or what `load_model` returns.
    fast
        One pass of the network, as `restore --fast`.
    progress
        Told every window.

    Raises
    ------
    CheckpointError, ConfigError
        If there are no such weights, or there is no such device.
    OutputError
        If the volumes do not fit into the folder for temporary files.
    """
    network = load_model(model, device) if isinstance(model, str | Path) else model
    edge = 8 * max(1, network.stride // 8)
    network(torch.zeros(1, 1, edge, edge, edge))
    work = Work.of(network) if isinstance(network, RestorationModel) else None
    rows = []
    for shape in sizes:
        progress.say(f"restoring {_by(shape)} voxels with {network.name} on {network.device}")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_measure(shape, Path(folder), network, work, fast, progress))
    return rows


def format_speed(rows: Sequence[SpeedRow]) -> str:
    """A Markdown table of the ratios with the figures that they are made of, and what they mean."""
    head = ("voxels z, y, x", "device", "time", "/ Gaussian filter", "memory", "/ volume", "network voxels", "CPU time")
    table = [
        (
            _by(row.shape),
            row.device,
            f"{row.seconds:.3g} s",
            f"{row.time_ratio:.3g} x {row.reference_seconds:.3g} s",
            f"{row.memory / 1e6:.0f} MB",
            f"{row.memory_ratio:.3g} x {row.volume_bytes / 1e6:.3g} MB",
            f"{row.network_voxels_per_voxel:.2f} per voxel",
            f"{row.cpu_seconds:.3g} s",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
    text = [_line(cells, widths) for cells in (head, ["-" * width for width in widths], *table)]
    note = (
        f"Time: file to file. Gaussian filter: scipy.ndimage, sigma {SIGMA:g}, float32, one thread; same process and "
        "volume, in memory. Memory: peak of the process's anonymous memory, libraries included. CPU time: all threads."
    )
    return "\n".join([*text, "", note, *(line for row in rows for line in _details(row))])


def _measure(shape: Shape, folder: Path, model: Model, work: Work | None, fast: bool, progress: Progress) -> SpeedRow:
    source = _simulated(folder / "noise.mrc", shape)
    reference = _reference_seconds(source)
    cuda = model.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(model.device)
    options = RestoreOptions(device=str(model.device), fast=fast, report=False)
    began = time.process_time()
    with PeakMemory() as memory:
        result = restore_tomogram(source, model=model, options=options, progress=progress)
    busy = time.process_time() - began
    rate = prod(shape) * result.network_voxels_per_voxel / result.seconds  # network voxels a second
    compute = traffic = None
    if cuda and work is not None:
        flops, bandwidth = card_limits(model.device, half=work.bytes_per_value == 2)
        compute, traffic = 2 * rate * work.products / flops, rate * work.values * work.bytes_per_value / bandwidth
    threads = f", {torch.get_num_threads()} threads" if model.device.type == "cpu" else ""
    precision = ", half precision" if isinstance(model, RestorationModel) and model.half else ""
    return SpeedRow(
        shape=shape,
        device=f"{model.device}{threads}{precision}",
        model=model.name,
        seconds=result.seconds,
        cpu_seconds=busy,
        reference_seconds=reference,
        memory=memory.peak,
        volume_bytes=4 * prod(shape),
        device_memory=torch.cuda.max_memory_allocated(model.device) if cuda else None,
        network_voxels_per_voxel=result.network_voxels_per_voxel,
        rate=None if work is None else rate * work.products,
        compute_share=compute,
        traffic_share=traffic,
    )


class PeakMemory:
    """Peak of this process's anonymous memory in bytes, looked at a hundred times a second, as `peak`; Linux only."""

    def __enter__(self) -> Self:
        self.peak = _anonymous_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, _anonymous_bytes())


def _anonymous_bytes() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return nan


def _simulated(path: Path, shape: Shape, count: int = 40, reach: int = 6) -> Path:
    """Noise with a few blobs in it, and its tilts beside it."""
    rng = np.random.default_rng(0)
    blob = np.exp(-(np.mgrid[(slice(-reach, reach + 1),) * 3] ** 2).sum(0) / 12).astype(np.float32)
    with MrcWriter(path, shape, voxel_size=10.0) as writer:
        for section in writer.data:
            section[:] = rng.standard_normal(shape[1:], dtype=np.float32)
        for _ in range(count):
            first = [int(rng.integers(0, max(1, n - 2 * reach))) for n in shape]
            place = tuple(slice(a, a + 2 * reach + 1) for a in first)
            patch = writer.data[place]
            patch -= 3 * blob[tuple(slice(n) for n in patch.shape)]
    path.with_suffix(".tlt").write_text("-60\n0\n60\n")
    return path


def _reference_seconds(source: Path) -> float:
    volume = np.array(read_mrc(source).data, np.float32)
    began = time.perf_counter()
    gaussian_filter(volume, SIGMA)
    seconds = time.perf_counter() - began
    del volume
    gc.collect()
    return seconds


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _details(row: SpeedRow) -> list[str]:
    parts = []
    if row.rate is not None:
        parts.append(f"{row.rate / 1e9:.3g} G multiply-adds a second")
    if row.device_memory is not None:
        parts.append(f"{row.device_memory / 1e9:.2f} GB on the device")
    if row.compute_share is not None and row.traffic_share is not None:
        parts.append(f"{row.compute_share:.1%} of a matrix product's rate, {row.traffic_share:.1%} of a copy's")
    return [f"{_by(row.shape)}: {', '.join(parts)}"] if parts else []


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
