"""Specimens: nothing overlaps, particles lie as recorded, membranes have two leaflets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from cryowae.config import SceneConfig
from cryowae.fourier.rotation import rotate
from cryowae.specimen.builder import Specimen, build_specimen
from cryowae.specimen.canvas import FILAMENT, MEMBRANE
from cryowae.specimen.membranes import Bilayer, membrane_distance, surface_points
from cryowae.specimen.procedural import procedural_structure
from cryowae.specimen.structures import Structure

SHAPE = (40, 80, 72)


@pytest.fixture(scope="module")
def structures() -> list[Structure]:
    rng = np.random.default_rng(4)
    return [procedural_structure(rng, 10.0, kind) for kind in ("small", "globular", "ring", "elongated")]


def scene(structures: list[Structure], seed: int = 0, device: str = "cpu", **options: float) -> Specimen:
    molecules = {"procedural": 0} | {k: options.pop(k) for k in ("occupancy", "most", "jitter") if k in options}
    config = SceneConfig.model_validate({"seed": seed, "shape": SHAPE, "molecules": molecules} | options)
    return build_specimen(config, structures, device)


def redrawn(result: Specimen, structures: list[Structure], index: int) -> tuple[Tensor, Tensor]:
    """A particle rotated again from its record, by another method than in the canvas, and the scene at its position."""
    particle = result.particles[index]
    structure = next(s for s in structures if s.name == particle.name).resampled(result.voxel_size)
    side = len(structure.density) + 3
    corner = np.rint(np.array(particle.centre) - (side - 1) / 2).astype(int)
    points = np.stack(np.indices((side,) * 3), -1) + corner - np.array(particle.centre)
    source = points @ particle.rotation + (len(structure.density) - 1) / 2  # R^T p, row by row
    box = ndimage.map_coordinates(structure.density.numpy(), np.moveaxis(source, -1, 0), order=3, mode="constant")
    low, high = np.maximum(corner, 0), np.minimum(corner + side, result.density.shape)
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
    mine = result.labels[there] == particle.label
    return torch.from_numpy(box[here]).float()[mine], result.density[there][mine]


def test_an_empty_scene_has_only_ice() -> None:
    for result in (scene([]), scene([procedural_structure(np.random.default_rng(0), 10.0, "small")], occupancy=0.0)):
        assert result.density.shape == SHAPE
        assert not result.density.any()
        assert not result.labels.any()
        assert result.particles == ()


def test_the_same_seed_gives_the_same_scene(structures: list[Structure]) -> None:
    options = {"occupancy": 0.1, "membranes": 1, "filaments": 1, "jitter": 0.2}
    first, second = scene(structures, 3, **options), scene(structures, 3, **options)
    assert torch.equal(first.density, second.density)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.density, scene(structures, 4, **options).density)


def test_particles_do_not_overlap(structures: list[Structure]) -> None:
    """Overlap would add their densities; a lone structure never exceeds its own maximum."""
    result = scene(structures, occupancy=0.25)
    tallest = max(float(s.density.max()) for s in structures)
    assert len(result.particles) > 20
    assert float(result.density.max()) < 1.15 * tallest
    sizes = np.bincount(result.labels.numpy().ravel())
    for particle in result.particles:
        structure = next(s for s in structures if s.name == particle.name)
        assert sizes[particle.label] == pytest.approx(float((structure.density > 0.25).sum()), rel=0.15)


@pytest.mark.parametrize("occupancy", [0.03, 0.1, 0.2])
def test_occupancy_is_as_configured(structures: list[Structure], occupancy: float) -> None:
    result = scene(structures, occupancy=occupancy)
    filled = float(((result.density > 0.5) & (result.labels > 0)).float().mean())
    assert filled == pytest.approx(occupancy, rel=0.35)


def test_the_maximum_number_of_particles_is_respected(structures: list[Structure]) -> None:
    assert len(scene(structures, occupancy=0.2, most=5).particles) <= 5


@pytest.mark.parametrize("voxel_size", [10.0, 12.5])
def test_the_record_reproduces_the_density(structures: list[Structure], voxel_size: float) -> None:
    result = scene(structures, 1, voxel_size=voxel_size, occupancy=0.05)
    assert len({p.name for p in result.particles}) > 1
    for index in range(len(result.particles)):
        expected, found = redrawn(result, structures, index)
        assert torch.corrcoef(torch.stack([expected, found]))[0, 1] > 0.97
        assert float((found - expected).norm() / expected.norm()) < 0.1


def test_amplitudes_are_recorded(structures: list[Structure]) -> None:
    result = scene(structures, 2, occupancy=0.05, jitter=0.4)
    gains = np.array([p.amplitude for p in result.particles])
    assert gains.std() > 0.1
    for index, gain in enumerate(gains):
        expected, found = redrawn(result, structures, index)
        assert float((found * expected).sum() / (expected**2).sum()) == pytest.approx(gain, rel=0.05)


def test_particles_stick_out_laterally_only_with_overhang(structures: list[Structure]) -> None:
    def border(result: Specimen) -> tuple[float, float]:
        lateral = (result.labels[:, [0, -1]] > 0).sum() + (result.labels[:, :, [0, -1]] > 0).sum()
        return float(lateral), float(sum((p.centre[0] < 0) + (p.centre[0] > SHAPE[0] - 1) for p in result.particles))

    inside = scene(structures, occupancy=0.15)
    sizes = np.bincount(inside.labels.numpy().ravel(), minlength=len(inside.particles) + 1)
    by_name: dict[str, list[int]] = {}
    for particle in inside.particles:
        by_name.setdefault(particle.name, []).append(int(sizes[particle.label]))
    assert all(min(counts) > 0.85 * max(counts) for counts in by_name.values())  # no particle is cut
    lateral, axial = border(scene(structures, occupancy=0.15, overhang=True))
    assert lateral > 2 * border(inside)[0]
    assert axial == 0


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_membrane_shows_two_leaflets_at_their_spacing(seed: int) -> None:
    """Density along the normals of the membrane: two maxima 39 angstrom apart, water between them."""
    bilayer = Bilayer()
    distance = membrane_distance((64, 96, 96), 6.0, np.random.default_rng(seed))
    density = bilayer.density(distance, 6.0).numpy()
    points, normals = surface_points(distance, 6.0, 400, np.random.default_rng(0))
    points -= normals * (distance.numpy()[tuple(points.astype(int).T)] / 6.0)[:, None]
    offsets = np.arange(-36, 37, 1.0)
    lines = points[:, None] + normals[:, None] * (offsets / 6.0)[:, None]
    within = ((lines > 0) & (lines < np.array([63, 95, 95]))).all((1, 2))
    profile = ndimage.map_coordinates(density, np.moveaxis(lines[within], -1, 0), order=3).mean(0)
    peaks = offsets[offsets > 0][profile[offsets > 0].argmax()], offsets[offsets < 0][profile[offsets < 0].argmax()]
    assert within.sum() > 20
    assert peaks[0] - peaks[1] == pytest.approx(39, abs=4)
    assert profile.max() > 0.9
    assert abs(profile[len(offsets) // 2]) < 0.25


def test_a_membrane_divides_the_scene_and_excludes_particles(structures: list[Structure]) -> None:
    for seed in range(4):
        result = scene(structures, seed, occupancy=0.1, membranes=1)
        lipid = result.labels == MEMBRANE
        if lipid.any():
            assert float(result.density[lipid].max()) < 2.0
            assert all(p.label in result.labels for p in result.particles)
            return
    pytest.fail("no scene of four has a membrane in it")


def test_membrane_proteins_cross_the_membrane_along_their_z_axis() -> None:
    checked = 0
    for seed in range(6):
        result = scene([], seed, shape=(64, 96, 96), voxel_size=8.0, membranes=1)
        bare = (result.labels == MEMBRANE).numpy()
        for particle in result.particles:
            normal = particle.rotation[:, 0]
            assert np.linalg.det(particle.rotation) == pytest.approx(1, abs=1e-4)
            ring = np.argwhere(bare) - np.array(particle.centre)
            near = ring[np.linalg.norm(ring, axis=1) < 8]
            if len(near) > 40:  # lipid around it lies in the plane across its axis
                assert np.abs(near @ normal).mean() < 0.75 * np.linalg.norm(near, axis=1).mean() * 0.75
                checked += 1
    assert checked > 3


def test_a_filament_crosses_the_scene() -> None:
    result = scene([], 0, filaments=1)
    mask = (result.labels == FILAMENT).numpy()
    extent = np.ptp(np.argwhere(mask), axis=0)
    assert extent.max() > 0.6 * min(SHAPE[1:])
    assert result.particles == ()
    assert 0.7 < float(result.density[torch.from_numpy(mask)].mean()) < 1.5


def test_a_scene_keeps_the_handedness(structures: list[Structure]) -> None:
    """The record fits the structure and not its mirror image."""
    result = scene(structures, 1, occupancy=0.03)
    mirrored = [Structure(s.name, s.density.flip(2), s.voxel_size) for s in structures]
    fits = [
        [float(torch.corrcoef(torch.stack(redrawn(result, which, i)))[0, 1]) for i in range(len(result.particles))]
        for which in (structures, mirrored)
    ]
    assert min(fits[0]) > 0.95
    assert np.median(fits[1]) < 0.8


@pytest.mark.gpu
def test_cuda_paints_what_the_cpu_paints(structures: list[Structure]) -> None:
    options = {"occupancy": 0.1, "membranes": 1, "filaments": 1}
    cpu = scene(structures, 3, "cpu", **options)
    gpu = scene(structures, 3, "cuda", **options)
    assert len(cpu.particles) == len(gpu.particles)
    difference = (cpu.density - gpu.density.cpu()).abs().max() / cpu.density.std()
    assert float(difference) < 1e-3


def test_rotate_and_particle_records_use_the_same_direction_of_rotation(structures: list[Structure]) -> None:
    result = scene(structures, 5, occupancy=0.02, most=1)
    particle = result.particles[0]
    structure = next(s for s in structures if s.name == particle.name)
    turned = rotate(structure.density[None], torch.from_numpy(particle.rotation)[None])[0]
    shifted = ndimage.shift(result.density.numpy(), (np.array(SHAPE) - 1) / 2 - np.array(particle.centre), order=1)
    n, start = len(turned), [(s - len(turned)) // 2 for s in SHAPE]
    offset = [(s - 1) / 2 - (a + (n - 1) / 2) for s, a in zip(SHAPE, start, strict=True)]
    cut = ndimage.shift(shifted, [-o for o in offset], order=1)[tuple(slice(a, a + n) for a in start)]
    assert np.corrcoef(cut.ravel(), turned.numpy().ravel())[0, 1] > 0.97
