"""The napari plugin: files as layers and back, and widgets that restore, fit, compare and simulate.

The widgets call the same functions as the command line. Nothing here imports Qt before a widget
is made, and no binding of Qt is required by name.
"""
