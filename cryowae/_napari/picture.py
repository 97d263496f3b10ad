"""Words that wrap, pictures that fit and a dock that scrolls: its size is the user's choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Picture:
    """A picture that is never wider than the widget in which it lies.

    Attributes
    ----------
    label
        What Qt shows.
    values
        `(rows, columns, 4)` from 0 to 255, of what is shown; None at first.
    """

    def __init__(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QLabel, QSizePolicy

        self.values: NDArray[np.uint8] | None = None
        self.label: Any = QLabel()
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.label.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)

    @property
    def width(self) -> int:
        """Pixels that there are."""
        return int(self.label.width())

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
        self.label.setPixmap(pixmap)
        self.label.setFixedHeight(pixmap.height())

    def clear(self) -> None:
        """Show nothing."""
        self.values = None
        self.label.clear()
        self.label.setFixedHeight(0)


def wrap(*labels: Any) -> None:
    """Let magicgui's labels break their lines, in place of making the dock wider."""
    from qtpy.QtWidgets import QSizePolicy

    for label in labels:
        label.native.setWordWrap(True)
        label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)


def scroll(container: Any) -> None:
    """Let a magicgui container scroll, so that docks below one another do not make the window taller than the screen.

    Its own option for that is of no use in napari, which docks what is inside of the scrolled area.
    """
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

    body, area = QWidget(), QScrollArea()
    body.setLayout(container.native.layout())
    area.setWidget(body)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(body.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())
    outer = QVBoxLayout(container.native)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
