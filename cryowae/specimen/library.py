"""The library of known structures for scenes: density maps and atomic models in files.

An atomic model gets the density that electrons measure in ice, protein about 1. `CONTRAST` is the scattering
amplitude at zero angle of an atom and the hydrogens it carries on average (electron scattering factors of Peng et al.,
Acta Cryst. A52, 1996), less that of the ice in the volume that it takes (Tsai et al., J. Mol. Biol. 290, 1999). A
residue has 9.8 angstrom in 135 cubic angstrom, a nucleotide 28 in 281: nucleic acid is 1.4 times as dense.

`ENVELOPE` is the mean density inside a molecular envelope at 20 angstrom, grooves and cavities included, where
close-packed protein is 1 (.53 to .64 over nine complexes from tubulin to the ribosome). Maps are scaled by it
(`normalised`), so models are too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import ConfigError, TomogramError
from cryowae.specimen.structures import Structure, density_of_points, normalised

FINEST = 7.5
"""Voxel size in angstrom at which atomic models are rendered; scenes resample from there."""

ENVELOPE = 0.56
"""Mean density inside the envelope of a molecule, where close-packed protein is 1."""

PROTEIN_CONTRAST = 0.0727 * ENVELOPE
"""Density defined as 1, in angstrom per cubic angstrom: a residue has 22.6 in 135, less the 0.0955 of vitreous ice."""

CONTRAST = {"H": 0.0, "C": 1.40, "N": 1.40, "O": 0.71, "S": 2.7, "P": 4.3, "SE": 6.0, "MG": 4.0, "ZN": 5.0, "FE": 6.0}
"""Contrast of an atom with its hydrogens against ice, in angstrom."""

OTHER = 4.0
"""Contrast of an atom not in the table (ions, mostly)."""


_MODELS = (".pdb", ".cif")


def load_library(names: Sequence[str], instead: str = "") -> list[Structure]:
    """Load maps and atomic models.

    Parameters
    ----------
    names
        Paths below the folder of real data, or paths of your own files. `name@8` replaces a wrong voxel size in a
        map's header by 8 angstrom.
    instead
        What else the user can do if files are missing, for the error message.

    Raises
    ------
    ConfigError
        If a file is missing, or the package that reads it.
    TomogramError
        If a file holds no structure.
    """
    if missing := [name for name in names if _found(name) is None]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        folder = os.environ.get("CRYOWAE_DATA", "")
        place = f"below CRYOWAE_DATA ({folder})" if folder else "below CRYOWAE_DATA, which is not set"
        raise ConfigError(
            f"no structure {missing[0]!r}{more} here or {place}: correct the name, or set CRYOWAE_DATA to the folder "
            f"that has it{instead}"
        )
    return [_load(name) for name in names]


def known_structures(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that can be loaded here: their files exist, and gemmi is installed if they are models."""
    models, found = find_spec("gemmi") is not None, []
    for name in names:
        path = _found(name)
        if path is not None and (models or not path.name.removesuffix(".gz").endswith(_MODELS)):
            found.append(name)
    return tuple(found)


def structure_from_map(path: str | Path, *, voxel_size: float | None = None) -> Structure:
    """Structure from a density map with any scale; the noise of its solvent is masked out. It is named after the file.

    Parameters
    ----------
    path
        `.mrc`, `.map` or either with `.gz`.
    voxel_size
        Angstrom; replaces a wrong one in the header of the file.

    Raises
    ------
    TomogramError
        If the file has no volume, a constant volume, or no voxel size and none is given.
    """
    import mrcfile

    path = Path(path)
    with mrcfile.open(path, permissive=True) as mrc:
        data = None if mrc.data is None else np.array(mrc.data, dtype=np.float32)
        voxel = float(mrc.voxel_size.x) if voxel_size is None else float(voxel_size)
    if data is None or data.ndim != 3 or not np.isfinite(data).all() or data.max() == data.min():
        raise TomogramError(f"got {path.name} without a density in it, expected a map in three dimensions")
    if not voxel > 0:
        raise TomogramError(f"got {path.name} with voxel size {voxel}, expected angstrom: name it {path.name}@SIZE")
    return Structure.from_density(path.name.split(".")[0], normalised(data, voxel), voxel)


def structure_from_model(path: str | Path, voxel_size: float, *, assembly: str | None = None) -> Structure:
    """Structure from an atomic model, at a resolution of two voxels.

    Parameters
    ----------
    path
        PDB or mmCIF, or either with `.gz`.
    voxel_size
        Angstrom.
    assembly
        Name of the biological assembly to build ("1" for the first of most files), for models that hold one
        asymmetric unit, such as capsids; by default only the atoms in the file.

    Returns
    -------
    structure
        Named after the file. Waters and all models but the first are left out.

    Raises
    ------
    TomogramError
        If the file cannot be read, holds no atoms, or has no such assembly.
    """
    path = Path(path)
    points, weights = _atoms(path, assembly)
    density = density_of_points(points - (points.min(0) + points.max(0)) / 2, weights, voxel_size)
    return Structure.from_density(path.name.split(".")[0], density, voxel_size)


def _load(name: str) -> Structure:
    """The structure of `path` or `path@voxel_size`."""
    (file, voxel_size), path = _parts(name), _found(name)
    assert path is not None
    try:
        if path.name.removesuffix(".gz").endswith(_MODELS):
            model = structure_from_model(path, FINEST)  # a model gets the same contrast as a map
            return Structure.from_density(model.name, normalised(model.density.numpy(), FINEST), FINEST)
        return structure_from_map(path, voxel_size=voxel_size)
    except ImportError:
        hint = 'install it by pip install "cryowae[simulate]"'
        raise ConfigError(f"{file} is an atomic model, which gemmi reads: {hint}") from None
    except (OSError, ValueError) as error:
        reason = f"cannot be read as a structure ({error}): expected an MRC map, PDB or mmCIF"
        raise TomogramError(f"{file} {reason}") from None


def _parts(name: str) -> tuple[str, float | None]:
    """The file and the voxel size of `path` or `path@voxel_size`."""
    file, at, size = name.rpartition("@")
    try:
        voxel_size = float(size if at else "")
    except ValueError:  # no size, or an @ in the name of the file
        return name, None
    if not voxel_size > 0:
        raise ConfigError(f"got {name!r}, expected a voxel size in angstrom after @, such as {file}@8")
    return file, voxel_size


def _found(name: str) -> Path | None:
    """A file of the user, or one below the folder of real data; None if there is none."""
    own = Path(_parts(name)[0]).expanduser()
    folder = os.environ.get("CRYOWAE_DATA", "")
    places = [own, *([Path(folder) / own] if folder and not own.is_absolute() else [])]
    return next((place for place in places if place.is_file()), None)


def _atoms(path: Path, assembly: str | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions `(n, 3)` `(z, y, x)` in angstrom, and each atom's integral of density in cubic angstrom."""
    import gemmi

    try:
        structure = gemmi.read_structure(str(path), merge_chain_parts=False)
    except (OSError, RuntimeError, ValueError) as error:
        reason = f"which cannot be read as PDB or mmCIF ({error}): check the file"
        raise TomogramError(f"got {path.name}, {reason}") from error
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise TomogramError(f"got {path.name} without atoms, expected an atomic model in PDB or mmCIF")
    structure.remove_waters()
    model = structure[0]
    if assembly is not None:
        found = {one.name: one for one in structure.assemblies}
        if assembly not in found:
            described = f"expected one that the file describes: {', '.join(found) or 'none'}"
            raise TomogramError(f"got assembly {assembly!r} of {path.name}, {described}")
        operators = [operator for part in found[assembly].generators for operator in part.operators]
        for operator, matrix in zip(operators, _remark_350(structure.raw_remarks, assembly), strict=False):
            operator.transform.mat.fromlist(matrix[:, :3].tolist())
            operator.transform.vec.fromlist(matrix[:, 3].tolist())
        model = gemmi.make_assembly(found[assembly], model, gemmi.HowToNameCopiedChain.Dup)
    atoms = [place.atom for place in model.all()]
    contrast = np.array([CONTRAST.get(atom.element.name.upper(), OTHER) for atom in atoms])
    occupancy = np.array([atom.occ for atom in atoms])
    # alternate conformations share one position; if a file has no occupancies, all are 1
    filled = occupancy if occupancy.max() > 0 else np.ones(len(atoms))
    return np.array([atom.pos.tolist()[::-1] for atom in atoms]), contrast * filled / PROTEIN_CONTRAST


def _remark_350(remarks: list[str], assembly: str) -> NDArray[np.float64]:
    """`(n, 3, 4)` operators of an assembly from the remarks of a PDB file.

    Numbers are found by their format and not by their column: large capsids shift the columns from the hundredth
    operator on.
    """
    before, *parts = re.split(r"REMARK 350 BIOMOLECULE: *(\w+).*", "\n".join(remarks))
    texts = {"1": before} | dict(zip(parts[::2], parts[1::2], strict=True))
    rows = " ".join(re.findall("REMARK 350   BIOMT(.*)", texts.get(assembly, "")))
    return np.array(re.findall(r"-?\d+\.\d+", rows), np.float64).reshape(-1, 3, 4)
