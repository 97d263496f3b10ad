"""A picture in a widget: of an array, or of a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PictureLabel:
    """A picture in a widget, never wider than the widget.

    Attributes
    ----------
    label
        The Qt widget.
    values
        `(rows, columns, 4)` from 0 to 255, of the present picture; None at first.
    """

    def __init__(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QLabel, QSizePolicy

        self.values: NDArray[np.uint8] | None = None
        self.label: Any = QLabel()
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.label.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)

    def show(self, values: NDArray[np.uint8]) -> None:
        """Show a picture, `(rows, columns, 4)` from 0 to 255, made smaller if necessary."""
        from qtpy.QtCore import Qt
        from qtpy.QtGui import QImage, QPixmap

        self.values = np.ascontiguousarray(values)
        rows, columns, _ = values.shape
        image = QImage(self.values.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
        pixmap = QPixmap.fromImage(image)
        if columns > self.label.width():
            pixmap = pixmap.scaledToWidth(self.label.width(), Qt.TransformationMode.SmoothTransformation)
        self.label.setPixmap(pixmap)
        self.label.setFixedHeight(pixmap.height())

    def show_file(self, path: Path) -> None:
        """Show the picture of a PNG file; nothing changes if it is no longer there."""
        from PIL import Image

        try:
            with Image.open(path) as picture:
                self.show(np.asarray(picture.convert("RGBA")))
        except OSError:
            return

    def clear(self) -> None:
        """Show nothing."""
        self.values = None
        self.label.clear()
        self.label.setFixedHeight(0)
