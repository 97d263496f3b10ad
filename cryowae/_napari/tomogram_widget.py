"""Common parts of the widgets that work on a tomogram: its layer, its other half, its tilts, its voxel size."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import FileEdit, FloatSpinBox, Label

from cryowae._napari.derived_layers import item_from
from cryowae._napari.layers import tomogram_of, voxel_size_of
from cryowae._napari.volume_widget import VolumeWidget, option_field
from cryowae.config.options import ItemOptions, help_of
from cryowae.errors import CryowaeError, TomogramError
from cryowae.io.neighbours import find_halves
from cryowae.tomogram import Item

WEIGHT_FILES = "Weights (*.safetensors);;All files (*)"
"""Filter of dialogs for files of weights."""

_TILT_FILES = "Tilt angles (*.tlt *.rawtlt *.com *.aln *.txt *.csv *.mdoc *.xml *.star *.tomostar);;All files (*)"


class TomogramWidget(VolumeWidget):
    """A widget with the fields that describe a tomogram.

    Parameters
    ----------
    viewer
        The viewer in which it is docked.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.tomogram = self.choice("tomogram", tooltip="The layer of the tomogram, or of a half.")
        self.other = self.choice("other half", nullable=True, tooltip="The mean of both halves is restored.")
        self.known = Label(label="tilts")
        self.tilt_file = FileEdit(label="tilt file", nullable=True, filter=_TILT_FILES)
        self.tilt_file.tooltip = help_of(ItemOptions, "tilts")
        self.flip = option_field(ItemOptions, "flip_tilt", "tilts of the other sign")
        self.force = option_field(ItemOptions, "force", "go on if the spectrum contradicts")
        self.voxel_size = FloatSpinBox(label="voxel size, Å", min=0.01, max=10000, step=0.01, value=1)
        self.contrast = option_field(ItemOptions, "contrast", "protein is")

    def lay_out(self, *rows: Any, below: Any = None, after: int = 0) -> None:
        """Arrange the fields of the tomogram, then those of `rows`; see `VolumeWidget.lay_out`."""
        own = [self.tomogram, self.other, self.known, self.tilt_range, self.tilt_file, self.flip, self.force]
        super().lay_out(*own, self.voxel_size, self.contrast, *rows, below=below, after=after)
        choose = self.guarded(self._choose)
        self.tomogram.changed.connect(choose)
        choose()

    def layers_changed(self, new: list[Any]) -> None:
        """Choose the other half if it is among the new layers."""
        if self.other.value is None:
            self._pair(new)

    def chosen(self, output: Path | None = None) -> tuple[Any, Callable[[], Item]]:
        """The chosen layer, and a function that creates its item; corrects the scale of the layer.

        Raises
        ------
        CryowaeError
            If there is no layer, or a field cannot be used.
        """
        layer, other = self.tomogram.value, self.other.value
        if layer is None:
            raise CryowaeError("there is no volume: open one first (File > Open, or drop it into the window)")
        wanted, has = float(self.voxel_size.value), voxel_size_of(layer.scale, layer.units)
        if abs(wanted - has) > 0.005:  # the field has two decimals
            layer.scale = layer.scale * (wanted / has)
        tilts: dict[str, Any] = {"tilts": file_in(self.tilt_file), "tilt_range": self.tilts()}
        ticked = {"flip_tilt": self.flip.value, "force": self.force.value}
        given = ItemOptions(**tilts, **ticked, contrast=self.contrast.value)
        return layer, partial(item_from, layer, other if other is not layer else None, given, output)

    def describe_as(self, other: TomogramWidget) -> None:
        """Take over the tomogram of another widget, and what was said about it."""
        names = ("tomogram", "other", "tilt_range", "tilt_file", "flip", "force", "voxel_size", "contrast")
        for name in names:
            getattr(self, name).value = getattr(other, name).value

    def _choose(self) -> None:
        """Show the properties of the layer, and search for its other half among the other layers."""
        layer = self.tomogram.value
        if layer is None:
            self.known.value = "no volume is open"
            return
        self.other.value = None
        opened = tomogram_of(layer)
        if opened is None or opened.wedge is None:
            self.known.value = "none found: give a range or a file"
        else:
            wedge = opened.wedge
            source = re.sub(r"\S*/", "", opened.tilt_source)  # names of files without their folders
            self.known.value = f"{wedge.tilt_min:+.4g} to {wedge.tilt_max:+.4g}°, {source}"
        self._pair(self.volumes())
        size = voxel_size_of(layer.scale, layer.units)
        if not self.voxel_size.min <= size <= self.voxel_size.max:
            raise TomogramError(f"the layer has voxels of {size:g} Å; expected 0.01 to 10000: correct the voxel size")
        self.voxel_size.value = size

    def _pair(self, candidates: list[Any]) -> None:
        """Choose the other half of the tomogram, if it is among these layers."""
        opened = tomogram_of(self.tomogram.value)
        pair = None if opened is None else find_halves(opened.path)
        if pair is None or opened is None or opened.path not in (pair.half1, pair.half2):
            return
        partner = pair.half2 if opened.path == pair.half1 else pair.half1
        for candidate in candidates:
            if (found := tomogram_of(candidate)) is not None and found.path == partner:
                self.other.value = candidate


def file_in(field: FileEdit) -> Path | None:
    """The file of a field, None where it is empty."""
    return field.value if isinstance(field.value, Path) else None
