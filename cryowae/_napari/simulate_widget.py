"""The simulate widget: a wedge is cut out of any volume, to see what it does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, Label, LineEdit, PushButton

from cryowae._napari.jobs import JobPanel
from cryowae._napari.layers import LayerData, layer_data, open_for_viewing, source_of, volumes_of
from cryowae._napari.messages import complain
from cryowae._napari.picture import wrap
from cryowae._napari.restoring import CUT_FROM, look_of, parse_tilt_range
from cryowae._napari.scratch import scratch_folder
from cryowae.errors import CryowaeError
from cryowae.io.mrc import stem_of
from cryowae.progress import Progress


class SimulateWidget(Container[Any]):
    """Asks what `cryowae simulate wedge` asks, and adds the result as a layer.

    Parameters
    ----------
    napari_viewer
        The viewer that it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        self._viewer = napari_viewer
        self.volume = ComboBox(label="volume", choices=self._volumes)
        self.tilt_range = LineEdit(label="tilt range", value="-60 60", tooltip="Lowest and highest tilt, degrees.")
        self.soft = CheckBox(text="soft edge of 5 degrees")
        self.noise = FloatSpinBox(
            label="noise, SNR", min=0, max=1000, step=0.05, value=0, tooltip="Of the tilt images; 0 for none."
        )
        self.cut = PushButton(text="Cut the wedge")
        self.job = JobPanel()
        self.report = Label(value="")
        super().__init__(widgets=[self.volume, self.tilt_range, self.soft, self.noise, self.cut, self.job, self.report])
        wrap(self.report, self.job.message)
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
        data, look, _ = layer
        self._viewer.add_image(data, **look)
        self.report.value = (
            "Open Plugins > cryowae > Compare: the spectrum shows what is gone, and the xz plane what that does."
        )

    def _volumes(self, *_: Any) -> list[Any]:
        return volumes_of(self._viewer)


def cut_layer(layer: Any, tilts: tuple[float, float], soft: bool, noise: float | None, progress: Progress) -> LayerData:
    """Cut a wedge out of a layer; the result looks as the layer does, and knows its wedge."""
    from cryowae.simulate.wedge import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    folder = scratch_folder()
    source = source_of(layer, folder)
    opened = open_tomogram(source.path, tilt_range=tilts, voxel_size=source.voxel_size, axes=source.axes)
    output = folder / f"{stem_of(source.path)}_wedge.mrc"
    result = simulate_wedge(opened, output, wedge=wedge_of(opened, soft=soft), noise=noise, progress=progress)
    shown = open_for_viewing(output, voxel_size=source.voxel_size, axes=source.axes)
    shown = replace(shown, wedge=result.wedge, tilt_source="as it was cut")
    data, look, kind = layer_data(shown, f"{layer.name}, {tilts[0]:+g} to {tilts[1]:+g}°")
    metadata = {**look["metadata"], CUT_FROM: layer.name}
    greys = look["contrast_limits"] if noise else tuple(layer.contrast_limits)
    return data, {**look, **look_of(layer), "contrast_limits": greys, "metadata": metadata}, kind
