"""Files beside a tomogram that belong to it, found by name: half sets, restoration, ground truth, samples."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from cryowae.errors import TomogramError
from cryowae.io.contents import header_of
from cryowae.io.mrc import stem_of
from cryowae.io.names import places_of
from cryowae.io.tilt_search import find_tilts as find_tilts
from cryowae.io.tilt_search import is_name_of as is_name_of

_PAIRS = "_EVN_Vol/_ODD_Vol _EVN/_ODD _even/_odd _Even/_Odd _EVEN/_ODD _half1/_half2 _half_1/_half_2"
_HALVES = [pair.split("/") for pair in _PAIRS.split()]
_HALF_FOLDERS = [["even", "odd"], ["half1", "half2"]]
_ENDINGS = (".mrc", ".rec", ".mrc.gz", ".rec.gz", ".map")


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


def std_beside(result: str | Path) -> Path:
    """Place of the standard deviation of the samples whose main result is `result`."""
    return Path(result).with_name(f"{stem_of(result)}_std.mrc")


def sample_beside(result: str | Path, number: int) -> Path:
    """Place of the sample of a number, from 1, whose main result is `result`."""
    return Path(result).with_name(f"{stem_of(result)}_sample{number}.mrc")


def find_samples(result: str | Path) -> tuple[Path | None, tuple[Path, ...]]:
    """The standard deviation beside a restored volume, None if there is none, and the samples from number 1 on."""
    std = std_beside(result)
    samples = takewhile(Path.is_file, (sample_beside(result, number) for number in count(1)))
    return std if std.is_file() else None, tuple(samples)


def find_halves(tomogram: str | Path) -> Halves | None:
    """The two half reconstructions of which `tomogram` is one, or that lie beside the full one.

    The known names are `_EVN_Vol/_ODD_Vol` and `_EVN/_ODD` (AreTomo), `_even/_odd`, `_half1/_half2` (RELION), and the
    folders `even` and `odd` (Warp). Only pairs of two existing files are returned, and none of another size than that
    of the tomogram: the half tilt series of AreTomo have such names too.
    """
    for place in places_of(tomogram):
        folder, name = place.path.parent, place.path.name
        stem = stem_of(name)
        for names in _half_names(stem, place.stems):
            for ending in dict.fromkeys((name[len(stem) :], *_ENDINGS)):
                if found := _pair(place.path, *(folder / (half + ending) for half in names)):
                    return found
        if _half_word(stem) is None:
            for pair in _HALF_FOLDERS:
                parent = folder.parent if folder.name in pair else folder
                if found := _pair(place.path, *(parent / half / name for half in pair)):
                    return found
    return None


def _pair(tomogram: Path, half1: Path, half2: Path) -> Halves | None:
    there = os.path.isfile(half1) and os.path.isfile(half2)
    sizes = {_shape(path) for path in (tomogram, half1, half2)} - {None} if there else set()
    return Halves(half1, half2) if there and len(sizes) < 2 else None


def _shape(path: Path) -> tuple[int, int, int] | None:
    """Size of a volume; None if it cannot be read, which is reported when it is opened."""
    try:
        return header_of(path).shape
    except TomogramError:
        return None


def _half_word(stem: str) -> tuple[int, list[str]] | None:
    """Where a name has the word of a half, and the pair of words; None if it is no half."""
    for pair in _HALVES:
        for word in pair:
            if found := re.search(rf"{word}(?=[_.-]|$)", stem):
                return found.start(), pair
    return None


def _half_names(stem: str, stems: tuple[tuple[str, ...], ...]) -> Iterator[list[str]]:
    """Names of the halves of a tomogram, or of the pair of which it is one, best first.

    The word of the half stands after the name of the series, or after one of the words that are appended to it; a word
    such as `_full` may be in its place.
    """
    if (half := _half_word(stem)) is not None:  # only its own partner counts
        start, pair = half
        word = next(word for word in pair if stem.startswith(word, start))
        yield [stem[:start] + other + stem[start + len(word) :] for other in pair]
        return
    for base in (name for step in stems for name in step if name in stem):
        before, _, after = stem.partition(base)
        rests = dict.fromkeys((after, re.sub(r"^[_.-][^_-]+", "", after), ""))
        for rest in rests:
            yield from ([before + base + word + rest for word in pair] for pair in _HALVES)
