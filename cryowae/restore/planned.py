"""The files that restorations will write: named and checked before any work, alone and as a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryowae.config.options import RestoreOptions
from cryowae.errors import ConfigError, CryowaeError, OutputError
from cryowae.io.mrc import SUFFIXES, stem_of
from cryowae.io.outputs import check_output, require_space
from cryowae.restore.sample_files import sample_paths, sample_picture
from cryowae.tomogram.item import Item
from cryowae.tomogram.statistics import OUTLIER, robust_statistics

_LARGEST = 65504.0  # of half precision
_STEPS = 50  # steps of half precision in a standard deviation: the error of rounding is then below a hundredth


@dataclass(frozen=True)
class PlannedFiles:
    """The files that a restoration writes.

    Attributes
    ----------
    volumes
        The result, then its halves.
    inferred
        The part of the result that lies in the missing wedge, if it is wanted.
    pictures
        That of the restoration, then those of the halves and of the samples.
    samples
        The standard deviation of the samples, then the single ones.
    """

    volumes: list[Path]
    inferred: Path | None
    pictures: list[Path]
    samples: list[Path]

    @classmethod
    def of(cls, item: Item, options: RestoreOptions) -> PlannedFiles:
        """The names alone; the tomogram is not opened."""
        path, halves = item.target, item.half1 is not None or item.open_halves is not None

        def beside(ending: str, wanted: bool = True) -> list[Path]:
            return [path.with_name(stem_of(path) + ending)] if wanted else []

        volumes = [path, *(file for i in (1, 2) for file in beside(f"_half{i}.mrc", options.write_halves and halves))]
        inferred = beside("_inferred.mrc", options.write_inferred)
        pictures = beside(".png", options.report) + beside("_halves.png", options.report and halves)
        pictures += [sample_picture(path)] if options.report and options.samples > 1 else []
        return cls(volumes, inferred[0] if inferred else None, pictures, sample_paths(path, options))

    @property
    def data(self) -> list[Path]:
        """The files that are not pictures."""
        return [*self.volumes, *([self.inferred] if self.inferred else []), *self.samples]

    @property
    def complete(self) -> bool:
        """Whether all of them but pictures exist: a file gets its name when it is complete."""
        return all(path.is_file() for path in self.data)


def check_restoration(item: Item, options: RestoreOptions) -> PlannedFiles:
    """The files of a restoration, if it can write them. A picture that exists already is drawn again.

    Raises
    ------
    ConfigError
        If halves are wanted and there are none.
    OutputError
        If a file exists, cannot be written, is an input, or the disk is too full.
    TomogramError
        If the tomogram cannot be opened.
    """
    path = item.target
    if path.suffix.lower() not in SUFFIXES and not path.is_dir():
        raise OutputError(
            f"{path} is neither the name of an MRC file ({', '.join(SUFFIXES)}) nor a folder: make the "
            "folder first, or end the name in .mrc"
        )
    if options.write_halves and not item.unscaled_halves:
        raise ConfigError("got --write-halves without halves: give --half1 and --half2")
    files = PlannedFiles.of(item, options)
    inputs = {file.resolve() for file in item.inputs}
    for place in (*files.data, *files.pictures):
        check_output(place, overwrite=options.overwrite or place in files.pictures)
        if place.resolve() in inputs:
            raise OutputError(f"{place} is an input: expected another place for the result; give --output")
    z, y, x = item.tomogram.shape
    width = 2 if options.float16 else 4
    require_space(path, z * y * x * (width * len(files.volumes + files.samples) + 4 * bool(files.inferred)))
    return files


def require_float16(item: Item) -> None:
    """Raise `OutputError` if half precision is too coarse for the values of a tomogram, or its range too small.

    The step of half precision grows with the mean, and has a lower limit: values of about 32768 have a step of 32, and
    values of about 0 one of 6e-8.
    """
    found = robust_statistics(item.volume, where=str(item.inputs[0]))
    largest = abs(found.mean) + OUTLIER * found.sigma
    step = math.inf if largest > _LARGEST else float(np.spacing(np.float16(abs(found.mean))))
    if step > found.sigma / _STEPS:
        got = f"{item.inputs[0]} has the mean {found.mean:.4g} and the standard deviation {found.sigma:.3g}"
        why = f"steps of {step:.2g}" if math.isfinite(step) else f"a range of {_LARGEST:g}"
        raise OutputError(f"{got}, which half precision with {why} there would spoil: leave out --float16")


def check_batch(items: Sequence[Item], options: RestoreOptions) -> None:
    """Raise `OutputError` if one result of a batch would replace another one, or an input of the batch."""
    owners: dict[Path, Item] = {}
    inputs = {file.resolve() for item in items for file in item.inputs}
    for item in items:
        files = PlannedFiles.of(item, options)
        for place in (*files.data, *files.pictures):
            other = owners.setdefault(place.resolve(), item)
            if other is not item:
                got = f"{place} would be a result of {other.inputs[0]} and of {item.inputs[0]}"
                raise OutputError(f"{got}; expected names that differ: restore them one by one, with --output")
            if place.resolve() in inputs and options.overwrite and len(items) > 1:
                got = f"{place} is an input of the batch and would be replaced by a result of {item.inputs[0]}"
                raise OutputError(f"{got}; leave it out, or give a folder with --output")


def unfinished(items: Sequence[Item], options: RestoreOptions) -> tuple[list[Item], list[str]]:
    """The items of a batch that are left to do, and a line for each of the others.

    Left out are those whose files exist, and results of earlier restorations among the inputs.
    """
    left, said = [], []
    for item in items:
        files = PlannedFiles.of(item, options)
        try:
            if files.complete:
                said.append(f"{item.inputs[0]}: {files.volumes[0]} exists already")
                continue
            weights = item.tomogram.header.restored_by
            if weights and not item.force:
                said.append(f"{item.inputs[0]} is a result, restored by {weights}")
                continue
        except (CryowaeError, OSError):  # its own restoration reports it
            pass
        left.append(item)
    return left, said
