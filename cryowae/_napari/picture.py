"""Words that wrap and pictures that fit, in a dock whose width is the user's choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Picture:
    """A picture at the bottom of a widget, never wider than that.

    Parameters
    ----------
    owner
        The magicgui container.

    Attributes
    ----------
    values
        `(rows, columns, 4)` from 0 to 255, of what is shown; None at first.
    """

    def __init__(self, owner: Any) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QLabel, QSizePolicy

        self.values: NDArray[np.uint8] | None = None
        self._label = QLabel()
        self._label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._label.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        layout = owner.native.layout()
        layout.addWidget(self._label)
        layout.addStretch(1)

    @property
    def width(self) -> int:
        """Pixels that there are."""
        return int(self._label.width())

    def show(self, values: NDArray[np.uint8]) -> None:
        """Show a picture, smaller if it has to be."""
        from qtpy.QtCore import Qt
        from qtpy.QtGui import QImage, QPixmap

        self.values = np.ascontiguousarray(values)
        rows, columns, _ = values.shape
        image = QImage(self.values.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
        pixmap = QPixmap.fromImage(image)
        if columns > self.width:
            pixmap = pixmap.scaledToWidth(self.width, Qt.TransformationMode.SmoothTransformation)
        self._label.setPixmap(pixmap)
        self._label.setFixedHeight(pixmap.height())

    def clear(self) -> None:
        """Show nothing."""
        self.values = None
        self._label.clear()
        self._label.setFixedHeight(0)


def wrap(*labels: Any) -> None:
    """Let magicgui's labels break their lines, in place of making the dock wider."""
    from qtpy.QtWidgets import QSizePolicy

    for label in labels:
        label.native.setWordWrap(True)
        label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
