"""Structures: one scale for all sources, chiral, and of the right size."""

from __future__ import annotations

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cryowae.errors import TomogramError
from cryowae.fourier.rotation import random_rotations, rotate
from cryowae.specimen.library import PROTEIN_CONTRAST, structure_from_map, structure_from_model
from cryowae.specimen.procedural import KINDS, procedural_filament, procedural_structure
from cryowae.specimen.structures import Structure, density_of_points, normalised

MAPS = ["4v4r", "4v7r", "2uv8", "3cf3", "1s3x", "6pxm"]


def make(seed: int, kind: str | None = None, voxel_size: float = 10.0) -> Structure:
    return procedural_structure(np.random.default_rng(seed), voxel_size, kind)


def radial_power(density: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power per shell of width 1/32 cycle a voxel, the cube padded to 64."""
    power = np.abs(np.fft.fftn(density, (64, 64, 64), axes=(0, 1, 2))) ** 2
    k = np.fft.fftfreq(64)
    shell = np.rint(32 * np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    return np.bincount(shell.ravel(), power.ravel())[:17] / np.bincount(shell.ravel())[:17]


def interior(structure: Structure) -> float:
    """Mean over the envelope: the map smoothed to 20 angstrom, above a third of its level."""
    density = structure.density.numpy()
    smooth = ndimage.gaussian_filter(density, 4.5 / structure.voxel_size)
    return float(density[smooth > 0.35 * np.quantile(smooth[smooth > 0.1 * smooth.max()], 0.8)].mean())


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_interior_one_and_fits_its_box_in_any_orientation(kind: str) -> None:
    structure = make(3, kind)
    density = structure.density.numpy()
    assert interior(structure) == pytest.approx(1, abs=0.1)
    n = len(density)
    r = np.sqrt(((np.indices(density.shape) - (n - 1) / 2) ** 2).sum(0))
    assert np.abs(density[r > (n - 1) / 2 + 1]).max() < 0.12
    assert 60 < structure.diameter < 500
    assert structure.diameter <= n * structure.voxel_size


def test_the_same_seed_gives_the_same_molecule_and_another_seed_another() -> None:
    assert torch.equal(make(7).density, make(7).density)
    first, second = make(7, "small").density, make(8, "small").density
    assert first.shape != second.shape or not torch.allclose(first, second, atol=0.1)


def test_an_unknown_kind_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="nucleoprotein"):
        make(0, "teapot")


def test_the_spectrum_falls_as_that_of_real_molecules() -> None:
    """Real maps at 10 angstrom fall by 4 to 7 decades from the centre to Nyquist and by 2 to 4 to 1/40 angstrom."""
    for seed in range(6):
        power = radial_power(make(seed, "globular").density.numpy())
        assert 1e-7 < power[16] / power[0] < 3e-4
        assert 1e-4 < power[8] / power[0] < 5e-2
        assert power[12] < power[8] < power[2]


@pytest.mark.parametrize("kind", ["globular", "nucleoprotein", "barrel"])
def test_molecules_are_chiral(kind: str) -> None:
    """No rotation maps the mirror image onto the molecule; the same search finds a rotation for the molecule itself."""
    density = make(21, kind).resampled(20.0).density
    generator = torch.Generator().manual_seed(0)
    hidden = random_rotations(1, generator)
    target = rotate(density[None], hidden)[0]

    def best(volume: torch.Tensor) -> float:
        turns = random_rotations(300, torch.Generator().manual_seed(1))
        score = 0.0
        for step in range(3):
            tries = rotate(volume.expand(len(turns), -1, -1, -1), turns)
            scores = torch.corrcoef(torch.stack([target.flatten(), *tries.flatten(1)]))[0, 1:]
            score = max(score, float(scores.max()))
            best_turn = turns[int(scores.argmax())]
            angles = torch.randn(150, 3, generator=generator) * (0.25 / 2**step)
            turns = (
                torch.matrix_exp(torch.linalg.cross(angles[:, None].expand(-1, 3, -1), torch.eye(3)[None])) @ best_turn
            )
        return score

    assert best(density) > best(density.flip(2)) + 0.02


def test_resampling_keeps_the_mass_and_the_position() -> None:
    structure = make(5, "globular")
    mass = float(structure.density.sum()) * 10**3
    for voxel_size in (5.0, 7.3, 13.0, 20.0):
        other = structure.resampled(voxel_size)
        assert other.voxel_size == voxel_size
        assert float(other.density.sum()) * voxel_size**3 == pytest.approx(mass, rel=0.02)
        for axis in range(3):
            here, there = (
                float(
                    (d.sum([a for a in range(3) if a != axis]) * (torch.arange(len(d)) - len(d) // 2)).sum() / d.sum()
                )
                for d in (structure.density, other.density)
            )
            assert there * voxel_size == pytest.approx(here * 10, abs=0.5)
    assert structure.resampled(10.0) is structure
    assert structure.resampled(20.0) is structure.resampled(20.0)


def test_finer_sampling_passes_through_the_samples() -> None:
    structure = make(5, "small")
    fine = structure.resampled(5.0).density
    middle, reach = len(fine) // 2, len(structure.density) // 2 - 2
    picked = fine[tuple([slice(middle - 2 * reach, middle + 2 * reach + 1, 2)] * 3)]
    inner = structure.density[2:-2, 2:-2, 2:-2]
    assert torch.allclose(picked, inner, atol=0.02)


def test_points_are_drawn_at_their_position_with_their_weight() -> None:
    points = np.array([[12.0, -31.0, 6.0]])
    density = density_of_points(points, np.array([5000.0]), 10.0, 40.0)
    grid = (np.arange(len(density)) - (len(density) - 1) / 2) * 10
    assert density.sum() * 1000 == pytest.approx(5000, rel=1e-3)
    for axis, expected in enumerate(points[0]):
        line = density.sum(tuple(a for a in range(3) if a != axis))
        assert (line * grid).sum() / line.sum() == pytest.approx(expected, abs=0.3)
    width = np.sqrt((density.sum((1, 2)) * (grid - 12) ** 2).sum() / density.sum())
    assert width == pytest.approx(0.225 * 40, rel=0.05)


def test_normalised_maps_do_not_depend_on_scale_and_noise() -> None:
    truth = np.pad(make(5, "globular").density.numpy(), 4)
    rng = np.random.default_rng(0)
    for gain, offset in ((230.0, 0.0), (0.003, 0.0), (1.5, -0.23)):
        noise = 0.05 * rng.standard_normal(truth.shape)
        found = normalised((gain * (truth + noise) + offset).astype(np.float32), 10.0)
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.98
        assert (found * truth).sum() / (truth**2).sum() == pytest.approx(1, abs=0.08)
        far = ndimage.distance_transform_edt(truth < 0.1) > 4
        assert np.abs(found[far]).max() == 0


def test_maps_are_read_from_files_and_refused_when_empty(tmp_path: Path) -> None:
    structure = make(5, "small")
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(37 * structure.density.numpy() - 2)
        mrc.voxel_size = 10.0
    with gzip.open(tmp_path / "b.mrc.gz", "wb") as out:
        out.write((tmp_path / "a.mrc").read_bytes())
    for name in ("a.mrc", "b.mrc.gz"):
        found = structure_from_map(tmp_path / name)
        assert found.name == name[0]
        assert found.voxel_size == pytest.approx(10)
        assert interior(found) == pytest.approx(1, abs=0.05)
    assert structure_from_map(tmp_path / "a.mrc", voxel_size=8.0).voxel_size == 8.0
    with mrcfile.new(tmp_path / "c.mrc") as mrc:
        mrc.set_data(np.zeros((8, 8, 8), np.float32))
    with pytest.raises(TomogramError, match=r"c\.mrc"):
        structure_from_map(tmp_path / "c.mrc")


@pytest.mark.parametrize("name", MAPS)
def test_real_maps_have_interior_one_and_solvent_zero(name: str, data_folder: Path) -> None:
    structure = structure_from_map(data_folder / "densities" / "polnet_10A" / f"{name}.mrc.gz")
    assert interior(structure) == pytest.approx(1, abs=0.1)
    assert float(structure.density.min()) == 0
    assert float(structure.density.median()) == 0


def write_pdb(path: Path, atoms: int, operators: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    rng = np.random.default_rng(0)
    lines = []
    if operators:
        lines += ["REMARK 350 BIOMOLECULE: 1", "REMARK 350 APPLY THE FOLLOWING TO CHAINS: A"]
    for i, (matrix, vector) in enumerate(operators, start=1):
        for row in range(3):
            a, b, c = matrix[row]
            lines.append(f"REMARK 350   BIOMT{row + 1} {i:3d} {a:9.6f} {b:9.6f} {c:9.6f}     {vector[row]:10.5f}")
    for i, (x, y, z) in enumerate(rng.uniform(-15, 15, (atoms, 3)), start=1):
        lines.append(f"ATOM  {i:5d}  C   ALA A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C")
    path.write_text("\n".join([*lines, "END"]) + "\n")


def test_the_mass_of_a_model_is_that_of_its_atoms(tmp_path: Path) -> None:
    pytest.importorskip("gemmi", reason="atomic models need gemmi")
    masses = []
    for atoms in (400, 800):
        write_pdb(tmp_path / "m.pdb", atoms, [])
        structure = structure_from_model(tmp_path / "m.pdb", 5.0)
        masses.append(float(structure.density.sum()) * 5.0**3)
    assert masses[1] == pytest.approx(2 * masses[0], rel=0.01)
    assert masses[0] == pytest.approx(400 * 1.40 / PROTEIN_CONTRAST, rel=0.02)


def test_an_assembly_repeats_the_model_with_more_than_a_hundred_operators_too(tmp_path: Path) -> None:
    pytest.importorskip("gemmi", reason="atomic models need gemmi")
    turn = [np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]]) for t in np.arange(104) * 0.06]
    push = [matrix @ np.array([60.0, 0, 2.0 * i - 104]) for i, matrix in enumerate(turn)]
    write_pdb(tmp_path / "m.pdb", 60, list(zip(turn, push, strict=True)))
    one = structure_from_model(tmp_path / "m.pdb", 5.0)
    many = structure_from_model(tmp_path / "m.pdb", 5.0, assembly="1")
    assert float(many.density.sum()) == pytest.approx(104 * float(one.density.sum()), rel=0.02)
    along_z, along_x = (many.density.sum(axes).gt(0.5).sum() * 5.0 for axes in ((1, 2), (0, 1)))
    assert float(along_z) == pytest.approx(240, abs=35)  # the helix rises along z, the first axis
    assert float(along_x) < 190
    with pytest.raises(TomogramError, match="assembly '7'"):
        structure_from_model(tmp_path / "m.pdb", 5.0, assembly="7")


def test_files_without_a_model_are_errors_of_one_line(tmp_path: Path) -> None:
    pytest.importorskip("gemmi", reason="atomic models need gemmi")
    (tmp_path / "m.pdb").write_text("nothing\n")
    with pytest.raises(TomogramError, match=r"m\.pdb") as caught:
        structure_from_model(tmp_path / "m.pdb", 5.0)
    assert "\n" not in str(caught.value)
    with pytest.raises(TomogramError):
        structure_from_model(tmp_path / "absent.pdb", 5.0)


@pytest.mark.parametrize("name", ["1tub.pdb.gz", "3jb9.cif.gz"])
def test_real_models_have_interior_one(name: str, data_folder: Path) -> None:
    pytest.importorskip("gemmi", reason="atomic models need gemmi")
    structure = structure_from_model(data_folder / "models" / name, 10.0)
    assert interior(structure) == pytest.approx(1, abs=0.2)


def test_a_microtubule_has_the_three_start_lattice() -> None:
    """Neighbouring protofilaments are offset by 3 monomers of 41 angstrom a turn, downwards: left-handed starts."""
    filament = procedural_filament(np.random.default_rng(0), 10.0, "microtubule")
    count = round(41 / filament.rise)
    heights = {}
    for i in range(-count, count):
        angle = (filament.twist * i) % 360
        heights.setdefault(round(angle * count / 360) % count, []).append(i * filament.rise)
    assert len(heights) == count
    assert all(np.diff(sorted(h))[0] == pytest.approx(41, abs=1e-6) for h in heights.values())
    offset = (np.array(heights[1])[:, None] - np.array(heights[0])).ravel()
    nearest = offset[np.abs(offset).argmin()]
    assert nearest == pytest.approx(-3 * 41 / count, abs=1e-6)
