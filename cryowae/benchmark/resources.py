"""What a computation uses: anonymous memory of the process, arithmetic and memory traffic of convolutions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from cryowae.models.weights import RestorationModel


@contextmanager
def watched_memory(read: Callable[[], float] | None = None) -> Iterator[list[float]]:
    """Read this process's anonymous memory a hundred times a second.

    Anonymous memory is what the system cannot take back; mapped files are not part of it.

    Yields
    ------
    seen
        All values in bytes, the first from before the work; their maximum is the peak. NaN where the system does not
        tell, which is all but Linux.
    """
    read = read or anonymous_memory
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


def anonymous_memory(status: str | Path = "/proc/self/status") -> float:
    """Anonymous memory of this process in bytes; NaN where the system does not tell."""
    try:
        lines = Path(status).read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return nan


def convolution_work(model: RestorationModel, edge: int = 64) -> tuple[float, float]:
    """Work of all 3-D convolutions of a network, counted on one window of `edge` voxels along each axis.

    Returns
    -------
    products, values
        Multiply-adds, and numbers read and written (weights left out), per voxel of the window.
    """
    counts = np.zeros(2)

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv3d)
        counts[:] += output.numel() * layer.weight[0].numel(), output.numel() + inputs[0].numel()

    layers = [layer for layer in model.network.modules() if isinstance(layer, nn.Conv3d)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        model(torch.zeros(1, 1, edge, edge, edge))
    finally:
        for hook in hooks:
            hook.remove()
    products, values = counts / edge**3
    return float(products), float(values)


def card_rates(device: torch.device, kind: torch.dtype, edge: int = 8192) -> tuple[float, float]:
    """Floating-point operations per second of a matrix product, and bytes per second of a copy, on a CUDA device."""
    matrix = torch.randn(edge, edge, device=device, dtype=kind)
    names = {"torch": torch, "matrix": matrix, "out": torch.empty_like(matrix)}
    product, copy = (
        Timer(work, globals=names).timeit(20).mean
        for work in ("torch.matmul(matrix, matrix, out=out)", "out.copy_(matrix)")
    )
    return 2 * edge**3 / product, 2 * matrix.nbytes / copy
