"""The simulate widget: a wedge is cut out of any volume, to see what it does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, FloatSpinBox, Label, LineEdit, PushButton

from cryowae._napari.layers import LayerData, layer_data, look_of, open_for_viewing, place_of
from cryowae._napari.messages import complain
from cryowae._napari.restoring import CUT_FROM, parse_tilt_range
from cryowae._napari.scratch import scratch_folder
from cryowae._napari.sources import source_of
from cryowae._napari.widget import VolumeWidget
from cryowae.errors import CryowaeError
from cryowae.io.mrc import stem_of
from cryowae.progress import Progress


class SimulateWidget(VolumeWidget):
    """Asks what `cryowae simulate wedge` asks, and adds the result as a layer.

    Parameters
    ----------
    napari_viewer
        The viewer that it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.volume = self.choice("volume")
        self.tilt_range = LineEdit(label="tilt range", value="-60 60", tooltip="Lowest and highest tilt, degrees.")
        self.soft = CheckBox(text="soft edge of 5 degrees")
        self.noise = FloatSpinBox(
            label="noise, SNR", min=0, max=1000, step=0.05, value=0, tooltip="Of the tilt images; 0 for none."
        )
        self.cut = PushButton(text="Cut the wedge")
        self.report = Label(value="")
        fields = [self.volume, self.tilt_range, self.soft, self.noise]
        self.lay_out(*fields, self.cut, self.job, self.report, words=(self.report,))
        self.cut.changed.connect(self._cut)

    def _cut(self, *_: Any) -> None:
        layer = self.volume.value
        try:
            tilts = parse_tilt_range(str(self.tilt_range.value))
            if layer is None or tilts is None:
                raise CryowaeError("a volume and a tilt range are needed, for example -60 60")
        except CryowaeError as error:
            complain(error)
            return
        self.report.value = ""
        noise = float(self.noise.value) or None
        self.job.start(partial(cut_layer, layer, tilts, bool(self.soft.value), noise), self._add)

    def _add(self, layer: LayerData) -> None:
        self.add(layer)
        self.report.value = (
            "Open Plugins > cryowae > Compare: the spectrum shows what is gone, and the xz plane what that does."
        )


def cut_layer(layer: Any, tilts: tuple[float, float], soft: bool, noise: float | None, progress: Progress) -> LayerData:
    """Cut a wedge out of a layer; the result looks as the layer does, and knows its wedge."""
    from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    folder = scratch_folder()
    source = source_of(layer)
    opened = open_tomogram(source.path, tilt_range=tilts, voxel_size=source.voxel_size, axes=source.axes)
    output = folder / f"{stem_of(source.path)}_wedge.mrc"
    result = simulate_wedge(opened, output, wedge=wedge_of(opened, soft=soft), noise=noise, progress=progress)
    shown = open_for_viewing(output, voxel_size=source.voxel_size, axes=source.axes)
    shown = replace(shown, wedge=result.wedge, tilt_source="as it was cut")
    data, look, kind = layer_data(shown, f"{layer.name}, {tilts[0]:+g} to {tilts[1]:+g}°")
    metadata = {**look["metadata"], CUT_FROM: layer.name}
    greys = look["contrast_limits"] if noise else tuple(layer.contrast_limits)
    return data, {**look, **look_of(layer), **place_of(layer), "contrast_limits": greys, "metadata": metadata}, kind
