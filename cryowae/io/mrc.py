"""MRC volumes: read memory-mapped and checked, with the complete header; written completely or not at all.

The format is that of MRC2014 (Cheng et al., J. Struct. Biol. 192, 2015). Older files, without the `MAP `
identifier or with a wrong machine stamp, are read if their dimensions are valid in one of the byte orders.

A volume is written under a temporary name in the folder of its target, into space that was reserved before, and is
renamed when it is complete. Space is reserved before the file is mapped, because the operating system kills a process
that writes to a mapped file on a full disk.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import OutputError, TomogramError
from cryowae.io.contents import read_contents, require_written
from cryowae.io.header import HEADER_BYTES, MODES, MrcHeader, MrcOptions, make_header, require_one_volume
from cryowae.io.header import file_shape as file_shape
from cryowae.io.header import in_zyx as in_zyx
from cryowae.io.layout import voxels_of
from cryowae.io.outputs import check_output, discard, reserve_file, temporary_path

SUFFIXES = (".mrc", ".rec", ".map", ".st", ".mrcs", ".ali")  # of the names of MRC volumes, besides `.gz` and `.bz2`

_ANISOTROPY = 0.01  # largest relative difference between the edges of voxels that are taken as cubes
_ROUNDING = 1e-3  # largest relative difference that is not mentioned
_OF_IMAGES, _LEAST_OF_IMAGE = (b"SERI", b"FEI1", b"FEI2", b"AGAR"), 4  # extended headers; bytes for an image
_SLAB_VOXELS = 4_000_000
_ENDINGS = re.compile(rf"(?<=.)({'|'.join(map(re.escape, SUFFIXES))})?(\.gz|\.bz2)?\Z", re.IGNORECASE)


@dataclass(frozen=True)
class MrcVolume:
    """An opened MRC file.

    Attributes
    ----------
    data
        `(sections, rows, columns)` in the file's own type, read-only; mapped unless the file is compressed.
    voxel_size
        Angstrom.
    header, path
        The header, and the path of the file.
    notes
        Messages for the user about the file, one line each.
    """

    data: NDArray[Any]
    voxel_size: float
    header: MrcHeader
    path: Path
    notes: tuple[str, ...] = ()


def read_mrc(path: str | Path, *, voxel_size: float | None = None) -> MrcVolume:
    """Open an MRC volume: modes 0, 1, 2, 6 and 12, either byte order, plain, gzip or bzip2.

    Parameters
    ----------
    path
        The file.
    voxel_size
        Angstrom; replaces that of the header, which is then ignored.

    Raises
    ------
    TomogramError
        If the file is missing, not an MRC, truncated, not one 3-D volume of real numbers, or without a usable
        voxel size.
    """
    path = Path(path)
    header, content = read_contents(path)
    notes = []
    if bytes(header.record["map"])[:3] != b"MAP":
        notes.append(f"{path.name} has no MRC identifier: written before 2000, or not as the standard requires")
    require_one_volume(path, header)
    data, header, said = voxels_of(path, content, header)
    notes += said
    if isinstance(content, np.memmap):
        require_written(path, HEADER_BYTES + len(header.extended))
    else:
        notes.append(f"{path.name} is compressed and held in memory")
    return MrcVolume(data, _voxel_size(path, header, voxel_size, notes), header, path, tuple(notes))


class MrcWriter:
    """Writes one MRC volume; a context manager.

    Parameters
    ----------
    path
        The file to write; its folder is made if it does not exist.
    shape
        `(z, y, x)` of `data`.
    options
        See `MrcOptions`.

    Raises
    ------
    OutputError
        On construction if the file exists or its folder cannot be written, on entry if the disk is too full, on exit
        if a value does not fit the data type. In all cases, and after any exception inside, no file is left.
    """

    def __init__(self, path: str | Path, shape: tuple[int, int, int], **options: Unpack[MrcOptions]) -> None:
        self.path = Path(path)
        self._overwrite = options.get("overwrite", False)
        check_output(self.path, overwrite=self._overwrite)
        self._axes = options.get("axes", "zyx")
        self._shape = file_shape(shape, self._axes)
        self._record, self._extended = make_header(self._shape, options)
        self._dtype = np.dtype(f"<{MODES[int(self._record['mode'])]}")
        self._temporary = temporary_path(self.path)
        self._mapped: NDArray[Any] | None = None

    @property
    def data(self) -> NDArray[Any]:
        """`(z, y, x)`, mapped and writable, initially zero; only inside the `with` block."""
        if self._mapped is None:
            raise RuntimeError("the data of an MrcWriter exist only inside its with block")
        return in_zyx(self._mapped, self._axes)

    def __enter__(self) -> Self:
        offset = HEADER_BYTES + len(self._extended)
        try:
            reserve_file(self._temporary, offset + math.prod(self._shape) * self._dtype.itemsize)
            self._mapped = np.memmap(self._temporary, self._dtype, "r+", offset, self._shape)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._complete()
        except OSError as failure:
            reason = failure.strerror or failure
            raise OutputError(f"{self.path} cannot be written ({reason}); choose another place") from failure
        finally:
            self._discard()

    def _complete(self) -> None:
        assert isinstance(self._mapped, np.memmap)
        low, high, mean, rms = _statistics(self._mapped)
        if not math.isfinite(rms):
            half = self._dtype == np.float16
            reason = "; float16 ends at 65504: leave out --float16" if half else ": this is a bug, please report it"
            raise OutputError(f"the values for {self.path} are not all finite{reason}")
        self._record[["dmin", "dmax", "dmean", "rms"]] = (low, high, mean, rms)
        self._mapped.flush()
        with self._temporary.open("r+b") as file:
            file.write(self._record.tobytes() + self._extended)
            file.flush()
            os.fsync(file.fileno())
        check_output(self.path, overwrite=self._overwrite)
        os.replace(self._temporary, self.path)

    def _discard(self) -> None:
        self._mapped = None
        discard(self._temporary)


def write_mrc(path: str | Path, volume: NDArray[Any], **options: Unpack[MrcOptions]) -> None:
    """Write a `(z, y, x)` array as an MRC volume; parameters and errors are those of `MrcWriter`."""
    nz, ny, nx = volume.shape
    step = max(1, _SLAB_VOXELS // (ny * nx))
    with MrcWriter(path, (nz, ny, nx), **options) as writer, np.errstate(over="ignore"):
        for z in range(0, nz, step):
            writer.data[z : z + step] = volume[z : z + step]


def stem_of(path: str | Path) -> str:
    """Name of a volume without its folder, `.gz` or `.bz2`, and MRC ending: `a/TS_1.rec.gz` gives `TS_1`."""
    return _ENDINGS.sub("", Path(path).name, count=1)


def is_stack(path: str | Path, header: MrcHeader) -> bool:
    """Whether a file calls itself a stack of images and not a volume: by its ending, or by its header.

    Many programs write space group 0, that of images, in volumes too. So the header must also count the images as
    MRC2014 does, or have the extended header of a microscope for each of them.
    """
    name = Path(path).name.lower().removesuffix(".gz").removesuffix(".bz2")
    record, sections = header.record, header.shape[0]
    counted = int(record["ispg"]) == 0 and int(record["mz"]) == 1
    described = bytes(record["exttyp"]) in _OF_IMAGES and len(header.extended) >= sections * _LEAST_OF_IMAGE
    return name.endswith((".st", ".mrcs", ".ali")) or (sections > 1 and (counted or described))


def require_name(path: Path) -> None:
    """Raise `OutputError` unless a file name has the ending of an MRC file."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} is no name for an MRC file; expected one that ends in .mrc")


def _statistics(data: NDArray[Any]) -> tuple[float, float, float, float]:
    """Minimum, maximum, mean and deviation, in float64 and slab by slab: the file may be larger than the memory."""
    step = max(1, _SLAB_VOXELS // math.prod(data.shape[1:]))
    parts = []
    with np.errstate(invalid="ignore"):  # infinite values give NaN, which the caller refuses
        for start in range(0, len(data), step):
            slab = np.asarray(data[start : start + step], np.float64)
            parts.append((slab.size, slab.min(), slab.max(), slab.mean(), slab.var()))
        sizes, low, high, means, variances = np.array(parts).T
        mean = np.average(means, weights=sizes)
        rms = np.sqrt(np.average(variances + (means - mean) ** 2, weights=sizes))
    return low.min(), high.max(), mean, rms


def _voxel_size(path: Path, header: MrcHeader, given: float | None, notes: list[str]) -> float:
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise TomogramError(f"voxel size {given:g} given for {path}; expected a positive number of angstrom")
        return float(given)
    record, shape = header.record, header.shape[::-1]
    edges = [float(record["cella"][axis]) for axis in "xyz"]
    grid = [int(record[name]) or n for name, n in zip(("mx", "my", "mz"), shape, strict=True)]
    sizes = [edge / n for edge, n in zip(edges, grid, strict=True)]
    if grid[2] == 1 and not _equal(sizes):  # an image stack: some writers count its sections in mz, some do not
        sizes[2] = edges[2] / shape[2]
    text = " x ".join(f"{size:.4g}" for size in sizes)
    if not (all(map(math.isfinite, sizes)) and min(sizes) > 0):
        got = "voxel size 0" if not any(sizes) else f"a voxel of {text} Å"
        raise TomogramError(f"{path} has {got} in its header; expected angstrom per voxel: give it with --voxel-size")
    if not _equal(sizes):
        raise TomogramError(
            f"{path} has anisotropic voxels of {text} Å; expected cubes: resample it, or give the size by --voxel-size"
        )
    if sizes == [1.0, 1.0, 1.0]:
        notes.append(f"{path.name} says exactly 1 Å per voxel, often a default value: if so, give --voxel-size")
    mean = float(f"{sum(sizes) / 3:.6g}")  # removes the rounding of single precision
    if not _equal(sizes, _ROUNDING):
        notes.append(f"{path.name} has voxels of {text} Å: {mean:g} Å along every axis was used, also in the result")
    return mean


def _equal(sizes: list[float], tolerance: float = _ANISOTROPY) -> bool:
    return max(sizes) - min(sizes) <= tolerance * max(sizes)
