"""Reading MRC volumes: mapped, checked, with everything that the header knows. `cryowae.io.mrc_writer` writes them.

The format is that of MRC2014 (Cheng et al., J. Struct. Biol. 192, 2015). Older files, without the `MAP `
identifier or with a wrong machine stamp, are read if their dimensions make sense in one of the byte orders.
"""

from __future__ import annotations

import bz2
import gzip
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import OutputError, TomogramError
from cryowae.io.header import HEADER_BYTES, MODES, MrcHeader, read_header
from cryowae.io.header import file_shape as file_shape
from cryowae.io.header import in_zyx as in_zyx
from cryowae.io.mrc_writer import MrcOptions as MrcOptions
from cryowae.io.mrc_writer import MrcWriter as MrcWriter
from cryowae.io.mrc_writer import write_mrc as write_mrc

SUFFIXES = (".mrc", ".rec", ".map", ".st", ".mrcs", ".ali")
"""Endings of the names of MRC volumes, besides `.gz` and `.bz2`."""

_ANISOTROPY = 0.01  # largest relative difference between the voxel's edges that counts as rounding
_COMPLEX_MODES = (3, 4)
_ENDINGS = re.compile(rf"(?<=.)({'|'.join(map(re.escape, SUFFIXES))})?(\.gz|\.bz2)?\Z", re.IGNORECASE)
_STACKS = (".st", ".mrcs", ".ali")


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
        The header, and where the file is.
    notes
        What the user should know about the file, one line each.
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
    content, size = _open(path)
    header = read_header(path, content, size)
    notes = []
    if bytes(header.record["map"])[:3] != b"MAP":
        notes.append(f"{path.name} has no MRC identifier: written before 2000, or not to the standard")
    _require_volume(path, header)
    offset = HEADER_BYTES + len(header.extended)
    expected = offset + math.prod(header.shape) * header.dtype.itemsize
    if size < expected:
        raise TomogramError(
            f"{path} is truncated: it has {size} bytes where its header of {_by(header.shape)} voxels of mode "
            f"{header.mode} needs {expected}; copy or reconstruct it again"
        )
    if size > expected:
        notes.append(f"{path.name} has {size - expected} bytes after its last voxel, which are not read")
    if content is None:
        data: NDArray[Any] = np.memmap(path, header.dtype, "r", offset, header.shape)
    else:
        data = np.frombuffer(content, header.dtype, math.prod(header.shape), offset).reshape(header.shape)
        notes.append(f"{path.name} is compressed and held in memory")
    return MrcVolume(data, _voxel_size(path, header, voxel_size, notes), header, path, tuple(notes))


def stem_of(path: str | Path) -> str:
    """Name of a volume without its folder, `.gz` or `.bz2`, and MRC ending: `a/TS_1.rec.gz` gives `TS_1`."""
    return _ENDINGS.sub("", Path(path).name, count=1)


def is_stack(path: str | Path, header: MrcHeader, images: int) -> bool:
    """Whether a file is a stack of images and not a volume: by its ending, or by its header and the number of images.

    The header alone is not enough: many programs write space group 0, that of images, in volumes too.
    """
    name = Path(path).name.lower().removesuffix(".gz").removesuffix(".bz2")
    return name.endswith(_STACKS) or (int(header.record["ispg"]) == 0 and header.shape[0] == images)


def require_name(path: Path) -> None:
    """Raise `OutputError` unless a file name has the ending of an MRC file."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} is no name for an MRC file; expected one that ends in .mrc")


def _open(path: Path) -> tuple[bytes | None, int]:
    """The unpacked content of a compressed file, else None; and the size in bytes of the unpacked file."""
    try:
        with path.open("rb") as file:
            magic = file.read(3)
        if magic[:2] == b"\x1f\x8b":
            content = gzip.decompress(path.read_bytes())
        elif magic == b"BZh":
            content = bz2.decompress(path.read_bytes())
        else:
            return None, path.stat().st_size
    except FileNotFoundError:
        raise TomogramError(f"{path} does not exist; expected an MRC volume: check the name") from None
    except IsADirectoryError:
        raise TomogramError(f"{path} is a folder; expected an MRC volume: name the file in it") from None
    except (EOFError, zlib.error, ValueError, gzip.BadGzipFile) as error:
        raise TomogramError(f"{path} is a truncated or damaged compressed file ({error}); copy it again") from None
    except OSError as error:
        raise TomogramError(f"{path} cannot be read ({error.strerror or error}); expected an MRC volume") from None
    return content, len(content)


def _require_volume(path: Path, header: MrcHeader) -> None:
    record, mode, shape = header.record, header.mode, header.shape
    order = tuple(int(record[name]) for name in ("mapc", "mapr", "maps"))
    depth = int(record["mz"]) or shape[0]  # sections of one volume
    fault = ""
    if mode in _COMPLEX_MODES:
        fault = f"holds complex numbers (mode {mode}); expected a real-space volume: transform it back first"
    elif mode not in MODES:
        known = ", ".join(map(str, MODES))
        fault = f"has data mode {mode}; expected one of {known}: convert it, for example with newstack"
    elif min(shape) == 1:
        fault = f"is 2-D ({_by(shape)} voxels); expected a reconstructed volume with three dimensions"
    elif 401 <= int(record["ispg"]) <= 630 and depth != shape[0]:
        fault = f"is a stack of {shape[0] // depth} volumes; expected a single one: split it first"
    elif order not in ((1, 2, 3), (0, 0, 0)):
        fault = f"stores its axes in the order {order}; expected (1, 2, 3): resave it with columns along x"
    if fault:
        raise TomogramError(f"{path} {fault}")


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
    if not (all(map(math.isfinite, sizes)) and min(sizes) > 0):
        raise TomogramError(
            f"{path} has voxel size 0 in its header; expected angstrom per voxel: give it with --voxel-size"
        )
    if not _equal(sizes):
        text = " x ".join(f"{size:.4g}" for size in sizes)
        raise TomogramError(
            f"{path} has anisotropic voxels of {text} Å; expected cubes: resample it, or give the size by --voxel-size"
        )
    if sizes == [1.0, 1.0, 1.0]:
        notes.append(f"{path.name} says exactly 1 Å per voxel, often a default value: if so, give --voxel-size")
    return float(f"{sum(sizes) / 3:.6g}")  # removes the rounding of single precision


def _equal(sizes: list[float]) -> bool:
    return max(sizes) - min(sizes) <= _ANISOTROPY * max(sizes)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
