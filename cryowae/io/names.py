"""Names and folders under which a file that belongs to a tomogram may lie: one rule for tilt angles and halves."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryowae.io.mrc import stem_of

# words that are often appended to the name of a tilt series to name its volumes
_ADDITION = re.compile(
    r"[_.-](full|rec|recon|vol|even|odd|evn|half_?[12]|st|ali|aligned|bin\d+|b\d+|\d+(\.\d+)?(a|apx|ang|angpix)|f16|f32|"
    r"wbp|sirt|filt|filtered|ctf|3dctf|dw|deconv|denoised|corrected|flipped|trim|trimmed|rot[xyz]?|tomo|tomogram|volume|"
    r"cryowae|restored)$",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(rec|recon|tomo|tomogram|vol)_(?=.)", re.IGNORECASE)  # RELION: rec_TS_01.mrc of TS_01
_SUBFOLDERS = ("even", "odd", "reconstruction", "deconv")  # folders that Warp creates below that of its XML files
_RELION = ("tomograms", "tilt_series")  # sibling folders of a job of RELION-5: volumes, and STAR files of the series


@dataclass(frozen=True)
class Place:
    """A path of a tomogram: its own, or that of the file that it is a link to.

    Attributes
    ----------
    path
        The path.
    stems
        Its name without ending, then the names without words that programs add, in steps: all names in one step have
        equally many words less.
    folders
        The folders in which files that belong to it may lie, its own first.
    """

    path: Path
    stems: tuple[tuple[str, ...], ...]
    folders: tuple[Path, ...]


def places_of(tomogram: str | Path) -> tuple[Place, ...]:
    """The path of a tomogram, and the path of its target if it is a link."""
    path = Path(tomogram)
    paths = [path]
    target = Path(os.path.realpath(path))
    if os.path.islink(path) and target.name:
        paths.append(target)
    return tuple(Place(one, stems_of(stem_of(one)), _folders(one.parent)) for one in paths)


def stems_of(stem: str) -> tuple[tuple[str, ...], ...]:
    """A name, then the names with one added word less, with two less, and so on."""
    known = {stem}
    steps: list[tuple[str, ...]] = [(stem,)]
    while True:
        shorter = [word for name in steps[-1] for word in (_ADDITION.sub("", name), _PREFIX.sub("", name))]
        new = tuple(dict.fromkeys(word for word in shorter if word and word not in known))
        if not new:
            return tuple(steps)
        known.update(new)
        steps.append(new)


def _folders(folder: Path) -> tuple[Path, ...]:
    folders = [folder]
    while (real := Path(os.path.realpath(folders[-1]))).name.lower() in _SUBFOLDERS:
        folders.append(real.parent)
    if (real := Path(os.path.realpath(folder))).name.lower() == _RELION[0]:
        folders.append(real.with_name(_RELION[1]))
    return tuple(folders)
