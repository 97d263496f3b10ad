"""The napari plugin: files as layers and back, and widgets that restore, compare and simulate.

The widgets call the functions that the command line calls and hold no science. Nothing here imports Qt before a widget
is made, and no binding of Qt is required by name.
"""
