"""Cost of a restoration on simulated volumes: time and memory relative to a plain filter and to the volume size.

Run times depend on the machine and on other processes. The same volume is therefore also filtered, in the same process,
by `scipy.ndimage.gaussian_filter` of 2 voxels in float32, which uses one thread.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan, prod
from pathlib import Path
from timeit import timeit

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.benchmark import Timer

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
    seconds, cpu_seconds
        Wall-clock time from the input file to the finished output file; CPU time of all threads together, which other
        processes do not prolong.
    reference_seconds
        Time of the reference filter on the same volume, in memory.
    memory
        Peak of the process's anonymous memory in bytes, with the program and its libraries; see `watched_memory`.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the volume.
    rate
        Multiply-adds of the network's convolutions per second; None if the model is no network.
    device_memory
        Peak of the CUDA allocator in bytes; None on other devices.
    compute_share, traffic_share
        On CUDA: arithmetic and memory traffic of the convolutions, relative to the rates of a matrix product and of a
        copy on the same card.
    """

    shape: Shape
    device: str
    seconds: float
    cpu_seconds: float
    reference_seconds: float
    memory: float
    network_voxels_per_voxel: float
    rate: float | None = None
    device_memory: float | None = None
    compute_share: float | None = None
    traffic_share: float | None = None

    def cells(self) -> dict[str, str]:
        """A row of the table: heading and text."""
        volume = 4 * prod(self.shape)  # bytes in float32
        return {
            "voxels z, y, x": _by(self.shape),
            "device": self.device,
            "time": f"{self.seconds:.3g} s",
            "/ Gaussian filter": f"{self.seconds / self.reference_seconds:.3g} x {self.reference_seconds:.3g} s",
            "memory": f"{self.memory / 1e6:.0f} MB",
            "/ volume": f"{self.memory / volume:.3g} x {volume / 1e6:.3g} MB",
            "network voxels": f"{self.network_voxels_per_voxel:.2f} per voxel",
            "CPU time": f"{self.cpu_seconds:.3g} s",
        }

    def details(self) -> str:
        """Further figures, if there are any."""
        parts = []
        if self.rate is not None:
            parts.append(f"{self.rate / 1e9:.3g} G multiply-adds a second")
        if self.device_memory is not None:
            parts.append(f"{self.device_memory / 1e9:.2f} GB on the device")
        if self.compute_share is not None:
            parts.append(f"{self.compute_share:.1%} of a matrix product's rate, {self.traffic_share:.1%} of a copy's")
        return f"{_by(self.shape)}: {', '.join(parts)}" if parts else ""


def measure_speed(
    sizes: Sequence[Shape],
    device: str = "auto",
    model: Model | str | Path = "default",
    fast: bool = False,
    progress: Progress = SILENT,
) -> list[SpeedRow]:
    """Restore volumes of noise with blobs, one per size, and measure the cost.

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
        Receives the progress of every window.

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
    """A Markdown table of the ratios and the figures behind them, with an explanation."""
    note = (
        f"Time: file to file. Gaussian filter: scipy.ndimage, sigma {SIGMA:g}, float32, one thread; same process and "
        "volume, in memory. Memory: peak of the process's anonymous memory, libraries included. CPU time: all threads."
    )
    details = [row.details() for row in rows]
    return "\n".join([aligned_table([row.cells() for row in rows]), "", note, *filter(None, details)])


def aligned_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table whose columns are aligned in plain text too; every row has the same headings."""
    widths = {heading: max(len(heading), *(len(row[heading]) for row in rows)) for heading in rows[0]}
    ruled = [{h: h for h in widths}, {h: "-" * width for h, width in widths.items()}, *rows]
    return "\n".join("| " + " | ".join(row[h].ljust(width) for h, width in widths.items()) + " |" for row in ruled)


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


def anonymous_memory(status: str | Path = "/proc/self/status") -> float:
    """Anonymous memory of this process in bytes; NaN where the system does not report it."""
    try:
        lines = Path(status).read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return nan


@contextmanager
def watched_memory(read: Callable[[], float] = anonymous_memory) -> Iterator[list[float]]:
    """Read this process's anonymous memory a hundred times a second.

    Anonymous memory cannot be released by the system; mapped files are not part of it.

    Yields
    ------
    seen
        All values in bytes, the first from before the work; their maximum is the peak. NaN where the system does not
        report it: only Linux does.
    """
    seen, stop = [read()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            seen.append(read())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def convolution_work(model: RestorationModel, edge: int = 64) -> tuple[float, float]:
    """Work of all 3-D convolutions of a network, counted on one window of `edge` voxels along each axis.

    Returns
    -------
    products, values
        Multiply-adds, and numbers read and written (weights left out), per voxel of the window.
    """
    counts = np.zeros(2)

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv3d):
            counts[:] += output.numel() * layer.weight[0].numel(), output.numel() + inputs[0].numel()

    with register_module_forward_hook(add):
        model(torch.zeros(1, 1, edge, edge, edge))
    products, values = counts / edge**3
    return float(products), float(values)


def card_rates(device: torch.device, kind: torch.dtype, edge: int = 8192) -> tuple[float, float]:
    """Floating-point operations per second of a matrix product, and bytes per second of a copy, on a CUDA device."""
    matrix = torch.randn(edge, edge, device=device, dtype=kind)
    names = {"torch": torch, "matrix": matrix, "out": torch.empty_like(matrix)}
    works = ("torch.matmul(matrix, matrix, out=out)", "out.copy_(matrix)")
    product, copy = (Timer(work, globals=names).timeit(20).mean for work in works)
    return 2 * edge**3 / product, 2 * matrix.nbytes / copy


def _measure(source: Path, shape: Shape, model: Model, fast: bool, progress: Progress) -> SpeedRow:
    reference = _reference_seconds(source)
    cuda, half = model.device.type == "cuda", isinstance(model, RestorationModel) and model.half
    if cuda:
        torch.cuda.reset_peak_memory_stats(model.device)
    options = RestoreOptions(device=str(model.device), fast=fast, report=False)
    began = time.process_time()
    with watched_memory() as memory:
        done = restore_tomogram(source, model=model, options=options, progress=progress)
    busy = time.process_time() - began
    more: dict[str, float] = {}
    if cuda:
        more["device_memory"] = torch.cuda.max_memory_allocated(model.device)
    if isinstance(model, RestorationModel):
        products, values = convolution_work(model)
        speed = prod(shape) * done.network_voxels_per_voxel / done.seconds  # network voxels per second
        more["rate"] = speed * products
        if cuda:
            flops, bandwidth = card_rates(model.device, torch.float16 if half else torch.float32)
            more["compute_share"] = 2 * speed * products / flops
            more["traffic_share"] = speed * values * (2 if half else 4) / bandwidth
    threads = f", {torch.get_num_threads()} threads" if model.device.type == "cpu" else ""
    device = f"{model.device}{threads}{', half precision' if half else ''}"
    return SpeedRow(shape, device, done.seconds, busy, reference, max(memory), done.network_voxels_per_voxel, **more)


def _reference_seconds(source: Path) -> float:
    volume = np.array(read_mrc(source).data, np.float32)
    return timeit(lambda: gaussian_filter(volume, SIGMA), number=1)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
