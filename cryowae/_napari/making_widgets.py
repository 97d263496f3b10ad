"""The widgets that make layers: one restores a tomogram, one cuts a missing wedge out of a volume."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.application import use_app
from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, FileEdit, FloatSpinBox

from cryowae._napari import derived_layers as derived
from cryowae._napari.jobs import in_window_words
from cryowae._napari.layers import LayerData, tomogram_of
from cryowae._napari.tomogram_widget import WEIGHT_FILES, TomogramWidget, file_in
from cryowae._napari.uncertainty_layers import samples_of, write_with_samples
from cryowae._napari.viewing import link_samples, region_in_view
from cryowae._napari.volume_widget import VolumeWidget, option_field
from cryowae.config.options import RestoreOptions
from cryowae.config.sampling_options import MOST_SAMPLES
from cryowae.errors import CryowaeError
from cryowae.io.mrc import SUFFIXES
from cryowae.restore.tomograms import RestoreResult
from cryowae.tomogram import Item

_VOLUMES = f"MRC volumes ({' '.join('*' + ending for ending in SUFFIXES)})"
_HINT = "Open Plugins > cryowae > Compare: the spectrum shows the cut wedge, and the xz plane shows the effect."
_UNSAVED = "Not saved yet."
_SAMPLES = (
    "The slider “sample” below the picture steps through the samples. Press V to hide them and see their mean. The "
    "hidden layer “std” is their standard deviation; Plugins > cryowae > Uncertainty marks where it is large."
)


class RestoreWidget(TomogramWidget):
    """Asks for the options of `cryowae restore`, and adds the result as a layer.

    Parameters
    ----------
    napari_viewer
        The viewer in which it is docked.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._result: Any = None
        self.consistency = option_field(RestoreOptions, "consistency", "consistency")
        self.wedge = option_field(RestoreOptions, "wedge", "wedge")
        self.fast = option_field(RestoreOptions, "fast", "fast: one pass of the network, not four")
        self.weights = FileEdit(label="own weights", nullable=True, filter=WEIGHT_FILES)
        self.output = FileEdit(label="save to", nullable=True, mode=FileDialogMode.OPTIONAL_FILE, filter=_VOLUMES)
        self.preview = self.button("Preview", self._preview, "Restore the visible part of the slab around this slice.")
        self.restore = self.button("Restore", self._restore, "Restore the whole volume.")
        self.save = self.button("Save …", self._save, "Write the result as MRC, with its header.", enabled=False)
        self.samples = option_field(RestoreOptions, "samples", "samples", most=MOST_SAMPLES)
        self.seed = option_field(RestoreOptions, "seed", "seed of the samples", most=2**32 - 1)
        own = [self.consistency, self.wedge, self.weights, self.output, self.fast, self.samples, self.seed]
        self.lay_out(*own, [self.preview, self.restore, self.save], self.job, self.report)

    def ask_where(self, suggested: Path) -> Path | None:
        """Ask for the name of a file to write; None if the user cancels."""
        ask = use_app().get_obj("show_file_dialog")
        chosen = ask(FileDialogMode.OPTIONAL_FILE, "Save the result", str(suggested), _VOLUMES)
        return Path(chosen) if chosen else None

    def _asked(self) -> tuple[Any, Callable[[], Item], RestoreOptions, str | Path]:
        """The chosen layer, a function that creates its item, options and weights; corrects the scale of the layer."""
        layer, make_item = self.chosen(file_in(self.output))
        how = {"consistency": self.consistency.value, "wedge": self.wedge.value, "fast": self.fast.value}
        options = RestoreOptions(**how, samples=self.samples.value, seed=self.seed.value)
        return layer, make_item, options, file_in(self.weights) or "default"

    def _restore(self) -> None:
        self.begin(partial(derived.restore_layer, *self._asked()), self._add_restored)

    def _preview(self) -> None:
        asked, dims = self._asked(), self._viewer.dims
        layer = asked[0]
        extra = dims.ndim - layer.ndim  # leading axes, of layers with more axes
        displayed = tuple(axis - extra for axis in dims.displayed if axis >= extra)
        point = tuple(layer.world_to_data(dims.point[extra:]))
        region = region_in_view(layer.data.shape, point, displayed, layer.corner_pixels)
        self.begin(partial(derived.preview_layer, *asked, region), self._add_preview)

    def _add_preview(self, layer: LayerData) -> None:
        self.show_layer(layer, replacing=layer[1]["name"])
        self.report.value = "The slab lies on top of its tomogram; hide it (V) to see the tomogram."

    def _add_restored(self, done: tuple[list[LayerData], RestoreResult]) -> None:
        (layer, *others), result = done
        self._result = self.show_layer(
            layer, replacing=derived.preview_name(layer[1]["metadata"][derived.RESTORED_FROM])
        )
        shown = [self.show_layer(other) for other in others]
        for samples in link_samples(self._viewer, self._result, shown):
            self._viewer.layers.selection.active = samples  # V hides it
        self.save.enabled = True
        lines = [
            f"{result.inferred_share:.0%} of its power is in the wedge: inferred. Nothing was measured there.",
            f"Tilts {result.tilt_min:+.4g} to {result.tilt_max:+.4g}°; protein is {result.contrast}.",
            f"It took {result.seconds:.0f} s.",
            *map(in_window_words, result.notes),
            *([_SAMPLES] if others else []),
            _UNSAVED if derived.is_temporary(result.path) else f"Saved as {result.path}.",
        ]
        self.report.value = "\n".join(lines)

    def _save(self) -> None:
        layer = self._result
        found = [one for one in self.volumes() if one.name == layer.metadata[derived.RESTORED_FROM]]
        opened = tomogram_of(found[0]) if found else None
        folder = Path() if opened is None or derived.is_temporary(opened.path) else opened.path.parent
        path = self.ask_where(folder / f"{layer.name.replace(' ', '_')}.mrc")
        if path is not None:
            work = partial(write_with_samples, path, layer, samples_of(layer, self._viewer))
            self.job.start(lambda _progress: work(), self._tell_saved)

    def _tell_saved(self, paths: list[str]) -> None:
        lines = [line for line in str(self.report.value).splitlines() if line != _UNSAVED]
        more = f", and beside it {len(paths) - 1} files of its samples" if len(paths) > 1 else ""
        self.report.value = "\n".join([*lines, f"Saved as {paths[0]}{more}."])


class SimulateWidget(VolumeWidget):
    """Asks for the options of `cryowae simulate wedge`, and adds the result as a layer.

    Parameters
    ----------
    napari_viewer
        The viewer in which it is docked.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.volume = self.choice("volume")
        self.tilt_range.value = "-60 60"
        self.soft = CheckBox(text="soft edge of 5 degrees")
        self.noise = FloatSpinBox(label="noise, SNR", max=1000, step=0.05, tooltip="Of the tilt images; 0 for none.")
        self.cut = self.button("Cut the wedge", self._cut)
        self.lay_out(self.volume, self.tilt_range, self.soft, self.noise, self.cut, self.job, self.report)

    def _cut(self) -> None:
        layer, tilts = self.volume.value, self.tilts()
        if layer is None or tilts is None:
            raise CryowaeError("a volume and a tilt range are needed, for example -60 60")
        noise = float(self.noise.value) or None
        self.begin(partial(derived.cut_layer, layer, tilts, bool(self.soft.value), noise), self._add)

    def _add(self, layer: LayerData) -> None:
        self.show_layer(layer)
        self.report.value = _HINT
