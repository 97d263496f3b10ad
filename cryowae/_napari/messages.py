"""Messages of the library for users of the plugin: names of fields in place of options of the command line."""

from __future__ import annotations

import re

# What a message advises on the command line, and what the user does in the window instead. The last one: any option.
_WORDS = (
    (r"give --tilts FILE or --tilt-range LO HI", "give a tilt file or a tilt range above"),
    (r"leave out --tilts or --tilt-range", "empty one of them"),
    (r"--tilt-range LO HI", "the tilt range"),
    (
        r"with --half1 and --half2 their mean is restored",
        "open both, choose one as the tomogram and one as the other half, and their mean is restored",
    ),
    (r"give another name, or --overwrite to replace it", "save to another name, or remove it first"),
    (r"choose another (place )?with --output", "save to another place"),
    (r"; give --output", ""),
    (r"give (it with |the size by )?--voxel-size", "give the voxel size above"),
    (r"--voxel-size", "the voxel size"),
    (r"give --axes xzy", "open it with “cryowae view --axes xzy”"),
    (r"name other weights with --model", "choose other weights"),
    (r"(?<=\s)(?<!view )--([a-z])", r"\1"),
)


def in_window_words(message: object) -> str:
    """A message on one line, with the names of fields in place of options.

    `expected angstrom per voxel: give it with --voxel-size` gives `expected angstrom per voxel: give the voxel size
    above`.
    """
    text = " ".join(str(message).split())
    for option, words in _WORDS:
        text = re.sub(option, words, text)
    return text


def notify(message: object) -> None:
    """Show an error as a notification of napari."""
    from napari.utils.notifications import show_error

    show_error(in_window_words(message))
