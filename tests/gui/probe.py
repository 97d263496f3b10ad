"""Check that a window with OpenGL can be shown here; otherwise print the reason and exit with 1.

A program of its own: without a display Qt ends its process, and pytest-qt ends all tests where Qt cannot be loaded.
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
