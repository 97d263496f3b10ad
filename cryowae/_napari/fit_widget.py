"""The fit widget: weights adapted to a tomogram, with a picture that shows what they have learned so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, FileEdit, FloatSpinBox

from cryowae._napari.derived_layers import is_temporary
from cryowae._napari.jobs import in_window_words
from cryowae._napari.layers import tomogram_of
from cryowae._napari.picture_label import PictureLabel
from cryowae._napari.tomogram_widget import WEIGHT_FILES, TomogramWidget, file_in
from cryowae._napari.volume_widget import option_field
from cryowae.config.files import shipped
from cryowae.config.options import FitOptions, help_of
from cryowae.errors import OutputError
from cryowae.io.mrc import stem_of
from cryowae.progress import Progress
from cryowae.tomogram import Item

if TYPE_CHECKING:
    from cryowae.fit.outcome import FitResult


class FitWidget(TomogramWidget):
    """Asks for the options of `cryowae fit`, shows its picture, and passes the weights to the restore widget.

    Parameters
    ----------
    napari_viewer
        The viewer in which it is docked.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._suggested: Path | None = None
        self._fitted: Path | None = None
        self.minutes = FloatSpinBox(label="minutes", min=1, max=10_000, step=5, value=FitOptions.minutes)
        self.minutes.tooltip = help_of(FitOptions, "minutes")
        names = sorted(path.stem for path in shipped("fit").glob("*.yaml"))
        self.objective = ComboBox(label="objective", choices=names, value=FitOptions.objective)
        self.objective.tooltip = "What is learned."
        self.rotations = option_field(FitOptions, "rotations", "rotations")
        self.weights = FileEdit(label="start from", nullable=True, filter=WEIGHT_FILES)
        self.weights.tooltip = "Weights to start from; the shipped ones if empty."
        self.output = FileEdit(label="save to", nullable=True, mode=FileDialogMode.OPTIONAL_FILE, filter=WEIGHT_FILES)
        self.output.tooltip = "The new weights. The run is saved beside them."
        self.resume = option_field(FitOptions, "resume", "continue a fit that was stopped")
        self.fit = self.button("Fit", self._fit, "Adapt the weights to this tomogram.")
        self.use = self.button("Use in Restore", self._use, "Restore with the new weights.", enabled=False)
        self.job.stop.text, self.job.stop.tooltip = "Stop", "The best weights so far are kept."
        self.canvas = PictureLabel()
        own = [self.minutes, self.objective, self.rotations, self.weights, self.output, self.resume]
        self.lay_out(*own, [self.fit, self.use], self.job, self.report, below=self.canvas.label, after=1)

    def _asked(self) -> tuple[Callable[[], Item], Path, FitOptions, str | Path]:
        """A function that creates the item, the output, the options, and the weights to start from."""
        _, make_item = self.chosen()
        output = file_in(self.output)
        if output is None:
            raise OutputError("no file for the new weights: choose one in “save to”")
        options = FitOptions(
            minutes=float(self.minutes.value),
            objective=self.objective.value,
            rotations=self.rotations.value,
            resume=self.resume.value,
        )
        return make_item, output, options, file_in(self.weights) or "default"

    def _fit(self) -> None:
        work = partial(_run, *self._asked())
        self.canvas.clear()
        self.begin(work, self._tell, picture=self.canvas.show_file)

    def _tell(self, result: FitResult) -> None:
        self._fitted, self.use.enabled = result.path, True
        self.resume.value = False
        verdict = "better than at the start" if result.improved else "not better than at the start, which were written"
        stopped = " It was stopped and can be continued." if result.stopped else ""
        start = f"{result.before:.3f} → " if math.isfinite(result.before) else ""
        lines = [
            f"Score {start}{result.after:.3f}: {verdict}.",
            f"{result.steps} steps in {result.seconds / 60:.1f} min.{stopped}",
            *(one.summary for one in result.physics),
            *map(in_window_words, result.notes),
            f"Saved as {result.path}.",
        ]
        self.report.value = "\n".join(lines)

    def _use(self) -> None:
        """Open the restore widget, in a tab beside this one, with this tomogram and the new weights."""
        dock, restore = self._viewer.window.add_plugin_dock_widget("cryowae", "Restore", tabify=True)
        dock.raise_()
        restore.describe_as(self)
        restore.weights.value = self._fitted

    def _choose(self) -> None:
        """Choose the layer, and suggest a name beside its file unless the user has given another one."""
        super()._choose()
        opened, name = tomogram_of(self.tomogram.value), None
        if opened is not None and not is_temporary(opened.path):
            name = opened.path.with_name(f"{stem_of(opened.path)}_weights.safetensors")
        if file_in(self.output) == self._suggested:
            self.output.value = self._suggested = name


def _run(
    make_item: Callable[[], Item], output: Path, options: FitOptions, model: str | Path, progress: Progress
) -> FitResult:
    from cryowae.fit import fit_weights

    return fit_weights([make_item()], output, options, model=model, progress=progress)
