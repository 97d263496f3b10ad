"""Specimens with a known ground truth, and their simulated tomograms.

There is one builder, for training, benchmarks, the demonstration and `cryowae simulate scene`. Specimen and noise have
separate random streams, and the specimen does not depend on the microscope: the same molecules can be imaged at
another noise level, tilt range or defocus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import pad

from cryowae.config import SceneConfig
from cryowae.errors import ConfigError
from cryowae.fourier.grids import Device
from cryowae.imaging.microscope import Microscope
from cryowae.imaging.observation import ForwardModel, Observation
from cryowae.imaging.projection import tilt_angles
from cryowae.io.memory import require_memory
from cryowae.specimen.canvas import Canvas, Particle, place_molecules
from cryowae.specimen.library import load_library
from cryowae.specimen.membranes import add_membrane, add_vesicle
from cryowae.specimen.procedural import procedural_structure
from cryowae.specimen.structures import Structure
from cryowae.specimen.surroundings import GOLD, Sphere, add_bead, add_filament, gold_density, uneven_ice

SMALLEST = 16
"""Minimum size of a scene along each axis, in voxels."""

_NOISE = 3
# measured: bytes for each voxel of the volumes, and for each voxel of a section and tilt in the projection matrix
_BYTES_PER_VOXEL, _BYTES_PER_RAY = 60, 240

_Placed = TypeVar("_Placed", Particle, Sphere)


@dataclass(frozen=True, eq=False)
class Specimen:
    """A specimen in the microscope; protein is bright and flat ice 0.

    Attributes
    ----------
    density
        `(z, y, x)` float32, the ground truth: molecules, membranes, filaments, beads and background within the box.
        Uneven ice is not part of it, since a restoration should make the ice flat.
    beam
        `(z, y, wider x)` float32, all density in the beam: also beyond the box, with uneven ice, without gold.
    gold
        `(z, y, wider x)` float32, the beads alone; None where there are none.
    labels
        `(z, y, x)` int16 on the CPU: `ICE`, `MEMBRANE`, `FILAMENT`, `BEAD`, or a particle's label.
    particles
        The molecules whose centre is in the box, with positions in its voxels. Those that only reach into it have
        labels and are not listed.
    kinds
        Structures by the name that particles have, at the scene's voxel size.
    vesicles, beads
        The spheres of bilayer and of gold, in voxels of the box.
    voxel_size
        Angstrom.
    """

    density: Tensor
    beam: Tensor
    gold: Tensor | None
    labels: Tensor
    particles: tuple[Particle, ...]
    kinds: Mapping[str, Structure]
    vesicles: tuple[Sphere, ...]
    beads: tuple[Sphere, ...]
    voxel_size: float


def build_specimen(
    config: SceneConfig, library: Sequence[Structure] = (), device: Device = "cpu", streams: Sequence[Generator] = ()
) -> Specimen:
    """Build the specimen of a scene.

    Membranes come first, then filaments, vesicles, beads and molecules: fewer than configured where there is no room.
    Particles do not overlap with each other or with other objects.

    Parameters
    ----------
    config
        Imaging and reconstruction are not used. Equal numbers and occupancy are those of the whole specimen: a box
        that is narrower can have more of one kind than of another.
    library
        The structures that `config.molecules.library` names, if they are loaded already.
    device
        Where the density is painted.
    streams
        Three sources of randomness: of the artificial structures, of their placement, and of the ice. By default
        independent ones that `config.seed` starts.

    Raises
    ------
    ConfigError
        If the scene is too small, or a structure that it names is missing.
    """
    _require_large(config)
    of_kinds, of_placement, of_ice = streams or [np.random.default_rng([config.seed, stream]) for stream in range(3)]
    library = library or load_library(config.molecules.library)
    molecules, proteins = _structures(config, library, of_kinds)
    canvas = Canvas(config, of_placement, device)
    for _ in range(config.membranes):
        add_membrane(canvas, proteins)
    for _ in range(config.filaments):
        add_filament(canvas)
    vesicles = [one for _ in range(config.vesicles) if (one := add_vesicle(canvas)) is not None]
    beads = [one for _ in range(config.beads) if (one := add_bead(canvas)) is not None]
    canvas = place_molecules(canvas, molecules)

    above, _, start = config.origin
    below = config.shape[0] - config.extent[0] - above
    box = slice(-start, config.shape[2] - start)
    if config.background > 0:
        canvas.density += _field(config, config.background, of_ice).to(canvas.density)
    beam, labels = (pad(v, (0, 0, 0, 0, above, below)) for v in (canvas.density, torch.from_numpy(canvas.labels)))
    density, gold = beam[:, :, box].clone(), None
    if beads:
        gold = pad(gold_density(beads, canvas.density), (0, 0, 0, 0, above, below))
        beam -= gold
        if config.bead_truth is not None:
            density = (beam + config.bead_truth / GOLD * gold)[:, :, box].clone()
    if config.ice > 0:
        beam[above : above + config.extent[0]] += _field(config, config.ice, of_ice).to(beam)
    particles = tuple(one for one in _in_box(config, canvas.particles) if _is_inside(one.centre, config.shape))
    spheres = _in_box(config, vesicles), _in_box(config, beads)
    kinds = {one.name: one for one in [*molecules, *proteins]}
    return Specimen(density, beam, gold, labels[:, :, box].clone(), particles, kinds, *spheres, config.voxel_size)


def observe_specimen(specimen: Specimen, config: SceneConfig, generator: torch.Generator | None = None) -> Observation:
    """Take a tilt series of a specimen and reconstruct it.

    Parameters
    ----------
    specimen
        The specimen, with the extent and voxel size of the configuration.
    config
        Its imaging, reconstruction and seed are used.
    generator
        Source of the noise, on the specimen's device; by default that of `config.seed`.

    Returns
    -------
    observation
        Volumes `(z, y, x)` of `config.shape`, protein bright; signal and unit noise apart.

    Raises
    ------
    ConfigError, TiltError
        If the microscope is impossible.
    """
    device = specimen.beam.device
    if generator is None:
        seed = np.random.SeedSequence([config.seed, _NOISE]).generate_state(1, np.uint64)[0]
        generator = torch.Generator(device).manual_seed(int(seed) >> 1)
    return ForwardModel(config, str(device)).observe(specimen.beam, generator, specimen.gold)


def require_possible(config: SceneConfig) -> None:
    """Check before the work starts that a scene can be made and observed.

    Raises
    ------
    ConfigError
        If the scene is too small or the microscope impossible.
    TomogramError
        If there is not enough memory for it.
    """
    _require_large(config)
    angles = tilt_angles(config.imaging)
    Microscope(config.imaging, angles, config.voxel_size).require_possible()
    depth, rows, width = config.shape
    needed = depth * config.extent[2] * (_BYTES_PER_VOXEL * rows + _BYTES_PER_RAY * len(angles))
    require_memory(needed, f"a scene of {width} x {rows} x {depth} voxels", "ask for a smaller shape")


def _require_large(config: SceneConfig) -> None:
    if min(config.shape) < SMALLEST:
        raise ConfigError(f"got a scene of shape {config.shape}, expected at least {SMALLEST} voxels along each axis")


def _structures(config: SceneConfig, library: Sequence[Structure], rng: Generator) -> tuple[list[Structure], ...]:
    """Molecules and membrane proteins at the scene's voxel size; names that occur several times get numbers."""
    size = config.voxel_size
    made = [procedural_structure(rng, size) for _ in range(config.molecules.procedural)]
    proteins = [procedural_structure(rng, size, "membrane") for _ in range(2 * config.membranes)]
    structures = [*made, *(one.resampled(size) for one in library), *proteins]
    names = [one.name for one in structures]
    for i, name in enumerate(names):
        if names.count(name) > 1:
            structures[i] = replace(structures[i], name=f"{name}-{names[: i + 1].count(name)}")
    count = len(made) + len(library)
    return structures[:count], structures[count:]


def _field(config: SceneConfig, spread: float, rng: Generator) -> Tensor:
    return uneven_ice(config.extent, config.voxel_size, spread, rng)


def _in_box(config: SceneConfig, placed: Sequence[_Placed]) -> tuple[_Placed, ...]:
    """Particles or spheres with their centres counted in the box, not in the specimen."""
    above, _, start = config.origin
    return tuple(replace(one, centre=(one.centre[0] + above, one.centre[1], one.centre[2] + start)) for one in placed)


def _is_inside(centre: tuple[float, float, float], shape: tuple[int, int, int]) -> bool:
    return all(-0.5 <= c < n - 0.5 for c, n in zip(centre, shape, strict=True))
