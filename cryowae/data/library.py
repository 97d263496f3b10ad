"""The library of known structures that scenes are made of, beside the invented ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryowae.errors import ConfigError
from cryowae.physics.atomic import structure_from_model
from cryowae.physics.structures import Structure, normalised, structure_from_map

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
        Paths below the folder of real data. `name@8` overrides a wrong voxel size in a map's header with 8 angstrom.

    Raises
    ------
    ConfigError
        If a file is missing.
    """
    if not names:
        return []
    folder, structures = data_folder(), []
    for name in names:
        file, _, voxel = name.partition("@")
        path = folder / file
        if not path.is_file():
            raise ConfigError(f"no structure {file!r} in {folder}; mend data.structures or CRYOWAE_DATA")
        if path.name.removesuffix(".gz").endswith((".pdb", ".cif")):
            model = structure_from_model(path, FINEST)
            density = normalised(model.density.numpy(), FINEST)  # the contrast of a map, whatever the atoms say
            structures.append(Structure.from_density(model.name, density, FINEST))
        else:
            structures.append(structure_from_map(path, voxel_size=float(voxel) if voxel else None))
    return structures
