"""Scenes for training: one random specimen, seen through one random tilt series.

`simulate_scene(config, seed, index, library)` is a pure function of its arguments; the pool that serves subtomograms
(`cryowae.data.synthetic`) counts the index up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cryowae.config import DataConfig, ImagingConfig
from cryowae.imaging.microscope import ctf_sign, transfer
from cryowae.imaging.observation import observe
from cryowae.imaging.projection import even_tilts
from cryowae.imaging.weighting import Filter
from cryowae.specimen.beads import GOLD, gold_density, gold_imaging
from cryowae.specimen.ice import uneven_ice
from cryowae.specimen.placement import make_scene
from cryowae.specimen.procedural import procedural_structure
from cryowae.specimen.structures import Structure

_VOXEL_SIZES = (8.0, 9.0, 10.0, 11.0, 12.0, 13.5, 15.0, 17.0, 20.0)
_GOLD_SHOWN = (
    3.0  # density of beads that the network is asked for, where protein is 1: at 9 they would be all that counts
)


@dataclass(frozen=True)
class SimulatedScene:
    """What training needs of a scene, in half precision.

    Attributes
    ----------
    truth, signal
        `(z, y, x)` the density and its noise-free reconstruction.
    noise
        `(2, z, y, x)` reconstructions of unit noise.
    contrast
        Standard deviation of the noise-free projections without gold, 1 where there is nothing; times `snr ** -0.5` it
        is the noise's.
    truth_std
        Standard deviation of the density, gold left out.
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
        return torch.stack([v[::3, ::3, ::3].float().flatten() for v in (self.signal, self.noise[0])])

    def to(self, device: str) -> SimulatedScene:
        """Itself with its volumes on a device."""
        return replace(self, truth=self.truth.to(device), signal=self.signal.to(device), noise=self.noise.to(device))


def simulate_scene(
    config: DataConfig, seed: int, index: int, library: Sequence[Structure], device: str = "cpu"
) -> SimulatedScene:
    """Make scene number `index` of the stream that `seed` starts.

    Parameters
    ----------
    config
        Ranges to draw from.
    seed, index
        The same two numbers give the same scene on one machine.
    library
        Known structures; invented ones are made as needed.
    device
        Where the scene is painted, projected and kept.
    """
    rng = np.random.default_rng([seed, 1, index])
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    plain = rng.random() < config.plain
    voxel_size = config.voxel_size if plain else _draw_voxel_size(config, rng)
    depth, rows, width = config.scene
    beyond = not plain and rng.random() < 0.5
    extent = (_thickness(depth, rng) if not plain else depth, rows, width + width // 2 if beyond else width)
    above = int(rng.integers(0, depth - extent[0] + 1))
    specimen = _draw_specimen(config, rng, library, extent, voxel_size, plain, device).placed(depth, above)
    angles = even_tilts(*config.tilts) if plain else _draw_tilts(rng)
    microscope = None if plain or rng.random() >= config.ctf else _draw_microscope(rng)
    image = (angles, (rows, width), voxel_size, device)
    corrected = microscope is not None and rng.random() < 0.5
    seen = observe(
        specimen.beam,
        angles,
        generator,
        weighting=_draw_filter(rng),
        width=width,
        growth=0.0 if plain else float(rng.choice([0.0, 1.0])),
        transfer=None if microscope is None else transfer(microscope, *image),
        flip=ctf_sign(microscope, *image) if microscope is not None and corrected else None,
        gold=specimen.gold,
        gold_transfer=None if microscope is None else transfer(gold_imaging(microscope), *image),
    )
    side = (extent[2] - width) // 2
    truth = specimen.truth[..., side : side + width]
    flat = specimen.flat[..., side : side + width]
    return SimulatedScene(
        truth.half(),
        seen.signal.half(),
        seen.noise.half(),
        seen.contrast or 1.0,
        float(flat.std()),
        angles[0],
        angles[-1],
    )


@dataclass(frozen=True)
class _Specimen:
    """Volumes `(z, y, wider x)`: what the network is asked for, that without gold, what the beam meets, gold apart."""

    truth: Tensor
    flat: Tensor
    beam: Tensor
    gold: Tensor | None

    def placed(self, depth: int, above: int) -> _Specimen:
        """Itself in a box of `depth` sections, `above` of them empty before it."""

        def padded(volume: Tensor) -> Tensor:
            box = volume.new_zeros(depth, *volume.shape[1:])
            box[above : above + len(volume)] = volume
            return box

        gold = None if self.gold is None else padded(self.gold)
        return _Specimen(padded(self.truth), padded(self.flat), padded(self.beam), gold)


def _draw_specimen(
    config: DataConfig,
    rng: np.random.Generator,
    library: Sequence[Structure],
    extent: tuple[int, int, int],
    voxel_size: float,
    plain: bool,
    device: str,
) -> _Specimen:
    membranes = int(rng.integers(1, 4)) if rng.random() < config.membranes else 0
    beads = int(rng.integers(1, 5)) if not plain and rng.random() < config.beads else 0
    scene = make_scene(
        [] if rng.random() < config.vacant else _draw_structures(config, rng, library, voxel_size),
        extent,
        voxel_size,
        rng,
        occupancy=float(np.exp(rng.uniform(*np.log(config.occupancy)))),
        membranes=membranes,
        filaments=int(rng.integers(1, 5)) if rng.random() < config.filaments else 0,
        vesicles=int(rng.integers(1, 4)) if rng.random() < config.vesicles else 0,
        beads=beads,
        bead_diameter=float(rng.choice([60.0, 100.0, 100.0, 150.0])),
        membrane_proteins=[procedural_structure(rng, voxel_size, "membrane") for _ in range(2 * membranes)],
        jitter=float(rng.choice([0.0, 0.2])),
        beyond=rng.random() < 0.5,
        device=device,
    )
    flat, gold = scene.density, None
    if scene.beads:
        gold = gold_density(scene.beads, extent, voxel_size, device)
        flat = flat - gold
    beam = flat
    if not plain and rng.random() < config.ice:
        beam = flat + uneven_ice(extent, voxel_size, float(rng.uniform(0.02, 0.15)), rng).to(flat)
    return _Specimen(flat if gold is None else flat + _GOLD_SHOWN / GOLD * gold, flat, beam, gold)


def _draw_voxel_size(config: DataConfig, rng: np.random.Generator) -> float:
    low, high = config.voxel_sizes
    return float(rng.choice([v for v in _VOXEL_SIZES if low <= v <= high]))


def _draw_structures(
    config: DataConfig, rng: np.random.Generator, library: Sequence[Structure], voxel_size: float
) -> list[Structure]:
    count = int(rng.integers(3, 9))
    invented = count if not library else int(rng.binomial(count, config.procedural))
    known = rng.permutation(len(library))[: count - invented]
    made = [procedural_structure(rng, voxel_size) for _ in range(invented)]
    return made + [library[int(i)].resampled(voxel_size) for i in known]


def _thickness(depth: int, rng: np.random.Generator) -> int:
    return depth if rng.random() < 0.4 else int(rng.integers(depth // 2, depth + 1))


def _draw_tilts(rng: np.random.Generator) -> tuple[float, ...]:
    low, high = -rng.uniform(40, 70), rng.uniform(40, 70)
    if rng.random() < 0.3:
        low, high = -60.0, 60.0
    step = float(rng.choice([1.0, 1.5, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 5.0]))
    angles = even_tilts(float(low), float(high), step)
    if rng.random() < 0.3:  # images that were thrown away
        kept = rng.random(len(angles)) >= rng.uniform(0, 0.15)
        angles = tuple(a for a, keep in zip(angles, kept, strict=True) if keep)
    return angles


def _draw_microscope(rng: np.random.Generator) -> ImagingConfig:
    return ImagingConfig(
        defocus=float(rng.uniform(1.5, 6)),
        voltage=float(rng.choice([200.0, 300.0, 300.0])),
        amplitude_contrast=float(rng.uniform(0.07, 0.15)),
        dose=float(rng.choice([0.0, 2.0, 3.0])),
        mtf=str(rng.choice(["none", "sinc"])),
    )


def _draw_filter(rng: np.random.Generator) -> Filter:
    kind = rng.random()
    if kind < 0.15:
        return Filter(exact=rng.random() < 0.3)
    if kind < 0.5:
        return Filter(window=float(rng.choice([0.46, 0.5])))
    if kind < 0.9:
        return Filter(falloff=float(rng.uniform(0.12, 0.4)))
    return Filter(sirt=int(rng.integers(5, 40)), falloff=float(rng.uniform(0.15, 0.4)))
