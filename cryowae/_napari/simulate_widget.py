"""The simulate widget: a missing wedge is cut out of any volume, to see its effect."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, FloatSpinBox

from cryowae._napari.derived_layers import cut_layer
from cryowae._napari.layers import LayerData
from cryowae._napari.volume_widget import VolumeWidget
from cryowae.errors import CryowaeError


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
        self.noise = FloatSpinBox(
            label="noise, SNR", min=0, max=1000, step=0.05, value=0, tooltip="Of the tilt images; 0 for none."
        )
        self.cut = self.button("Cut the wedge", self._cut)
        self.lay_out(self.volume, self.tilt_range, self.soft, self.noise, self.cut, self.job, self.report)

    def _cut(self) -> None:
        layer, tilts = self.volume.value, self.tilts()
        if layer is None or tilts is None:
            raise CryowaeError("a volume and a tilt range are needed, for example -60 60")
        self.report.value = ""
        noise = float(self.noise.value) or None
        self.job.start(partial(cut_layer, layer, tilts, bool(self.soft.value), noise), self._add)

    def _add(self, layer: LayerData) -> None:
        self.show_layer(layer)
        self.report.value = (
            "Open Plugins > cryowae > Compare: the spectrum shows what was cut, and the xz plane shows the effect."
        )
