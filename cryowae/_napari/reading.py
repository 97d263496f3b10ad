"""The reader of the plugin: MRC files as layers, and samples of a restored volume that lie beside it. No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cryowae._napari.layers import LayerData, layer_data, open_for_viewing
from cryowae._napari.uncertainty_layers import uncertainty_layers
from cryowae.io.mrc import SUFFIXES

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """The reader of these files if all of them are MRC volumes by their names, otherwise None."""
    names = [path] if isinstance(path, str) else list(path)
    return read_volumes if names and all(map(_is_volume, names)) else None


def read_volumes(path: PathOrPaths) -> list[LayerData]:
    """One layer for each file. The files are mapped, not read. Notes about them are shown as warnings.

    If the samples of a restored volume and their standard deviation lie beside it, they become hidden layers.
    """
    from napari.utils.notifications import show_warning

    layers: list[LayerData] = []
    for name in [path] if isinstance(path, str) else path:
        tomogram = open_for_viewing(name)
        opened = layer_data(tomogram)
        layers += [opened, *uncertainty_layers(opened)]
        for note in tomogram.notes:
            show_warning(note)
    return layers


def _is_volume(name: str) -> bool:
    stem = Path(name).name.lower().removesuffix(".gz").removesuffix(".bz2")
    return stem.endswith(SUFFIXES)
