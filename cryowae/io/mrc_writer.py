"""Writing MRC volumes: complete, or no file at all.

A volume is written under a temporary name in the folder of its target, into space that was reserved before, and is
renamed when it is complete. Space is reserved before the file is mapped, because the operating system kills a process
that writes to a mapped file on a full disk.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Required, Self, TypedDict, Unpack

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryowae import __version__
from cryowae.errors import OutputError
from cryowae.io.header import HEADER_BYTES, MODES, MrcHeader, file_shape, in_zyx
from cryowae.io.outputs import check_output, reserve_file, temporary_path

_SLAB_VOXELS = 4_000_000


class MrcOptions(TypedDict, total=False):
    """How an MRC volume is written: the keyword arguments of `MrcWriter` and `write_mrc`.

    Attributes
    ----------
    voxel_size
        Angstrom; required.
    like
        Header whose origin, nstart, labels, extended header and other fields are copied; none if not given.
    float16, int16
        Write mode 12, or mode 1 (labels), instead of mode 2 (float32).
    stack
        The header says that the sections are images (of a tilt series) and not a volume.
    overwrite
        Replace an existing file when the new one is complete.
    axes
        Order of the axes in the file, see `cryowae.io.header`; `zyx` if not given. The array is `(z, y, x)` in any
        case.
    label
        Text of the label that is added, after the name and version of this program.
    """

    voxel_size: Required[float]
    like: MrcHeader | None
    float16: bool
    int16: bool
    stack: bool
    overwrite: bool
    axes: str
    label: str


class MrcWriter:
    """Writes one MRC volume; a context manager.

    Parameters
    ----------
    path
        The file to write; its folder must exist.
    shape
        `(z, y, x)` of `data`.
    options
        See `MrcOptions`.

    Raises
    ------
    OutputError
        On construction if the file exists or its folder cannot be written, on entry if the disk is too full, on exit
        if a value does not fit the data type. In all cases, and after any exception inside, nothing is left behind.
    """

    def __init__(self, path: str | Path, shape: tuple[int, int, int], **options: Unpack[MrcOptions]) -> None:
        self.path = Path(path)
        self._overwrite = options.get("overwrite", False)
        check_output(self.path, overwrite=self._overwrite)
        self._axes = options.get("axes", "zyx")
        self._shape = file_shape(shape, self._axes)
        self._record, self._extended = _header(self._shape, options)
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        statistics = _statistics(self._mapped)
        if not math.isfinite(statistics["rms"]):
            half = self._dtype == np.float16
            reason = "; float16 ends at 65504: leave out --float16" if half else ": this is a bug, please report it"
            raise OutputError(f"the values for {self.path} are not all finite{reason}")
        for name, value in statistics.items():
            self._record[name] = value
        self._mapped.flush()
        with self._temporary.open("r+b") as file:
            file.write(self._record.tobytes() + self._extended)
            file.flush()
            os.fsync(file.fileno())
        check_output(self.path, overwrite=self._overwrite)
        os.replace(self._temporary, self.path)

    def _discard(self) -> None:
        self._mapped = None
        self._temporary.unlink(missing_ok=True)


def write_mrc(path: str | Path, volume: NDArray[Any], **options: Unpack[MrcOptions]) -> None:
    """Write a `(z, y, x)` array as an MRC volume; parameters and errors are those of `MrcWriter`."""
    nz, ny, nx = volume.shape
    step = max(1, _SLAB_VOXELS // (ny * nx))
    with MrcWriter(path, (nz, ny, nx), **options) as writer, np.errstate(over="ignore"):
        for z in range(0, nz, step):
            writer.data[z : z + step] = volume[z : z + step]


def _header(shape: tuple[int, ...], options: MrcOptions) -> tuple[NDArray[np.void], bytes]:
    """Record and extended header of the output; the statistics are set when the file is complete."""
    record = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    labels: list[str] = []
    extended = b""
    if (like := options.get("like")) is not None:
        record[...] = like.record
        labels, extended = list(like.labels), like.extended
    if not record["cellb"]["alpha"] > 0:
        record["cellb"] = (90.0, 90.0, 90.0)
    for axis, n in zip("zyx", shape, strict=True):
        record["n" + axis] = record["m" + axis] = n
        record["cella"][axis] = n * options["voxel_size"]
    record["mapc"], record["mapr"], record["maps"] = 1, 2, 3
    record["mode"] = 12 if options.get("float16") else 1 if options.get("int16") else 2
    record["ispg"] = 1
    if options.get("stack"):  # as in MRC2014
        record["ispg"], record["mz"], record["cella"]["z"] = 0, 1, options["voxel_size"]
    record["nsymbt"] = len(extended)
    if extended and not bytes(record["exttyp"]).strip(b"\0 "):
        record["exttyp"] = b"MRCO"  # MRC2014 requires a name; older programs give none
    if int(record["nversion"]) not in (20140, 20141):
        record["nversion"] = 20141
    record["map"], record["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    if len(labels) < 10:
        labels.append(f"cryowae {__version__} {options.get('label', '')}".rstrip())
    record["nlabl"] = len(labels)
    record["label"] = [text.encode("ascii", "replace")[:80] for text in labels] + [b""] * (10 - len(labels))
    return record, extended


def _statistics(data: NDArray[Any]) -> dict[str, float]:
    """Statistics of the header, computed in float64 and slab by slab: the file may be larger than the memory."""
    step = max(1, _SLAB_VOXELS // math.prod(data.shape[1:]))
    parts = []
    with np.errstate(invalid="ignore"):  # infinite values give NaN, which the caller refuses
        for start in range(0, len(data), step):
            slab = np.asarray(data[start : start + step], np.float64)
            parts.append((slab.size, slab.min(), slab.max(), slab.mean(), slab.var()))
        sizes, low, high, means, variances = np.array(parts).T
        mean = np.average(means, weights=sizes)
        rms = np.sqrt(np.average(variances + (means - mean) ** 2, weights=sizes))
    return {"dmin": low.min(), "dmax": high.max(), "dmean": mean, "rms": rms}
