"""Application of a network to a volume of any size, window by window.

The volume is continued by reflection at its far ends to multiples of the network's stride. Windows are added directly
into the output, usually a mapped file. So the memory is that of one window, for any size of the volume.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.progress import SILENT, Progress
from cryowae.restore.windows import Shape, Tiling, WindowPlan, plan_windows
from cryowae.tomogram.volumes import Volume

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate")


def apply_tiled(
    model: Callable[[torch.Tensor, Shape], torch.Tensor],
    volume: Volume,
    out: NDArray[np.float32],
    tiling: Tiling | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress = SILENT,
) -> WindowPlan:
    """Apply a network to a volume, window by window.

    If a window does not fit into the memory, it starts again with windows of half the voxels, and reports this to
    `progress`.

    Parameters
    ----------
    model
        Takes and returns `(1, 1, z, y, x)` float tensors on `device`, each axis a multiple of the stride. It also gets
        the origin of the window.
    volume
        `(z, y, x)`, read block by block.
    out
        `(z, y, x)` float32, written; an array or a mapped file.
    tiling
        Requirements on the windows.
    device, progress
        Device of the model; receives the progress of every window.

    Returns
    -------
    plan
        The windows that were used.

    Raises
    ------
    TomogramError
        If even the smallest window does not fit into the memory.
    """
    shape = (out.shape[0], out.shape[1], out.shape[2])
    if tuple(volume.shape) != shape:
        raise ValueError(f"volume {tuple(volume.shape)} and output {shape} differ in shape")
    tiling = tiling or Tiling()
    while True:
        plan = plan_windows(shape, tiling)
        weights = [plan.weights(axis) for axis in range(3)]
        for section in range(shape[0]):
            out[section] = 0
        progress.begin("restoring", len(plan), "windows")
        try:
            for index in plan:
                start = (plan.starts[0][index[0]], plan.starts[1][index[1]], plan.starts[2][index[2]])
                block = torch.from_numpy(read_window(volume, start, plan.window)).to(device)[None, None]
                with torch.inference_mode():
                    answer = model(block, start)[0, 0].float().cpu().numpy().copy()
                if answer.shape != plan.window:
                    raise ValueError(f"the model gave {answer.shape} for a window of {plan.window}")
                for axis, i in enumerate(index):
                    answer *= weights[axis][i].reshape([-1 if a == axis else 1 for a in range(3)])
                inner = tuple(slice(s, min(s + w, n)) for s, w, n in zip(start, plan.window, shape, strict=True))
                out[inner] += answer[tuple(slice(0, part.stop - part.start) for part in inner)]
                progress.advance()
            return plan
        except (torch.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            if not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
                raise
        finally:
            progress.end()
        _release(torch.device(device))
        tiling = replace(tiling, max_voxels=prod(plan.window) // 2, window=None, overlap=None)
        smaller = plan_windows(shape, tiling)
        if prod(smaller.window) >= prod(plan.window):
            raise TomogramError(
                f"a window of only {_words(plan.window)} voxels does not fit into the memory of {device}: "
                "close other programs that use it, or choose another --device"
            )
        progress.say(f"Out of memory with windows of {_words(plan.window)}; continuing with {_words(smaller.window)}.")


def read_window(volume: Volume, start: Shape, size: Shape) -> NDArray[np.float32]:
    """A block of the volume, continued beyond its far ends by reflection, as often as needed.

    Parameters
    ----------
    volume
        `(z, y, x)`, any real type.
    start, size
        Origin and shape of the block; the origin lies inside.

    Returns
    -------
    block
        `size`, float32.
    """
    inner = tuple(slice(s, min(s + w, n)) for s, w, n in zip(start, size, volume.shape, strict=True))
    block = np.asarray(volume[inner], dtype=np.float32)
    for axis, (s, w, n) in enumerate(zip(start, size, volume.shape, strict=True)):
        if s + w > n:
            block = np.take(block, _reflected(n, s + w)[s:] - s, axis=axis)
    return np.ascontiguousarray(block)


def _release(device: torch.device) -> None:
    """Release the memory of a failed window."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _reflected(n: int, length: int) -> NDArray[np.int64]:
    """Indices 0 ... n-1, n-2 ... 1, 0, 1 ...: a triangular wave."""
    period = max(2 * (n - 1), 1)
    phase = np.arange(length) % period
    return np.minimum(phase, period - phase) if n > 1 else np.zeros(length, dtype=np.int64)


def _words(shape: Shape) -> str:
    return "x".join(str(n) for n in shape)
