"""Random scenes for training: a random configuration, simulated like any other scene.

Both functions are deterministic. The pool of subtomograms (`cryowae.data`) increases the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cryowae.config import DataConfig, ImagingConfig, MoleculesConfig, ReconstructionConfig, SceneConfig
from cryowae.imaging.projection import even_tilts
from cryowae.specimen.builder import build_specimen, observe_specimen
from cryowae.specimen.structures import Structure
from cryowae.specimen.surroundings import GOLD

_VOXEL_SIZES = (8.0, 9.0, 10.0, 11.0, 12.0, 13.5, 15.0, 17.0, 20.0)
_BEAD_TRUTH = 3.0  # where protein is 1; with the real density of gold, beads would dominate the objective
_BACKGROUND = (0.02, 0.15)  # smallest and largest standard deviation, where protein is 1
_MOST_OCCUPANCY = 0.5  # random placement does not reach higher occupancies


@dataclass(frozen=True)
class SimulatedScene:
    """The part of a scene that training needs, in half precision.

    Attributes
    ----------
    truth, signal
        `(z, y, x)` the density and its noise-free reconstruction.
    noise
        `(2, z, y, x)` reconstructions of unit noise.
    contrast
        Standard deviation of the noise-free projections without gold, 1 in empty scenes; multiplied by
        `snr ** -0.5` it is that of the noise.
    truth_std
        Standard deviation of the density without gold.
    tilt_min, tilt_max
        Degrees.
    """

    truth: Tensor
    signal: Tensor
    noise: Tensor
    contrast: float
    truth_std: float
    tilt_min: float
    tilt_max: float

    @cached_property
    def thin(self) -> Tensor:
        """`(2, voxels)` float32: every third voxel along each axis of the signal, and of the first noise."""
        signal, noise = (v[::3, ::3, ::3].float().flatten() for v in (self.signal, self.noise[0]))
        return torch.stack([signal, noise.repeat(-(-len(signal) // len(noise)))[: len(signal)]])

    def to(self, device: str) -> SimulatedScene:
        """The same scene with its volumes on a device."""
        return replace(self, truth=self.truth.to(device), signal=self.signal.to(device), noise=self.noise.to(device))

    def with_noise(self, noise: Tensor) -> SimulatedScene:
        """The same scene with other noise, `(2, z, y, x)`, brought to the standard deviation of its own."""
        scale = self.noise.float().std() / noise.float().std()
        scaled = (noise.to(self.truth.device).float() * scale).half()
        return replace(self, noise=scaled)


def training_scene(
    config: DataConfig, seed: int, index: int, library: Sequence[Structure], device: str = "cpu"
) -> SimulatedScene:
    """Make scene number `index` of the random sequence of `seed`.

    Parameters
    ----------
    config
        Ranges of the random values.
    seed, index
        The same two numbers give the same scene on one machine.
    library
        The structures that `config.structures` names; artificial ones are made as needed.
    device
        Device of the scene.
    """
    scene = draw_scene(config, seed, index)
    named = dict(zip(config.structures, library, strict=True))
    specimen = build_specimen(scene, [named[name] for name in scene.molecules.library], device)
    seen = observe_specimen(specimen, scene)
    protein = specimen.density
    if specimen.gold is not None:
        start, width = -scene.origin[2], scene.shape[2]
        protein = protein - _BEAD_TRUTH / GOLD * specimen.gold[:, :, start : start + width]
    truth, signal, noise = (volume.half() for volume in (specimen.density, seen.signal, seen.noise))
    return SimulatedScene(truth, signal, noise, seen.contrast, float(protein.std()), seen.angles[0], seen.angles[-1])


def draw_scene(config: DataConfig, seed: int, index: int) -> SceneConfig:
    """The configuration of a training scene; `cryowae simulate scene` makes the same scene from it.

    Parameters
    ----------
    config
        Ranges of the random values.
    seed, index
        The same two numbers give the same configuration.
    """
    rng = np.random.default_rng([seed, 1, index])

    def happens(share: float) -> bool:
        return bool(rng.random() < share)

    def number(share: float, most: int) -> int:
        return int(rng.integers(1, most + 1)) if happens(share) else 0

    plain = happens(config.plain)
    varied = 0.0 if plain else 1.0  # share of features that plain scenes never have
    depth, (finest, coarsest) = config.scene[0], config.voxel_sizes
    known = [size for size in _VOXEL_SIZES if finest <= size <= coarsest] or [finest, coarsest]
    voxel_sizes = [config.voxel_size] if plain else known
    voxel_size = float(rng.choice(voxel_sizes))
    slab = int(rng.integers(depth // 2, depth + 1)) if happens(0.6 * varied) else depth
    microscope = happens(config.ctf * varied)
    if plain and config.plain_ctf:
        microscope = happens(config.plain_ctf)
    low, high = np.log(_BACKGROUND)
    background = float(np.exp(rng.uniform(low, high))) if config.background and happens(config.background) else 0.0
    return SceneConfig(
        name=f"training-{seed}-{index}",
        seed=int(rng.integers(2**31)),
        shape=config.scene,
        voxel_size=voxel_size,
        thickness=slab * voxel_size,
        above=int(rng.integers(depth - slab + 1)) * voxel_size,
        beyond=1.5 if happens(0.5 * varied) else 1.0,
        overhang=happens(0.5),
        molecules=_draw_molecules(config, rng),
        membranes=number(config.membranes, 3),
        filaments=number(config.filaments, 4),
        vesicles=number(config.vesicles, 3),
        beads=number(config.beads * varied, 4),
        bead_diameter=float(rng.choice([60.0, 100.0, 100.0, 150.0])),
        bead_truth=_BEAD_TRUTH,
        spheres_within="specimen",
        ice=float(rng.uniform(0.02, 0.15)) if happens(config.ice * varied) else 0.0,
        background=background,
        imaging=ImagingConfig(
            tilts=config.tilts,
            angles=config.angles if plain else _draw_angles(rng),
            growth=float(happens(0.5 * varied)),
            noise_gains=config.noise_gains if plain else None,
            **(_draw_microscope(rng) if microscope else {}),
        ),
        reconstruction=ReconstructionConfig(filter="ramp", gains=config.gains)
        if plain and config.gains is not None
        else _draw_reconstruction(rng, flip=0.5 if microscope else 0.0),
    )


def _draw_molecules(config: DataConfig, rng: np.random.Generator) -> MoleculesConfig:
    kinds = 0 if rng.random() < config.vacant else int(rng.integers(3, 9))
    invented = int(rng.binomial(kinds, config.procedural)) if config.structures else kinds
    known = rng.permutation(len(config.structures))[: kinds - invented]
    return MoleculesConfig(
        procedural=invented,
        library=tuple(config.structures[int(i)] for i in known),
        occupancy=min(float(np.exp(rng.uniform(*np.log(config.occupancy)))), _MOST_OCCUPANCY),
        jitter=float(rng.choice([0.0, 0.2])),
    )


def _draw_angles(rng: np.random.Generator) -> tuple[float, ...]:
    low, high = -rng.uniform(40, 70), rng.uniform(40, 70)
    if rng.random() < 0.3:
        low, high = -60.0, 60.0
    step = float(rng.choice([1.0, 1.5, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 5.0]))
    angles = even_tilts(float(low), float(high), step)
    if rng.random() < 0.3:  # some images are missing
        kept = rng.random(len(angles)) >= rng.uniform(0, 0.15)
        angles = tuple(a for a, keep in zip(angles, kept, strict=True) if keep)
    return angles


def _draw_microscope(rng: np.random.Generator) -> dict[str, float | str]:
    return {
        "defocus": float(rng.uniform(1.5, 6)),
        "voltage": float(rng.choice([200.0, 300.0, 300.0])),
        "amplitude_contrast": float(rng.uniform(0.07, 0.15)),
        "dose": float(rng.choice([0.0, 2.0, 3.0])),
        "mtf": str(rng.choice(["none", "sinc"])),
    }


def _draw_reconstruction(rng: np.random.Generator, flip: float) -> ReconstructionConfig:
    values: dict[str, object] = {"ctf": "phase-flip" if rng.random() < flip else "none"}
    kind = rng.random()
    if kind < 0.15:
        values |= {"filter": "exact" if rng.random() < 0.3 else "ramp"}
    elif kind < 0.5:
        values |= {"filter": str(rng.choice(["hamming", "hann"]))}
    elif kind < 0.9:
        values |= {"filter": "ramp", "falloff": float(rng.uniform(0.12, 0.4))}
    else:
        values |= {"filter": "sirt", "sirt": int(rng.integers(5, 40)), "falloff": float(rng.uniform(0.15, 0.4))}
    return ReconstructionConfig.model_validate(values)
