"""Time and memory of `restore_tomogram` on volumes of noise, and how much of the machine it uses.

usage: python tools/profile_restore.py [--sizes 128x128x128 256x256x256 256x512x512] [--model NAME] [--device auto]

Sizes are z, y, x. `CPU s` is the time of all threads together: where others use the machine too, it tells more than the
seconds do. Peak memory is anonymous memory: mapped files can be dropped by the system at any time and do not
count. On CUDA the peak of the allocator is given too, and the arithmetic and the memory traffic of the convolutions as
shares of what this card reaches in a plain matrix product and a plain copy.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cryowae.io.writer import MrcWriter
from cryowae.models.pretrained import RestorationModel, load_model
from cryowae.restore import RestoreOptions, restore_tomogram

Shape = tuple[int, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=_shape, default=[(128,) * 3, (256,) * 3, (256, 512, 512)])
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--consistency", default="off", choices=["off", "soft", "hard"])
    parser.add_argument("--folder", type=Path, default=None, help="where the volumes lie meanwhile")
    words = parser.parse_args()
    model = load_model(words.model, words.device)
    work = _work_per_voxel(model)
    threads = f", {torch.get_num_threads()} threads" if model.device.type == "cpu" else ""
    print(f"{model.name} on {model.device}{threads}: {work['mac'] / 1e3:.1f} k multiply-adds a network voxel")
    names = ("seconds", "CPU s", "voxels/s", "network/voxel", "GMAC/s", "anonymous MB")
    print(f"{'z, y, x':>16} " + " ".join(f"{name:>{max(len(name), 9)}}" for name in names))
    for shape in words.sizes:
        with tempfile.TemporaryDirectory(dir=words.folder) as folder:
            _profile(shape, Path(folder), model, work, words)


def _profile(shape: Shape, folder: Path, model: RestorationModel, work: dict[str, float], words: Any) -> None:
    source = _noise(folder / "noise.mrc", shape)
    (folder / "noise.tlt").write_text("-60\n0\n60\n")
    options = RestoreOptions(device=str(model.device), report=False, consistency=words.consistency)
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    began = time.process_time()
    with _Memory() as memory:
        result = restore_tomogram(source, model=model, options=options)
    busy = time.process_time() - began
    rate = prod(shape) * result.network_voxels_per_voxel / result.seconds
    print(
        f"{' x '.join(map(str, shape)):>16} {result.seconds:9.1f} {busy:9.1f} {prod(shape) / result.seconds:9.3g} "
        f"{result.network_voxels_per_voxel:13.2f} {rate * work['mac'] / 1e9:9.1f} {memory.peak / 1e6:12.0f}",
        flush=True,
    )
    if model.device.type == "cuda":
        flops, bandwidth = _ceilings(model)
        traffic = rate * work["values"] * (2 if model.half else 4)
        print(
            f"{'':>16} device memory {torch.cuda.max_memory_allocated(model.device) / 1e9:.2f} GB, "
            f"{2 * rate * work['mac'] / flops:.1%} of {flops / 1e12:.0f} TFLOP/s in a matrix product, "
            f"{traffic / bandwidth:.1%} of {bandwidth / 1e9:.0f} GB/s in a copy"
        )


def _noise(path: Path, shape: Shape) -> Path:
    rng = np.random.default_rng(0)
    with MrcWriter(path, shape, voxel_size=10.0) as writer:
        for z in range(shape[0]):
            writer.data[z] = rng.standard_normal(shape[1:], dtype=np.float32)
    return path


def _work_per_voxel(model: RestorationModel, edge: int = 64) -> dict[str, float]:
    """Multiply-adds, and values read and written, of all convolutions, per voxel of the input."""
    count = {"mac": 0.0, "values": 0.0}

    def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv3d)
        count["mac"] += output.numel() * layer.weight[0].numel()
        count["values"] += output.numel() + inputs[0].numel()

    layers = [layer for layer in model.network.modules() if isinstance(layer, nn.Conv3d)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    model(torch.zeros(1, 1, edge, edge, edge))
    for hook in hooks:
        hook.remove()
    return {name: value / edge**3 for name, value in count.items()}


def _ceilings(model: RestorationModel, edge: int = 8192) -> tuple[float, float]:
    """Floating-point operations a second of a matrix product, bytes a second of a copy, both measured."""
    kind = torch.float16 if model.half else torch.float32
    matrix = torch.randn(edge, edge, device=model.device, dtype=kind)
    out = torch.empty_like(matrix)
    flops = 2 * edge**3 / _seconds(lambda: torch.matmul(matrix, matrix, out=out))
    return flops, 2 * matrix.nbytes / _seconds(lambda: out.copy_(matrix))


def _seconds(work: Any, repeats: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats


class _Memory:
    """Peak of this process's anonymous memory in bytes, looked at a hundred times a second."""

    def __enter__(self) -> _Memory:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    self.peak = max(self.peak, int(line.split()[1]) * 1024)


def _shape(text: str) -> Shape:
    z, y, x = (int(n) for n in text.split("x"))
    return z, y, x


if __name__ == "__main__":
    main()
