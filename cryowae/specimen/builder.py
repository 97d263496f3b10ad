"""Specimens of which everything is known, and what a microscope sees of them.

The two are seeded from the configuration apart, and the specimen knows nothing of the microscope: the same molecules
can be seen at another noise, tilt range or defocus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cryowae.config import ImagingConfig, SceneConfig
from cryowae.errors import ConfigError
from cryowae.imaging.microscope import ctf_sign, tilt_transfers, transfer
from cryowae.imaging.observation import Observation, observe
from cryowae.imaging.projection import even_tilts
from cryowae.imaging.weighting import filter_of
from cryowae.io.memory import require_memory
from cryowae.specimen.beads import gold_density, gold_imaging
from cryowae.specimen.canvas import Particle, Sphere
from cryowae.specimen.ice import uneven_ice
from cryowae.specimen.library import load_library
from cryowae.specimen.placement import Scene, make_scene
from cryowae.specimen.procedural import procedural_structure
from cryowae.specimen.structures import Structure

SMALLEST = 16
"""Voxels along each axis that a scene must have."""

_KINDS, _SCENE, _ICE, _NOISE = range(4)
_BYTES_PER_VOXEL, _BYTES_PER_RAY = (
    60,
    240,
)  # measured: of the volumes, and of the matrix for each voxel of a section and tilt


@dataclass(frozen=True, eq=False)
class Specimen:
    """What is in the microscope; protein is bright and flat ice 0.

    Attributes
    ----------
    density
        `(z, y, x)` float32, the ground truth: molecules, membranes, filaments and beads within the box. Uneven ice is
        not part of it, since a restoration should make the ice flat.
    beam
        `(z, y, wider x)` float32, what the beam passes through: beyond the box too, with uneven ice, without gold.
    gold
        `(z, y, wider x)` float32, the beads alone; None where there are none.
    labels
        `(z, y, x)` int16 on the CPU: `ICE`, `MEMBRANE`, `FILAMENT`, `BEAD`, or a particle's label.
    particles
        The molecules whose centre is in the box, positions counted in its voxels. Those that only reach into it have
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


def make_specimen(
    config: SceneConfig, library: Sequence[Structure] | None = None, device: torch.device | str = "cpu"
) -> Specimen:
    """Place everything that a scene is made of.

    Parameters
    ----------
    config
        Imaging and reconstruction are not looked at. Equal numbers and occupancy are those of the whole specimen: a
        box that it goes beyond holds more of one kind than of another.
    library
        The structures that `config.molecules.library` names, if they are loaded already.
    device
        Where the density is painted.

    Raises
    ------
    ConfigError
        If the scene is too small, or a structure that it names is not there.
    """
    size, (depth, rows, width) = config.voxel_size, config.shape
    _require_large(config)
    molecules = config.molecules
    known = load_library(molecules.library) if library is None else library
    rng = np.random.default_rng([config.seed, _KINDS])
    made = [procedural_structure(rng, size) for _ in range(molecules.procedural)]
    proteins = [procedural_structure(rng, size, "membrane") for _ in range(2 * config.membranes)]
    structures = _named_apart([*made, *(one.resampled(size) for one in known), *proteins])
    free, sown = structures[: len(made) + len(known)], structures[len(made) + len(known) :]
    slab = depth if config.thickness is None else min(depth, max(round(config.thickness / size), 1))
    side = round((config.beyond - 1) / 2 * width)
    extent = (slab, rows, width + 2 * side)
    scene = make_scene(
        free,
        extent,
        size,
        np.random.default_rng([config.seed, _SCENE]),
        occupancy=molecules.occupancy,
        max_particles=molecules.most,
        equal=molecules.equal,
        membranes=config.membranes,
        filaments=config.filaments,
        vesicles=config.vesicles,
        beads=config.beads,
        bead_diameter=config.bead_diameter,
        field=width,
        membrane_proteins=sown,
        jitter=molecules.jitter,
        beyond=side > 0,
        device=device,
    )
    above = (depth - slab) // 2
    beam = _in_depth(scene.density, depth, above)
    density, gold = beam[:, :, side : side + width].clone(), None
    if scene.beads:
        gold = _in_depth(gold_density(scene.beads, extent, size, device), depth, above)
        beam -= gold
    if config.ice > 0:
        field = uneven_ice(extent, size, config.ice, np.random.default_rng([config.seed, _ICE]))
        beam[above : above + slab] += field.to(beam)
    return Specimen(
        density,
        beam,
        gold,
        _in_depth(scene.labels, depth, above)[:, :, side : side + width].clone(),
        _particles(scene, above, side, config.shape),
        {one.name: one for one in structures},
        tuple(_moved(sphere, above, side) for sphere in scene.vesicles),
        tuple(_moved(sphere, above, side) for sphere in scene.beads),
        size,
    )


def observe_specimen(specimen: Specimen, config: SceneConfig) -> Observation:
    """Take a tilt series of a specimen and reconstruct it.

    Parameters
    ----------
    specimen
        Of the same shape and voxel size.
    config
        Its imaging, reconstruction and seed are looked at.

    Returns
    -------
    observation
        Volumes `(z, y, x)` of `config.shape`, protein bright; signal and unit noise apart. What counts as signal in a
        signal-to-noise ratio is all but gold, which would outweigh the rest; where there is nothing the noise has unit
        deviation on the projections.

    Raises
    ------
    ConfigError, TiltError
        If the microscope is impossible.
    """
    imaging, (_, rows, width) = config.imaging, config.shape
    angles, device = tilt_angles(imaging), specimen.beam.device
    image = (imaging, angles, (rows, width), specimen.voxel_size, device)
    corrected = config.reconstruction.ctf == "phase-flip" and imaging.defocus is not None
    flip, weighting = ctf_sign(*image) if corrected else None, filter_of(config.reconstruction)
    seed = np.random.SeedSequence([config.seed, _NOISE]).generate_state(1, np.uint64)[0]
    gold = specimen.gold
    seen = observe(
        specimen.beam,
        angles,
        torch.Generator(device).manual_seed(int(seed) >> 1),
        weighting=weighting,
        width=width,
        growth=imaging.growth,
        transfer=transfer(*image),
        flip=flip,
        gold=gold,
        gold_transfer=None if gold is None else transfer(gold_imaging(imaging), *image[1:]),
    )
    return seen if seen.contrast > 0 else replace(seen, contrast=1.0)


def require_possible(config: SceneConfig) -> None:
    """Find out before the work whether a scene can be made and seen.

    Raises
    ------
    ConfigError
        If the scene is too small or the microscope impossible.
    TomogramError
        If there is not enough memory for it.
    """
    _require_large(config)
    angles = tilt_angles(config.imaging)
    next(tilt_transfers(config.imaging, angles, (2, 2), config.voxel_size), None)
    depth, rows, width = config.shape
    section = depth * round(config.beyond * width)
    require_memory(
        section * (_BYTES_PER_VOXEL * rows + _BYTES_PER_RAY * len(angles)),
        f"a scene of {width} x {rows} x {depth} voxels",
        "ask for a smaller shape",
    )


def tilt_angles(imaging: ImagingConfig) -> tuple[float, ...]:
    """The tilts of a series in degrees, ascending."""
    low, high, step = imaging.tilts
    if not (-90 < low < high < 90 and 0 < step <= high - low):
        raise ConfigError(f"got tilts {imaging.tilts}, expected lowest, highest and a step between them in degrees")
    return even_tilts(low, high, step)


def _require_large(config: SceneConfig) -> None:
    if min(config.shape) < SMALLEST:
        raise ConfigError(f"got a scene of shape {config.shape}, expected at least {SMALLEST} voxels along each axis")


def _named_apart(structures: Sequence[Structure]) -> list[Structure]:
    """Structures with numbers to the names that several of them have."""
    total, seen, result = Counter(one.name for one in structures), Counter[str](), []
    for one in structures:
        seen[one.name] += 1
        name = one.name if total[one.name] == 1 else f"{one.name}-{seen[one.name]}"
        result.append(replace(one, name=name))
    return result


def _in_depth(volume: Tensor, depth: int, above: int) -> Tensor:
    padded = volume.new_zeros(depth, *volume.shape[1:])
    padded[above : above + len(volume)] = volume
    return padded


def _particles(scene: Scene, above: int, side: int, shape: tuple[int, int, int]) -> tuple[Particle, ...]:
    """Particles in the frame of the box, those whose centre is outside of it left out."""
    moved = []
    for particle in scene.particles:
        z, y, x = particle.centre
        centre = (z + above, y, x - side)
        if all(-0.5 <= c < n - 0.5 for c, n in zip(centre, shape, strict=True)):
            moved.append(replace(particle, centre=centre))
    return tuple(moved)


def _moved(sphere: Sphere, above: int, side: int) -> Sphere:
    z, y, x = sphere.centre
    return Sphere((z + above, y, x - side), sphere.radius)
