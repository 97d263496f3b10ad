"""Simulated training data: a subtomogram with wedge and noise, its other half, and the true structure.

Scenes are simulated in the background and kept in memory, not on disk. Reconstruction is linear, so every
subtomogram is a new mixture: a crop of the signal of a scene, and two crops of its noise from other places, at a random
signal-to-noise ratio. The batch of step `i` depends on the seed and `i` alone, so that a run can be resumed.
"""

from __future__ import annotations

import math
import multiprocessing
import pickle
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np
import torch
from torch import Tensor

from cryowae.config import DataConfig
from cryowae.data.scene_draws import SimulatedScene, training_scene
from cryowae.fourier.rotation import HALF_TURNS
from cryowae.io.memory import require_memory
from cryowae.objectives import Batch, BatchSource
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library
from cryowae.specimen.structures import Structure
from cryowae.tomogram.statistics import OUTLIER

_SECONDS = 5.0  # between two lines about the first scenes
_INSTEAD = "; or train on generated structures alone, by --set 'data.structures=[]'"
_BYTES_PER_VOXEL = 8  # of a scene in the pool: truth, signal and two noises in half precision
_Draw = tuple[Tensor, tuple[float, ...], Tensor, tuple[float, float]]


class SyntheticPairs(BatchSource):
    """Provides batches by step number; use as a context manager, which stops the background processes.

    Parameters
    ----------
    config
        Settings of the simulation; `workers` processes make scenes in advance; with 0 they are made on demand.
    seed
        Seed of the scenes and samples.
    device
        Device of the batches and scenes; without workers, scenes are also made there.
    rank
        Number of this process among those that train together; each has its own scenes.
    noise
        `(2, z, y, x)` two volumes of real noise, used in place of the simulated one, at its standard deviation.
    progress
        Is told how many scenes there are, while the first batch waits for them.
    """

    def __init__(
        self,
        config: DataConfig,
        seed: int,
        device: str = "cpu",
        rank: int = 0,
        noise: Tensor | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.config, self.device, self.seed, self.noise = config, device, seed + 7919 * rank, noise
        self._progress, self._told = progress, time.monotonic()
        _require_memory(config)
        self._scenes: dict[int, SimulatedScene] = {}
        self._pending: dict[int, Future[bytes]] = {}
        self._library = load_library(config.structures, _INSTEAD)
        self._executor: ProcessPoolExecutor | None = None
        if config.workers:
            spawn = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(config.workers, spawn, _start_worker, (pickle.dumps(self._library),))

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def batch(self, step: int) -> Batch:
        """Subtomograms for training step `step`."""
        pool = self._serve(step * self.config.batch // self.config.crops_per_scene)
        rng = np.random.default_rng([self.seed, 2, step])
        scenes = (pool[int(rng.integers(len(pool)))] for _ in range(self.config.batch))
        volumes, numbers, thin, tilts = zip(*(self._draw(scene, rng) for scene in scenes), strict=True)
        truth, signal, first, second = torch.stack(volumes).float().unsqueeze(2).unbind(1)
        present, level, gain, shift, truth_std = torch.tensor(numbers).to(self.device).T
        tomograms = torch.stack(thin)
        gain = gain / _spread(present[:, None] * tomograms[:, 0] + level[:, None] * tomograms[:, 1])
        scale = torch.hypot(gain * present * truth_std, torch.full_like(gain, self.config.faint + 1e-3))
        present, level, gain, shift = (number[:, None, None, None, None] for number in (present, level, gain, shift))
        seen = present * signal
        observation, other = (gain * (seen + level * noise) + shift for noise in (first, second))
        return Batch(observation.clamp(-OUTLIER, OUTLIER), gain * present * truth, other, scale, tilts)

    def _draw(self, scene: SimulatedScene, rng: np.random.Generator) -> _Draw:
        """The random choices of one sample: crops `(4, z, y, x)` of the truth, the signal and two noises, the numbers
        by which they are mixed (share of the signal, noise level, gain, shift, and the truth's standard deviation), a
        sample of the scene, and the tilts.
        """
        shapes = (scene.truth.shape, *(scene.noise.shape[1:] for _ in range(2)))
        place, elsewhere, there = (_corner(shape, self.config.crop, rng) for shape in shapes)
        snr = float(np.exp(rng.uniform(*np.log(self.config.snr))))
        present = float(rng.random() >= self.config.empty)
        gain, shift = float(np.exp(rng.normal(0, 0.05))), float(rng.normal(0, 0.03))
        noise = [scene.noise[0][elsewhere], scene.noise[1][there]]
        order = int(rng.integers(2))
        turn = int(rng.integers(4))
        volumes = torch.stack([scene.truth[place], scene.signal[place], noise[order], noise[1 - order]])
        tilts = (-scene.tilt_max, -scene.tilt_min) if turn in _REVERSING else (scene.tilt_min, scene.tilt_max)
        numbers = (present, scene.contrast / snr**0.5, gain, shift, scene.truth_std)
        return volumes.flip(HALF_TURNS[turn]), numbers, scene.thin, tilts

    def _serve(self, first: int) -> list[SimulatedScene]:
        end = first + self.config.pool
        for index in range(first, end + 2 * self.config.workers):
            if self._executor and index not in self._scenes and index not in self._pending:
                self._pending[index] = self._executor.submit(_work, self.config, self.seed, index)
        kept = {index: scene for index, scene in self._scenes.items() if index >= first}
        waiting = not kept
        for index in range(first, end):
            if index not in kept:
                kept[index] = self._make(index)
            if waiting and time.monotonic() - self._told >= _SECONDS:
                self._progress.say(f"{index - first + 1} of {end - first} scenes are simulated")
                self._told = time.monotonic()
        self._scenes = kept
        return [self._scenes[index] for index in range(first, end)]

    def _make(self, index: int) -> SimulatedScene:
        if self._executor is None:
            scene = training_scene(self.config, self.seed, index, self._library, self.device)
        else:
            made: SimulatedScene = pickle.loads(self._pending.pop(index).result())
            scene = made.to(self.device)
        return scene if self.noise is None else scene.with_noise(self.noise)


def _require_memory(config: DataConfig) -> None:
    """Raise an error in one line if the scenes and a batch do not fit into memory."""
    scenes = (config.pool + 3 * config.workers) * math.prod(config.scene) * _BYTES_PER_VOXEL
    batch = 2 * 4 * 4 * config.batch * config.crop**3  # four volumes of four bytes, twice
    size = " x ".join(map(str, config.scene[::-1]))
    what = f"a pool of {config.pool} scenes of {size} voxels, with batches of {config.batch} x {config.crop}³,"
    require_memory(scenes + batch, what, "make data.pool, data.scene, data.batch or data.crop smaller")


def _corner(shape: Sequence[int], size: int, rng: np.random.Generator) -> tuple[slice, ...]:
    starts = [int(rng.integers(0, n - size + 1)) for n in shape]
    return tuple(slice(s, s + size) for s in starts)


_REVERSING = (1, 3)  # half turns about z and about x reverse the sign of every tilt


def _spread(tomograms: Tensor) -> Tensor:
    """Standard deviation of each of `(n, voxels)` as in a restoration, without synchronising the device.

    `robust_statistics` iterates until it converges; on training data five iterations give the same to 1e-6.
    """
    mean = tomograms.median(1, keepdim=True).values
    sigma = 1.4826 * (tomograms - mean).abs().median(1, keepdim=True).values
    for _ in range(5):
        kept = (tomograms - mean).abs() <= OUTLIER * sigma
        count = kept.sum(1, keepdim=True)
        mean = (tomograms * kept).sum(1, keepdim=True) / count
        sigma = (((tomograms - mean) * kept).square().sum(1, keepdim=True) / count).sqrt()
    return sigma[:, 0]


_LIBRARY: list[Structure] = []


def _start_worker(library: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _LIBRARY.extend(pickle.loads(library))


def _work(config: DataConfig, seed: int, index: int) -> bytes:
    # as bytes, since tensors would use /dev/shm, which is often limited to 64 MB in a container
    return pickle.dumps(training_scene(config, seed, index, _LIBRARY))
