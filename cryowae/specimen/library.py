"""The library of known structures for scenes: density maps and atomic models in files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryowae.errors import ConfigError, TomogramError
from cryowae.specimen.atomic import structure_from_model
from cryowae.specimen.structures import Structure, normalised, structure_from_map

FINEST = 7.5
"""Voxel size in angstrom at which atomic models are rendered; scenes resample from there."""


def data_folder() -> Path:
    """The folder of real data that `CRYOWAE_DATA` names.

    Raises
    ------
    ConfigError
        If the variable is unset or names no folder.
    """
    named = os.environ.get("CRYOWAE_DATA", "")
    if not named or not Path(named).is_dir():
        raise ConfigError(f"CRYOWAE_DATA is {named!r}, expected the folder of real data; set it, or ask for none of it")
    return Path(named)


def load_library(names: Sequence[str]) -> list[Structure]:
    """Load maps and atomic models.

    Parameters
    ----------
    names
        Paths below the folder of real data, or paths of your own files. `name@8` replaces a wrong voxel size in a
        map's header by 8 angstrom.

    Raises
    ------
    ConfigError
        If a file is missing, or the package that reads it.
    TomogramError
        If a file holds no structure.
    """
    return [_load(name) for name in names]


def _load(name: str) -> Structure:
    file, voxel_size = _parted(name)
    path = _find(file)
    try:
        if path.name.removesuffix(".gz").endswith((".pdb", ".cif")):
            model = structure_from_model(path, FINEST)
            density = normalised(model.density.numpy(), FINEST)  # the same contrast as a map
            return Structure.from_density(model.name, density, FINEST)
        return structure_from_map(path, voxel_size=voxel_size)
    except ImportError:
        raise ConfigError(
            f'{file} is an atomic model, which gemmi reads: install it by pip install "cryowae[simulate]"'
        ) from None
    except (OSError, ValueError) as error:
        raise TomogramError(
            f"{file} cannot be read as a structure ({error}): expected an MRC map, PDB or mmCIF"
        ) from None


def _parted(name: str) -> tuple[str, float | None]:
    """Path and voxel size of `path@voxel_size`."""
    file, at, size = name.rpartition("@")
    try:
        voxel_size = float(size) if at else None
    except ValueError:  # an @ in the name of the file
        voxel_size = None
    if voxel_size is None:
        return name, None
    if not voxel_size > 0:
        raise ConfigError(f"got {name!r}, expected a voxel size in angstrom after @, such as {file}@8")
    return file, voxel_size


def _find(file: str) -> Path:
    """A file of the user, or one below the folder of real data."""
    own = Path(file).expanduser()
    if own.is_file():
        return own
    if own.is_absolute():
        raise ConfigError(f"no structure {file!r}; correct its path")
    path = data_folder() / own
    if not path.is_file():
        raise ConfigError(
            f"no structure {file!r} in {data_folder()} or in {Path.cwd()}; correct its name or CRYOWAE_DATA"
        )
    return path
