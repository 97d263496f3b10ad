"""Files beside a tomogram that belong to it, found by name: tilt angles, half sets, restoration, ground truth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cryowae.io.mrc import SUFFIXES, stem_of
from cryowae.io.tilts import TiltAngles, read_tilts

# best first: aligned angles before nominal ones
_TILT_ENDINGS = (".tlt", ".aln", "_TLT.txt", ".xml", ".rawtlt", ".mdoc", *(f"{s}.mdoc" for s in SUFFIXES))

# words that are often appended to the name of a tilt series to name its volumes
_ADDITIONS = re.compile(
    r"[_.-](full|rec|vol|even|odd|evn|half[12]|ali|aligned|bin\d+|b\d+|\d+(\.\d+)?(a|apx|ang)|sirt|filt|filtered|"
    r"deconv|denoised|corrected|flipped|rot[xyz]?|tomo|tomogram|volume|cryowae|restored)$",
    re.IGNORECASE,
)
_SUBFOLDERS = ("even", "odd", "reconstruction", "deconv")  # folders that Warp creates below that of its XML files

_PAIRS = "_EVN_Vol/_ODD_Vol _EVN/_ODD _even/_odd _Even/_Odd _EVEN/_ODD _half1/_half2 _half_1/_half_2"
_HALVES = [pair.split("/") for pair in _PAIRS.split()]
_HALF_FOLDERS = [["even", "odd"], ["half1", "half2"]]


@dataclass(frozen=True)
class Halves:
    """Two reconstructions of one sample from independent halves of the data (RELION: half1 = even)."""

    half1: Path
    half2: Path


@dataclass(frozen=True)
class RelatedVolumes:
    """The tomogram, its restoration and its ground truth; None where there is no such file."""

    tomogram: Path | None
    restored: Path | None
    truth: Path | None

    def paths(self) -> tuple[Path, ...]:
        """The files that exist, in this order."""
        return tuple(path for path in (self.tomogram, self.restored, self.truth) if path is not None)


def find_versions(volume: str | Path) -> RelatedVolumes:
    """The tomogram, its restoration and its ground truth, of which `volume` is one.

    The names are those that this program writes: `NAME`, `NAME_restored`, `NAME_truth`, and `NAME_tomogram` where it
    takes the place of `NAME`.
    """
    path = Path(volume)
    stem = stem_of(path)
    for word in ("_restored", "_truth"):
        stem = stem.removesuffix(word)
    base = stem.removesuffix("_tomogram")

    endings = (path.name[len(stem_of(path)) :], ".mrc")

    def there(*names: str) -> Path | None:
        candidates = (path.with_name(name + ending) for name in names for ending in endings)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    return RelatedVolumes(
        there(stem, f"{base}_tomogram", base),
        there(f"{stem}_restored", f"{base}_restored"),
        there(f"{stem}_truth", f"{base}_truth"),
    )


def find_tilts(tomogram: str | Path) -> TiltAngles | None:
    """The tilt angles in a file beside a tomogram, found by name.

    Tried are the name of the tomogram, and the same name without words that programs append to it (`_full`,
    `_rec`, `_EVN_Vol`, `_bin4`, `_10.00Apx` and the like). The folders are that of the tomogram, AreTomo's `_Imod`
    folder, and, for Warp, the folders above `reconstruction`, `even` and `odd`. Aligned angles (`.tlt`, `.aln`) are
    preferred to nominal ones.

    Raises
    ------
    TiltError
        If the file that was found is damaged.
    """
    stems = _stems(stem_of(tomogram))
    folders = _folders(Path(tomogram))
    for ending in _TILT_ENDINGS:
        for stem in stems:
            for folder in (*folders, folders[0] / f"{stem}_Imod"):
                candidate = folder / (stem + ending)
                if candidate.is_file() and (ending != ".xml" or _is_tilt_series(candidate)):
                    return read_tilts(candidate)
    return None


def is_name_of(tilts: str | Path, tomogram: str | Path) -> bool:
    """Whether a file of tilt angles has a name under which `find_tilts` searches for those of a tomogram."""
    names = (stem + ending for stem in _stems(stem_of(tomogram)) for ending in _TILT_ENDINGS)
    return Path(tilts).name in names


def find_halves(tomogram: str | Path) -> Halves | None:
    """The two half reconstructions of which `tomogram` is one, or that lie beside the full one.

    The known names are `_EVN_Vol/_ODD_Vol` and `_EVN/_ODD` (AreTomo), `_even/_odd`, `_half1/_half2` (RELION), and the
    folders `even` and `odd` (Warp). Only pairs of two existing files are returned.
    """
    path = Path(tomogram)
    folder, stem = path.parent, stem_of(path)
    ending = path.name[len(stem) :]
    for pair in _HALVES:  # a half itself: only its own partner counts
        for word in pair:
            if stem.endswith(word):
                return _pair(*(folder / (stem.removesuffix(word) + name + ending) for name in pair))
    for pair in _HALF_FOLDERS:
        if folder.name in pair:
            return _pair(*(folder.with_name(name) / path.name for name in pair))
    beside = [[folder / (base + name + ending) for name in pair] for base in _stems(stem) for pair in _HALVES]
    below = [[folder / name / path.name for name in pair] for pair in _HALF_FOLDERS]
    return next((found for pair in beside + below if (found := _pair(*pair))), None)


def _pair(half1: Path, half2: Path) -> Halves | None:
    return Halves(half1, half2) if half1.is_file() and half2.is_file() else None


def _stems(stem: str) -> list[str]:
    """The name, and the shorter names when appended words are removed one by one."""
    stems = [stem]
    while (shorter := _ADDITIONS.sub("", stems[-1])) not in ("", stems[-1]):
        stems.append(shorter)
    return stems


def _folders(tomogram: Path) -> list[Path]:
    folders = [tomogram.parent]
    while folders[-1].resolve().name.lower() in _SUBFOLDERS:
        folders.append(folders[-1].resolve().parent)
    return folders


def _is_tilt_series(path: Path) -> bool:
    """Whether an XML file is Warp's: other programs write XML files too."""
    try:
        return bool(next(ElementTree.iterparse(path, events=("start",)))[1].tag == "TiltSeries")
    except ElementTree.ParseError:
        return path.read_bytes()[:400].count(b"<TiltSeries") > 0
