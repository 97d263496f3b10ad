"""The restore widget: a tomogram is chosen, its tilts are known or given, a part is tried, the whole is restored."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.application import use_app
from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, FloatSpinBox, Label, LineEdit, PushButton

from cryowae._napari.layers import LayerData, tomogram_of, voxel_size_of
from cryowae._napari.messages import complain, in_window_words
from cryowae._napari.restoring import (
    RESTORED_FROM,
    Request,
    parse_tilt_range,
    preview_layer,
    preview_name,
    region_in_view,
    restore_layer,
)
from cryowae._napari.scratch import is_scratch
from cryowae._napari.widget import VolumeWidget
from cryowae._napari.writer import write_volume
from cryowae.config.options import RestoreOptions
from cryowae.errors import CryowaeError
from cryowae.io.mrc import SUFFIXES
from cryowae.io.neighbours import find_halves
from cryowae.restore.result import RestoreResult

_TILT_FILES = "Tilt angles (*.tlt *.rawtlt *.aln *.txt *.mdoc *.xml);;All files (*)"
_VOLUMES = f"MRC volumes ({' '.join('*' + ending for ending in SUFFIXES)})"
_UNSAVED = "Not saved yet."
_WEIGHTS = "Weights (*.safetensors);;All files (*)"


class RestoreWidget(VolumeWidget):
    """Asks what `cryowae restore` asks, and adds the result as a layer.

    Parameters
    ----------
    napari_viewer
        The viewer that it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._seen: list[Any] = []
        self.tomogram = self.choice("tomogram", tooltip="The layer to restore, or a half.")
        self.other = self.choice("other half", nullable=True, tooltip="The mean of both halves is restored.")
        self.tilt_file = FileEdit(label="tilt file", nullable=True, filter=_TILT_FILES)
        self.tilt_range = LineEdit(label="tilt range", tooltip="Lowest and highest tilt in degrees, such as -60 60.")
        self.flip = CheckBox(text="tilts of the other sign", tooltip="As volumes of WarpTools and AreTomo may need.")
        self.known = Label(label="tilts")
        self.voxel_size = FloatSpinBox(label="voxel size, Å", min=0.01, max=10000, step=0.01, value=1)
        self.contrast = ComboBox(label="protein is", choices=["auto", "dark", "bright"])
        self.weights = FileEdit(label="own weights", nullable=True, filter=_WEIGHTS)
        self.consistency = ComboBox(
            label="consistency",
            choices=["off", "soft", "hard"],
            tooltip="Measured components: restored; mixed with the input's by signal-to-noise; the input's.",
        )
        self.wedge = ComboBox(label="wedge", choices=["fill", "leave"], tooltip="leave: denoising alone.")
        self.fast = CheckBox(text="fast: one pass of the network, not four")
        self.output = FileEdit(label="save to", nullable=True, mode=FileDialogMode.OPTIONAL_FILE, filter=_VOLUMES)
        self.preview = PushButton(text="Preview", tooltip="Restore what is seen of the slab about this slice.")
        self.restore = PushButton(text="Restore", tooltip="Restore the whole volume.")
        self.save = PushButton(text="Save …", enabled=False, tooltip="Write the result as MRC, with its header.")
        self.report = Label(value="")
        fields = [self.tomogram, self.other, self.known, self.tilt_range, self.tilt_file, self.flip, self.voxel_size]
        fields += [self.contrast, self.consistency, self.wedge, self.weights, self.output, self.fast]
        buttons = Container[Any](widgets=[self.preview, self.restore, self.save], layout="horizontal", labels=False)
        self.lay_out(*fields, buttons, self.job, self.report, words=(self.known, self.report))
        self.tomogram.changed.connect(self._choose)
        self.preview.changed.connect(self._preview)
        self.restore.changed.connect(self._restore)
        self.save.changed.connect(self._save)
        self._result: Any = None
        self._seen = self.volumes()
        self._choose(self.tomogram.value)

    def request(self) -> Request:
        """What is asked for at the moment; raises `CryowaeError` where a field makes no sense."""
        layer = self.tomogram.value
        if layer is None:
            raise CryowaeError("there is no volume: open one first (File > Open, or drop it into the window)")
        self._correct_scale(layer)
        return Request(
            layer=layer,
            other=self.other.value if self.other.value is not layer else None,
            tilts=_file(self.tilt_file),
            tilt_range=parse_tilt_range(str(self.tilt_range.value)),
            flip_tilt=bool(self.flip.value),
            model=_file(self.weights) or "default",
            options=RestoreOptions(
                contrast=self.contrast.value,
                consistency=self.consistency.value,
                wedge=self.wedge.value,
                fast=bool(self.fast.value),
            ),
            output=_file(self.output),
        )

    def _restore(self, *_: Any) -> None:
        self._start(lambda request: partial(restore_layer, request), self._add_restored)

    def _preview(self, *_: Any) -> None:
        def work(request: Request) -> Callable[..., Any]:
            layer, dims = request.layer, self._viewer.dims
            extra = dims.ndim - layer.ndim  # axes in front, of layers with more of them
            displayed = tuple(axis - extra for axis in dims.displayed if axis >= extra)
            point = tuple(layer.world_to_data(dims.point[extra:]))
            region = region_in_view(layer.data.shape, point, displayed, layer.corner_pixels)
            return partial(preview_layer, request, region)

        self._start(work, self._add_preview)

    def _start(self, work: Callable[[Request], Callable[..., Any]], then: Callable[[Any], None]) -> None:
        try:
            ready = work(self.request())
        except CryowaeError as error:
            complain(error)
            return
        self.report.value = ""
        self.job.start(ready, then)

    def _add_preview(self, layer: LayerData) -> None:
        self.replace(layer)
        self.report.value = "The slab lies on top of its tomogram; hide it (V) to see what was there."

    def _add_restored(self, done: tuple[LayerData, RestoreResult]) -> None:
        layer, result = done
        self.remove_layer(preview_name(layer[1]["metadata"][RESTORED_FROM]))
        self._result = self.add(layer)
        self.save.enabled = True
        lines = [
            f"{result.inferred_share:.0%} of its power was inferred: it lies in the wedge, where nothing was measured.",
            f"Tilts {result.tilt_min:+.4g} to {result.tilt_max:+.4g}°; protein is {result.contrast}.",
            f"It took {result.seconds:.0f} s.",
            *map(in_window_words, result.notes),
            _UNSAVED if is_scratch(result.path) else f"Saved as {result.path}.",
        ]
        self.report.value = "\n".join(lines)

    def _save(self, *_: Any) -> None:
        layer = self._result
        found = [one for one in self.volumes() if one.name == layer.metadata[RESTORED_FROM]]
        opened = tomogram_of(found[0].metadata) if found else None
        folder = Path() if opened is None or is_scratch(opened.path) else opened.path.parent
        path = self.ask_where(folder / f"{layer.name.replace(' ', '_')}.mrc")
        if path is not None:
            data, look, _ = layer.as_layer_data_tuple()
            self.job.start(lambda _progress: write_volume(str(path), data, look), self._tell_saved)

    def _tell_saved(self, paths: list[str]) -> None:
        lines = [line for line in str(self.report.value).splitlines() if line != _UNSAVED]
        self.report.value = "\n".join([*lines, f"Saved as {paths[0]}."])

    def ask_where(self, suggested: Path) -> Path | None:
        """Ask for the name of a file to write; None if the user would rather not."""
        ask = use_app().get_obj("show_file_dialog")
        chosen = ask(FileDialogMode.OPTIONAL_FILE, "Save the result", str(suggested), _VOLUMES)
        return Path(chosen) if chosen else None

    def _choose(self, layer: Any) -> None:
        """Show what is known of the layer, and look for its other half among the others."""
        if layer is None:
            self.known.value = "no volume is open"
            return
        self.other.value = None
        try:
            size = voxel_size_of(layer.scale, layer.units)
            self.voxel_size.value = size
        except CryowaeError as error:
            complain(error)
        except ValueError:  # outside of the field's range
            complain(f"the layer has voxels of {size:g} Å; expected 0.01 to 10000: correct the voxel size")
        opened = tomogram_of(layer.metadata)
        if opened is None or opened.wedge is None:
            self.known.value = "none found: give a range or a file"
        else:
            wedge = opened.wedge
            source = re.sub(r"\S*/", "", opened.tilt_source)  # names of files without their folders
            self.known.value = f"{wedge.tilt_min:+.4g} to {wedge.tilt_max:+.4g}°, {source}"
        self._pair(self.volumes())

    def reset_choices(self, *args: Any) -> None:
        """Napari calls this when layers come and go: a half may be the other one of what is chosen."""
        super().reset_choices(*args)
        volumes = self.volumes()
        new = [layer for layer in volumes if layer not in self._seen]
        self._seen = volumes
        if self.other.value is None:
            self._pair(new)

    def _pair(self, candidates: list[Any]) -> None:
        """Choose the other half of the tomogram, if it is among these layers."""
        layer = self.tomogram.value
        opened = None if layer is None else tomogram_of(layer.metadata)
        pair = None if opened is None else find_halves(opened.path)
        if pair is None or opened is None or opened.path not in (pair.half1, pair.half2):
            return
        partner = pair.half2 if opened.path == pair.half1 else pair.half1
        for candidate in candidates:
            found = tomogram_of(candidate.metadata)
            if found is not None and found.path == partner:
                self.other.value = candidate

    def _correct_scale(self, layer: Any) -> None:
        """Give the layer the voxel size of the field, in the layer's own units, if that is another."""
        wanted, has = float(self.voxel_size.value), voxel_size_of(layer.scale, layer.units)
        if abs(wanted - has) > 0.005:  # the field has two decimals
            layer.scale = layer.scale * (wanted / has)


def _file(field: FileEdit) -> Path | None:
    """The one file of a field, None where it is empty."""
    return field.value if isinstance(field.value, Path) else None
