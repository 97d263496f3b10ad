"""Simulated pairs on the fly: a subtomogram with wedge and noise, its other half, and the structure behind both.

Scenes are made in the background, wait in memory, and never touch the disk. Since reconstruction is linear, every
subtomogram is mixed anew of a place in a scene's signal, two other places in its noise, and a signal-to-noise ratio.
What step `i` gets depends on the seed and `i` alone, so that a run can be resumed.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from cryowae.config import DataConfig
from cryowae.data.library import load_library
from cryowae.data.scenes import SimulatedScene, simulate_scene
from cryowae.models.pretrained import CLIP
from cryowae.physics.rotation import HALF_TURNS
from cryowae.physics.structures import Structure


@dataclass(frozen=True)
class Batch:
    """Subtomograms of one training step.

    Attributes
    ----------
    observation, other
        `(n, 1, z, y, x)` two independent noisy halves, in units of the tomogram's standard deviation, protein bright.
    truth
        `(n, 1, z, y, x)` the structure in the same units, 0 in the solvent.
    scale
        `(n,)` standard deviation of the structure over its whole scene, same units; `faint` is added in squares.
    tilts
        `(tilt_min, tilt_max)` of each sample, degrees.
    """

    observation: Tensor
    other: Tensor
    truth: Tensor
    scale: Tensor
    tilts: tuple[tuple[float, float], ...]


class SyntheticPairs:
    """Serves batches by step number; use as a context manager, which stops the background processes.

    Parameters
    ----------
    config
        What to simulate; `workers` processes make scenes ahead of need, 0 makes them when they are needed.
    seed
        Starts the stream of scenes and of samples.
    device
        Where batches go; scenes are kept and, without workers, made there too.
    rank
        Number of this process among those that train together: each sees scenes of its own.
    """

    def __init__(self, config: DataConfig, seed: int, device: str = "cpu", rank: int = 0) -> None:
        self.config, self.device, self.seed = config, device, seed + 7919 * rank
        self._scenes: dict[int, SimulatedScene] = {}
        self._pending: dict[int, Future[SimulatedScene]] = {}
        self._library: list[Structure] = []
        self._executor: ProcessPoolExecutor | None = None
        if config.workers:
            self._executor = ProcessPoolExecutor(
                config.workers, multiprocessing.get_context("spawn"), _start_worker, (config.structures,)
            )
        else:
            self._library = load_library(config.structures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def batch(self, step: int) -> Batch:
        """Subtomograms for training step `step`."""
        pool = self._serve(step * self.config.batch // self.config.crops_per_scene)
        rng = np.random.default_rng([self.seed, 2, step])
        samples = [self._sample(pool[int(rng.integers(len(pool)))], rng) for _ in range(self.config.batch)]
        observation, other, truth, scale, tilts = zip(*samples, strict=True)
        first, second, clean = (torch.stack(part)[:, None] for part in (observation, other, truth))
        return Batch(first, second, clean, torch.tensor(scale, device=self.device), tilts)

    def _sample(
        self, scene: SimulatedScene, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, float, tuple[float, float]]:
        size = self.config.crop
        place, elsewhere, there = (_corner(scene.truth.shape, size, rng) for _ in range(3))
        snr = float(np.exp(rng.uniform(*np.log(self.config.snr))))
        noise_level = scene.contrast / snr**0.5
        present = float(rng.random() >= self.config.empty)
        gain = float(np.exp(rng.normal(0, 0.05))) / scene.spread(present, noise_level)
        shift = float(rng.normal(0, 0.03))
        truth = scene.truth[place].float() * (gain * present)
        signal_part = scene.signal[place].float() * (gain * present) + shift
        noise = [scene.noise[i][where].float() * (gain * noise_level) for i, where in enumerate((elsewhere, there))]
        order = int(rng.integers(2))
        turn = int(rng.integers(4))
        turned = _half_turn([signal_part + noise[order], signal_part + noise[1 - order], truth], turn)
        observation, other, truth = (volume.to(self.device) for volume in turned)
        scale = float(np.hypot(gain * present * scene.truth_std, self.config.faint + 1e-3))
        tilts = (-scene.tilt_max, -scene.tilt_min) if turn in _REVERSING else (scene.tilt_min, scene.tilt_max)
        return observation.clamp(-CLIP, CLIP), other, truth, scale, tilts

    def _serve(self, first: int) -> list[SimulatedScene]:
        wanted = range(first, first + self.config.pool)
        for index in [i for i in self._scenes if i < first]:
            del self._scenes[index]
        ahead = range(first, first + self.config.pool + 2 * self.config.workers)
        if self._executor is None:
            for index in wanted:
                if index not in self._scenes:
                    self._scenes[index] = simulate_scene(self.config, self.seed, index, self._library, self.device)
        else:
            for index in ahead:
                if index not in self._scenes and index not in self._pending:
                    self._pending[index] = self._executor.submit(_work, self.config, self.seed, index)
            for index in wanted:
                if index not in self._scenes:
                    self._scenes[index] = self._pending.pop(index).result().to(self.device)
        return [self._scenes[index] for index in wanted]


def _corner(shape: Sequence[int], size: int, rng: np.random.Generator) -> tuple[slice, ...]:
    starts = [int(rng.integers(0, n - size + 1)) for n in shape]
    return tuple(slice(s, s + size) for s in starts)


_REVERSING = (1, 3)  # half turns about z and about x reverse the sign of every tilt


def _half_turn(volumes: list[Tensor], which: int) -> list[Tensor]:
    axes = HALF_TURNS[which]
    return [volume.flip(axes) if axes else volume for volume in volumes]


_LIBRARY: list[Structure] = []


def _start_worker(names: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _LIBRARY.extend(load_library(names))


def _work(config: DataConfig, seed: int, index: int) -> SimulatedScene:
    return simulate_scene(config, seed, index, _LIBRARY)
