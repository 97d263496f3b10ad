"""Cost of a restoration: time and memory as ratios to a plain filter and to the volume, on simulated volumes.

Seconds depend on the machine and on its other users. The same volume is therefore also filtered, in the same process,
by `scipy.ndimage.gaussian_filter` of 2 voxels in float32, which uses one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from timeit import timeit

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cryowae.benchmark.resources import card_rates, convolution_work, watched_memory
from cryowae.io.mrc import MrcWriter, read_mrc
from cryowae.models.weights import RestorationModel, load_model
from cryowae.progress import SILENT, Progress
from cryowae.restore import RestoreOptions, restore_tomogram
from cryowae.restore.network import Model

Shape = tuple[int, int, int]

SIGMA = 2.0
"""Standard deviation in voxels of the reference filter."""


@dataclass(frozen=True)
class SpeedRow:
    """Cost of the restoration of one volume.

    Attributes
    ----------
    shape
        `(z, y, x)` voxels.
    device
        Where the network ran, with the number of threads on a CPU, and whether in half precision.
    model
        Its name.
    seconds, cpu_seconds
        Wall-clock time from the input file to the finished output file; CPU time of all threads together, which other
        processes do not prolong.
    reference_seconds
        Of the reference filter on the same volume, in memory.
    memory
        Peak of the process's anonymous memory in bytes, with the program and its libraries; see `watched_memory`.
    volume_bytes
        Of the volume in float32.
    device_memory
        Peak of the CUDA allocator in bytes; None on other devices.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the volume.
    rate
        Multiply-adds of the network's convolutions per second; None if the model is no network.
    compute_share, traffic_share
        On CUDA: arithmetic and memory traffic of the convolutions, relative to the rates of a matrix product and of a
        copy on the same card.
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
    """Restore volumes of noise with blobs in it, one per size, and measure the cost.

    The network runs on one small window first, so that the first size does not include the start-up. All sizes run in
    this process, and memory that it keeps from a larger volume counts for later ones: give the sizes in increasing
    order.

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
        Is told about every window.

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
    rows = []
    for shape in sizes:
        progress.say(f"restoring {_by(shape)} voxels with {network.name} on {network.device}")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_measure(simulate_noise(Path(folder) / "noise.mrc", shape), shape, network, fast, progress))
    return rows


def format_speed(rows: Sequence[SpeedRow]) -> str:
    """A Markdown table of the ratios and the figures behind them, with a note on what they mean."""
    table = [
        ("voxels z, y, x", "device", "time", "/ Gaussian filter", "memory", "/ volume", "network voxels", "CPU time")
    ]
    for row in rows:
        table.append(
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
        )
    note = (
        f"Time: file to file. Gaussian filter: scipy.ndimage, sigma {SIGMA:g}, float32, one thread; same process and "
        "volume, in memory. Memory: peak of the process's anonymous memory, libraries included. CPU time: all threads."
    )
    return "\n".join([aligned_table(table), "", note, *filter(None, map(_details, rows))])


def aligned_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in plain text too; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in ruled)
    return "\n".join("| " + " | ".join(row) + " |" for row in padded)


def simulate_noise(path: Path, shape: Shape, count: int = 40, reach: int = 6) -> Path:
    """Write a volume of noise with a few dark blobs, and its tilts beside it."""
    rng = np.random.default_rng(0)
    blob = np.exp(-(np.mgrid[(slice(-reach, reach + 1),) * 3] ** 2).sum(0) / 12).astype(np.float32)
    with MrcWriter(path, shape, voxel_size=10.0) as writer:
        for section in writer.data:
            section[:] = rng.standard_normal(shape[1:], dtype=np.float32)
        for _ in range(count):
            first = [int(rng.integers(0, max(1, n - 2 * reach))) for n in shape]
            patch = writer.data[tuple(slice(a, a + 2 * reach + 1) for a in first)]
            patch -= 3 * blob[tuple(slice(n) for n in patch.shape)]
    path.with_suffix(".tlt").write_text("-60\n0\n60\n")
    return path


def _measure(source: Path, shape: Shape, model: Model, fast: bool, progress: Progress) -> SpeedRow:
    reference = _reference_seconds(source)
    cuda = model.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(model.device)
    options = RestoreOptions(device=str(model.device), fast=fast, report=False)
    began = time.process_time()
    with watched_memory() as memory:
        result = restore_tomogram(source, model=model, options=options, progress=progress)
    busy = time.process_time() - began
    rate = compute = traffic = None
    if isinstance(model, RestorationModel):
        products, values = convolution_work(model)
        speed = prod(shape) * result.network_voxels_per_voxel / result.seconds  # network voxels per second
        rate = speed * products
        if cuda:
            flops, bandwidth = card_rates(model.device, torch.float16 if model.half else torch.float32)
            compute, traffic = 2 * rate / flops, speed * values * (2 if model.half else 4) / bandwidth
    threads = f", {torch.get_num_threads()} threads" if model.device.type == "cpu" else ""
    precision = ", half precision" if isinstance(model, RestorationModel) and model.half else ""
    return SpeedRow(
        shape=shape,
        device=f"{model.device}{threads}{precision}",
        model=model.name,
        seconds=result.seconds,
        cpu_seconds=busy,
        reference_seconds=reference,
        memory=max(memory),
        volume_bytes=4 * prod(shape),
        device_memory=torch.cuda.max_memory_allocated(model.device) if cuda else None,
        network_voxels_per_voxel=result.network_voxels_per_voxel,
        rate=rate,
        compute_share=compute,
        traffic_share=traffic,
    )


def _reference_seconds(source: Path) -> float:
    volume = np.array(read_mrc(source).data, np.float32)
    return timeit(lambda: gaussian_filter(volume, SIGMA), number=1)


def _details(row: SpeedRow) -> str:
    parts = []
    if row.rate is not None:
        parts.append(f"{row.rate / 1e9:.3g} G multiply-adds a second")
    if row.device_memory is not None:
        parts.append(f"{row.device_memory / 1e9:.2f} GB on the device")
    if row.compute_share is not None and row.traffic_share is not None:
        parts.append(f"{row.compute_share:.1%} of a matrix product's rate, {row.traffic_share:.1%} of a copy's")
    return f"{_by(row.shape)}: {', '.join(parts)}" if parts else ""


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
