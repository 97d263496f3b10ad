"""Whether a window with OpenGL can be shown here; says why not and ends with 1 otherwise.

A program of its own, since Qt ends its process where there is no display, and pytest-qt all tests where it cannot load.
"""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from qtpy.QtGui import QOpenGLContext
        from qtpy.QtWidgets import QApplication
    except ImportError as error:
        print(str(error).splitlines()[0])
        return 1
    application = QApplication([])
    if not QOpenGLContext().create():
        print(f"the platform {application.platformName()} has no OpenGL")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
