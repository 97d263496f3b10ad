"""The physics of a tomogram, estimated from its voxels, so that scenes can be simulated like it.

The signal-to-noise ratio of its projections cannot be read from the voxels directly. It is found by comparison: the
same estimator is applied to the tomogram and to simulated scenes of the same tilts, whose ratio is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config import DataConfig, ImagingConfig, ReconstructionConfig, SceneConfig
from cryowae.data.scene_draws import SimulatedScene, training_scene
from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.observation import ForwardModel
from cryowae.imaging.projection import even_tilts
from cryowae.progress import SILENT, Progress
from cryowae.specimen.library import load_library
from cryowae.tomogram.content import central_block, content_of
from cryowae.tomogram.item import Item
from cryowae.tomogram.spectrum import CENTRES, ShellPower, half_power, shell_power
from cryowae.tomogram.volumes import Volume

STEP = 3.0
"""Degrees between tilts where only the tilt range is known."""

_SCENES = 4
_BAND = (0.02, 0.16)  # cycles per voxel: where molecules have their power
_SIGNIFICANT = (8.0, 12.0)  # over the root of the components of a shell: of one volume, and of halves
_FEWEST = 3  # shells; on pure noise, none of 20 simulated tomograms had as many above these limits
_CLIP = 5.0  # standard deviations; beads and contaminants would dominate the spectrum
_GAINS = 17
_BELOW, _ABOVE = 0.5, 4.0  # range of the signal-to-noise ratio of scenes, relative to the estimate
_LOWEST_GAIN = 0.02  # frequencies that the reconstruction removed


@dataclass(frozen=True)
class Physics:
    """What the simulation of scenes like a tomogram needs.

    Attributes
    ----------
    voxel_size
        Angstrom.
    angles
        Tilts in degrees, in increasing order, with the sign of `kz = +tan(t) kx`.
    snr
        Variance of the noise-free projections over that of their noise, if the noise is white.
    noise_gains
        Amplitude of the noise relative to white noise behind a ramp filter, at frequencies spread evenly from 0 to 0.5
        cycles per voxel; 1 at most.
    spectral_snr
        `(32,)` spectral signal-to-noise ratio of the tomogram in shells up to 0.5 cycles per voxel.
    scene_snrs
        The estimate from each scene: their spread is its uncertainty.
    noise_share
        Share of the tomogram's variance that is noise.
    from_halves
        Whether the noise was measured on halves, or estimated from a single volume.
    """

    voxel_size: float
    angles: tuple[float, ...]
    snr: float
    noise_gains: tuple[float, ...]
    spectral_snr: tuple[float, ...]
    scene_snrs: tuple[float, ...]
    noise_share: float
    from_halves: bool

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Physics:
        """The physics from plain values, as a file has them."""
        plain: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in values.items()}
        return cls(**plain)

    @property
    def summary(self) -> str:
        """One line for the user."""
        low, high = min(self.scene_snrs), max(self.scene_snrs)
        ends = f"{self.angles[0]:+.0f} to {self.angles[-1]:+.0f} degrees ({len(self.angles)} tilts)"
        noise = (
            f"{self.noise_share:.0%} of the variance is noise, {'from the halves' if self.from_halves else 'estimated'}"
        )
        fall = f"{self.noise_gains[4]:.2f} at 0.125 and {self.noise_gains[-1]:.2f} at 0.5 cycles per voxel"
        gains = f"its amplitude falls to {fall}"
        ratio = f"signal-to-noise ratio of a projection {self.snr:.3g} ({low:.2g} to {high:.2g})"
        return f"{self.voxel_size:g} Å, {ends}, {ratio}, {noise}, {gains}"

    def rehearsal(self, base: DataConfig) -> DataConfig:
        """A configuration of scenes with this physics.

        The estimate of the signal-to-noise ratio counts fine signal as noise, so that the range reaches further up than
        down. The filters are random, and the noise is white before them: scenes with the measured spectrum of the noise
        gave better denoising and a worse wedge (docs/ablation.md).
        """
        changes = {
            "plain": 1.0,
            "voxel_size": self.voxel_size,
            "angles": self.angles,
            "snr": (self.snr * _BELOW, self.snr * _ABOVE),
        }
        return base.model_copy(update=changes)

    def noise(self, shape: tuple[int, int, int], seed: int) -> Tensor:
        """`(z, y, x)` simulated noise in units of the tomogram's standard deviation."""
        filters = ReconstructionConfig(filter="ramp")
        imaging = ImagingConfig(angles=self.angles, noise_gains=self.noise_gains)
        scene = SceneConfig(shape=shape, voxel_size=self.voxel_size, imaging=imaging, reconstruction=filters)
        model = ForwardModel(scene)
        noise = model.reconstruct(model.noise(1, torch.Generator().manual_seed(seed)))[0]
        scaled: Tensor = noise * (self.noise_share**0.5 / float(noise.std()))
        return scaled


def measure_physics(item: Item, base: DataConfig, seed: int = 0, progress: Progress = SILENT) -> Physics:
    """Estimate the physics of a tomogram.

    Parameters
    ----------
    item
        The tomogram; with halves, the noise is measured on them.
    base
        Content of the scenes that it is compared with.
    seed
        Seed of these scenes.
    progress
        Receives the progress, scene by scene.

    Raises
    ------
    TomogramError
        If there is no signal above the noise at the size of molecules.
    TiltError
        If the tilt range is not known.
    """
    wedge, size, angles = item.wedge, item.tomogram.voxel_size, tilts_of(item)
    seen = _seen(item)
    ratio, limit = seen.snr, _SIGNIFICANT[item.halves is not None]
    used = (ratio > limit / np.sqrt(np.maximum(seen.count, 1))) & np.logical_and(*_band(CENTRES))
    if used.sum() < _FEWEST:
        raise TomogramError(
            f"{item.tomogram.path} has no signal above the noise between {size / _BAND[1]:.0f} and "
            f"{size / _BAND[0]:.0f} Å: expected a tomogram of molecules; is it the right file?"
        )
    # molecules in every scene: the ratio of an empty one is not defined
    filled = {"plain": 1.0, "vacant": 0.0, "voxel_size": size, "angles": angles, "gains": (1.0, 1.0), "plain_ctf": 0.0}
    plain = base.model_copy(update=filled)
    library = load_library(plain.structures)
    numbers = progress.track("simulate scenes to compare with", range(_SCENES), "scenes")
    scenes = [training_scene(plain, seed, number, library) for number in numbers]
    found = [float(np.median(ratio[used] / _unit_snr(scene, wedge)[used])) for scene in scenes]
    noise = np.mean([_power(scene.noise[0].float().numpy(), wedge) for scene in scenes], axis=0)
    gains = np.sqrt(seen.noise / np.maximum(seen.count, 1) / np.maximum(noise, np.finfo(np.float32).tiny))
    return Physics(
        size,
        angles,
        float(np.exp(np.mean(np.log(found)))),
        _smooth(gains),
        tuple(ratio.tolist()),
        tuple(found),
        float(min(1.0, seen.noise.sum() / seen.power.sum())),
        item.halves is not None,
    )


def tilts_of(item: Item) -> tuple[float, ...]:
    """The tilts of a tomogram in degrees, ascending; even ones where only their range is known."""
    wedge = item.wedge
    if item.tomogram.tilts is not None:
        return tuple(sorted({float(angle) for angle in item.tomogram.tilts}))
    return even_tilts(wedge.tilt_min, wedge.tilt_max, STEP)


def _seen(item: Item) -> ShellPower:
    """Power of the central block and of its noise: from the halves if there are any."""
    if item.halves is None:
        return shell_power(_block(item.volume), item.wedge)
    return half_power(_block(item.halves[0]), _block(item.halves[1]), item.wedge)


def _unit_snr(scene: SimulatedScene, wedge: Wedge) -> NDArray[np.float64]:
    """`(32,)` spectral ratio of a scene whose projections have a signal-to-noise ratio of 1."""
    signal, noise = (_power(volume.float().numpy(), wedge) for volume in (scene.signal, scene.noise[0]))
    return np.divide(signal, scene.contrast**2 * noise, out=np.ones_like(signal), where=(signal > 0) & (noise > 0))


def _power(volume: NDArray[np.float32], wedge: Wedge) -> NDArray[np.float64]:
    found = shell_power(volume, wedge)
    return found.power / np.maximum(found.count, 1)


def _block(volume: Volume) -> NDArray[np.float32]:
    """The central block in units of the standard deviation, without the tails of beads."""
    content = content_of(volume)
    statistics = content.statistics
    block = (central_block(content) - np.float32(statistics.mean)) / np.float32(statistics.sigma)
    return np.asarray(np.clip(block, -_CLIP, _CLIP), np.float32)


def _band(k: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    low, high = _BAND
    return k >= low, k < high


def _smooth(gains: NDArray[np.float64]) -> tuple[float, ...]:
    places = np.linspace(0, 0.5, _GAINS)
    width = 1 / (2 * (_GAINS - 1))
    weights = np.exp(-0.5 * ((places[:, None] - CENTRES) / width) ** 2) * _band(CENTRES)[0]
    even = (weights * gains).sum(1) / weights.sum(1)
    return tuple(np.round((even / even.max()).clip(_LOWEST_GAIN), 4).tolist())
