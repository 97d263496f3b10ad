"""Messages of the library for users of the plugin: names of fields in place of options of the command line."""

from __future__ import annotations

import re

# Longer phrases first: what a message advises, and what the user does in the window instead.
_WORDS = (
    (r"give --tilts FILE or --tilt-range LO HI", "give a tilt file or a tilt range above"),
    (r"--tilts FILE or --tilt-range LO HI", "a tilt file or a tilt range"),
    (r"give --half1 and --half2", "choose the other half"),
    (
        r"with --half1 and --half2 their mean is restored",
        "open both, choose one as the tomogram and one as the other half, and their mean is restored",
    ),
    (r"give --flip-tilt", "tick “tilts of the other sign”"),
    (r"give another name with --output", "save to another name"),
    (r"give another name, or --overwrite to replace it", "save to another name, or remove it first"),
    (r"choose another (place )?with --output", "save to another place"),
    (r"(give (it |the size )?)(with|by) --voxel-size", "give the voxel size above"),
    (r"give --voxel-size", "give the voxel size above"),
    (r"give --axes xzy", "open it with “cryowae view --axes xzy”"),
    (r"; give --output", ""),
    (r"leave out --tilts or --tilt-range", "empty one of them"),
    (r"--tilt-range LO HI", "the tilt range"),
    (r"--tilt-range", "the tilt range"),
    (r"--voxel-size", "the voxel size"),
    (r"name other weights with --model", "choose other weights"),
    (r"--model", "own weights"),
    (r"--contrast", "the contrast"),
    (r"--device", "device"),
)


def in_window_words(message: object) -> str:
    """A message on one line, with the names of fields in place of options."""
    text = " ".join(str(message).split())
    for option, words in _WORDS:
        text = re.sub(option, words, text)
    return text


def notify(message: object) -> None:
    """Show an error as a notification of napari."""
    from napari.utils.notifications import show_error

    show_error(in_window_words(message))
