"""MRC volumes out: complete, or not there at all.

A volume is written under a temporary name beside its target, into space that was reserved before, and takes its name
when it is complete. A full disk kills a mapped write with a signal, so the space is reserved before it is mapped.
"""

from __future__ import annotations

import math
import os
import secrets
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryowae.errors import OutputError
from cryowae.io.header import HEADER_BYTES, MODES, MrcHeader
from cryowae.io.layout import file_shape, in_zyx
from cryowae.io.space import check_output, reserve_file

_SLAB_VOXELS = 4_000_000


class MrcWriter:
    """Writes one MRC volume; a context manager.

    Parameters
    ----------
    path
        The file to make; its folder must exist.
    shape
        `(z, y, x)` of `data`.
    voxel_size
        Angstrom.
    like
        Header whose origin, nstart, labels, extended header and other fields are carried over.
    float16, int16
        Write mode 12, or mode 1 (labels), instead of mode 2 (float32).
    stack
        The header says that the sections are images (of a tilt series) and no volume.
    overwrite
        Replace an existing file, when the new one is complete.
    axes
        Order of the axes in the file, see `cryowae.io.layout`; `data` is `(z, y, x)` in any case.
    label
        Text of the label that is added, after the name and version of this program.

    Raises
    ------
    OutputError
        On construction if the file exists or its folder cannot be written, on entry if the disk is too full, on exit
        if a value does not fit the data type. In all cases, and after any exception inside, nothing is left behind.
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, int, int],
        *,
        voxel_size: float,
        like: MrcHeader | None = None,
        float16: bool = False,
        int16: bool = False,
        stack: bool = False,
        overwrite: bool = False,
        axes: str = "zyx",
        label: str = "",
    ) -> None:
        self.path = Path(path)
        check_output(self.path, overwrite=overwrite)
        self._overwrite = overwrite
        self._axes = axes
        self._shape = file_shape(shape, axes)
        mode = 12 if float16 else 1 if int16 else 2
        self._dtype = np.dtype(f"<{MODES[mode]}")
        self._extended = b"" if like is None else like.extended
        self._record = _header(self._shape, voxel_size, mode, like, label, stack)
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")
        self._mapped: NDArray[Any] | None = None

    @property
    def data(self) -> NDArray[Any]:
        """`(z, y, x)`, mapped and writable, zero at first; only inside the `with` block."""
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
            raise OutputError(
                f"{self.path} could not be written ({failure.strerror or failure}); choose another place"
            ) from failure
        finally:
            self._discard()

    def _complete(self) -> None:
        assert isinstance(self._mapped, np.memmap)
        low, high, mean, rms = _statistics(self._mapped)
        if not math.isfinite(rms):
            limit = (
                "; float16 ends at 65504: leave out --float16"
                if self._dtype == np.float16
                else ": this is a bug, please report it"
            )
            raise OutputError(f"the values for {self.path} are not all finite{limit}")
        self._record["dmin"], self._record["dmax"] = low, high
        self._record["dmean"], self._record["rms"] = mean, rms
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


def write_mrc(
    path: str | Path,
    volume: NDArray[Any],
    *,
    voxel_size: float,
    like: MrcHeader | None = None,
    float16: bool = False,
    int16: bool = False,
    stack: bool = False,
    overwrite: bool = False,
    axes: str = "zyx",
    label: str = "",
) -> None:
    """Write a `(z, y, x)` array as an MRC volume; parameters and errors are those of `MrcWriter`."""
    nz, ny, nx = volume.shape
    step = max(1, _SLAB_VOXELS // (ny * nx))
    kind: dict[str, Any] = {"like": like, "float16": float16, "int16": int16, "stack": stack}
    with (
        MrcWriter(
            path, (nz, ny, nx), voxel_size=voxel_size, overwrite=overwrite, axes=axes, label=label, **kind
        ) as writer,
        np.errstate(over="ignore"),
    ):
        for z in range(0, nz, step):
            writer.data[z : z + step] = volume[z : z + step]


def _header(
    shape: tuple[int, ...], voxel_size: float, mode: int, like: MrcHeader | None, label: str, stack: bool
) -> NDArray[np.void]:
    """The record of the output; statistics are filled in at the end."""
    record = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    labels: list[str] = []
    if like is not None:
        record[...] = like.record
        labels = list(like.labels)
    if not record["cellb"]["alpha"] > 0:
        record["cellb"] = (90.0, 90.0, 90.0)
    for axis, n in zip("zyx", shape, strict=True):
        record["n" + axis] = record["m" + axis] = n
        record["cella"][axis] = n * voxel_size
    record["mapc"], record["mapr"], record["maps"] = 1, 2, 3
    record["mode"], record["ispg"] = mode, 0 if stack else 1
    if stack:  # as MRC2014 has it
        record["mz"], record["cella"]["z"] = 1, voxel_size
    record["nsymbt"] = 0 if like is None else len(like.extended)
    if record["nsymbt"] and not bytes(record["exttyp"]).strip(b"\0 "):
        record["exttyp"] = b"MRCO"  # MRC2014 wants a name even where the writer gave none
    if int(record["nversion"]) not in (20140, 20141):
        record["nversion"] = 20141
    record["map"], record["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    if len(labels) < 10:
        labels.append(f"cryowae {_version()} {label}".rstrip())
    record["nlabl"] = len(labels)
    record["label"] = [text.encode("ascii", "replace")[:80] for text in labels] + [b""] * (10 - len(labels))
    return record


def _version() -> str:
    try:
        return version("cryowae")
    except PackageNotFoundError:
        return ""


def _statistics(data: NDArray[Any]) -> tuple[float, float, float, float]:
    """Minimum, maximum, mean and standard deviation in float64, slab by slab (Chan, Golub and LeVeque, 1979)."""
    step = max(1, _SLAB_VOXELS // math.prod(data.shape[1:]))
    low, high, mean, spread, count = math.inf, -math.inf, 0.0, 0.0, 0
    for start in range(0, len(data), step):
        slab = np.asarray(data[start : start + step], np.float64)
        low, high = min(low, float(slab.min())), max(high, float(slab.max()))
        with np.errstate(invalid="ignore"):
            difference = float(slab.mean()) - mean
            spread += float(((slab - slab.mean()) ** 2).sum()) + difference**2 * count * slab.size / (count + slab.size)
        count += slab.size
        mean += difference * slab.size / count
    return low, high, mean, math.sqrt(spread / count) if math.isfinite(spread) else math.nan
