"""The uncertainty widget: marks the voxels whose standard deviation is large, with a slider for the limit."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import FloatSlider

from cryowae._napari.uncertainty_layers import CONTRAST, MARKS_OF, deviations_of, mask_layer
from cryowae._napari.volume_widget import VolumeWidget
from cryowae.errors import CryowaeError
from cryowae.tomogram.uncertain import HALF_CONTRAST

_LIMIT = (
    "Standard deviation of the samples, as a fraction of the contrast of the restored volume. Where it is larger than "
    "half of the contrast, a feature of one voxel is a guess."
)
_NONE = (
    "There is no standard deviation. Restore with two or more samples, or open the result of such a restoration from "
    "its folder."
)


class UncertaintyWidget(VolumeWidget):
    """Marks voxels in a colour; the marks follow the slider.

    Parameters
    ----------
    napari_viewer
        The viewer in which it is docked.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.deviation = self.choice("standard deviation", tooltip="The layer of the standard deviation of samples.")
        self.limit = FloatSlider(label="std / contrast above", min=0.05, max=2, step=0.05, value=HALF_CONTRAST)
        self.limit.tooltip = _LIMIT
        self.mark = self.button("Mark", self._mark, "Show the voxels above the limit in a layer of their own.")
        self.lay_out(self.deviation, self.limit, self.mark, self.report)
        self.limit.changed.connect(self.guarded(self._follow))
        self.layers_changed([])

    def volumes(self) -> list[Any]:
        """The layers that can be chosen: standard deviations."""
        return deviations_of(self._viewer)

    def layers_changed(self, new: list[Any]) -> None:
        """Choose a new standard deviation; say what to do if there is none."""
        if new:
            self.deviation.value = new[-1]
        self.report.value = "" if self.volumes() else _NONE

    def _mark(self) -> None:
        """Mark the voxels above the limit, in the layer of earlier marks if there is one."""
        chosen = self.deviation.value
        if chosen is None:
            raise CryowaeError(_NONE)
        made = mask_layer(chosen, float(self.limit.value))
        marked = self._marked(chosen)
        if marked is None:
            self.show_layer(made)
        else:
            marked.data = made[0]
        self.report.value = (
            f"{made[0].share:.2%} of the voxels: their standard deviation is above {made[0].level:.3g}, which is "
            f"{self.limit.value:.2f} of the contrast of {chosen.metadata[CONTRAST]:.3g}."
        )

    def _follow(self) -> None:
        if self.deviation.value is not None and self._marked(self.deviation.value) is not None:
            self._mark()

    def _marked(self, deviation: Any) -> Any:
        """The layer of the marks of a standard deviation, None if there is none."""
        of = (layer for layer in self._viewer.layers if layer.metadata.get(MARKS_OF) == deviation.unique_id)
        return next(of, None)
