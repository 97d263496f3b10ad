"""MRC volumes into napari: mapped, so that one larger than the memory opens at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cryowae._napari.layers import LayerData, layer_data, open_for_viewing
from cryowae.io.mrc import SUFFIXES

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Answer whether these files can be read, by their names."""
    names = [path] if isinstance(path, str) else list(path)
    return read_volumes if names and all(map(_is_volume, names)) else None


def read_volumes(path: PathOrPaths) -> list[LayerData]:
    """One layer a file; what the user should know of them is said as a warning."""
    from napari.utils.notifications import show_warning

    layers = []
    for name in [path] if isinstance(path, str) else path:
        tomogram = open_for_viewing(name)
        layers.append(layer_data(tomogram))
        for note in tomogram.notes:
            show_warning(note)
    return layers


def _is_volume(name: str) -> bool:
    stem = Path(name).name.lower().removesuffix(".gz").removesuffix(".bz2")
    return stem.endswith(SUFFIXES)
