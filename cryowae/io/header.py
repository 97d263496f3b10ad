"""The header of MRC files: 1024 bytes, an extended header that other programs need unchanged, and the order of axes.

Two orders of axes are known. `zyx`: sections along the beam, as in this program. `xzy` (AreTomo's own word for what it
and IMOD's `tilt` write by default): columns along x, rows along the thickness z, sections along the tilt axis y.

A swap of two axes alone would mirror the sample. As in `trimvol -rx` of IMOD, the volume is therefore rotated by -90
degrees about x: the thickness axis is reversed too, and the handedness is kept.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryowae.errors import TomogramError

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""Data types of the modes that hold real numbers."""
AXES = ("zyx", "xzy")

_NATIVE = "<" if sys.byteorder == "little" else ">"
_IMOD_STAMP = 1146047817  # the word IMOD at byte 152; bit 0 of the next one says that bytes of mode 0 are signed


@dataclass(frozen=True)
class MrcHeader:
    """What an MRC file says about its volume, in the order of the file's own axes.

    Attributes
    ----------
    record
        The 1024 bytes as `mrcfile.dtypes.HEADER_DTYPE`, in the byte order of this machine.
    extended
        The extended header, byte for byte.
    byte_order
        `<` or `>`, as the file was written.
    """

    record: NDArray[np.void]
    extended: bytes = field(repr=False)
    byte_order: str

    @property
    def mode(self) -> int:
        """Number of the data type."""
        return int(self.record["mode"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(sections, rows, columns)` of the file."""
        return int(self.record["nz"]), int(self.record["ny"]), int(self.record["nx"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the voxels in the file, byte order included.

        Mode 0 is signed unless the file carries IMOD's stamp without the flag for signed bytes (IMOD's MRC format
        description, fields `imodStamp` and `imodFlags`).
        """
        name = MODES[self.mode]
        stamp, flags = np.frombuffer(self.record["extra2"].tobytes()[40:48], "=i4")
        if self.mode == 0 and stamp == _IMOD_STAMP and not flags & 1:
            name = "u1"
        return np.dtype(self.byte_order + name)

    @property
    def origin(self) -> tuple[float, float, float]:
        """`(x, y, z)` of the origin, angstrom."""
        x, y, z = self.record["origin"].tolist()
        return x, y, z

    @property
    def nstart(self) -> tuple[int, int, int]:
        """`(x, y, z)` of the first voxel."""
        return int(self.record["nxstart"]), int(self.record["nystart"]), int(self.record["nzstart"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The text labels that are not blank, at most ten."""
        texts = (bytes(label).decode("ascii", "replace").rstrip("\0 ") for label in self.record["label"])
        return tuple(text for text in texts if text.strip())


def in_zyx(data: NDArray[Any], axes: str) -> NDArray[Any]:
    """View of a file's `(sections, rows, columns)` as `(z, y, x)`; no data are read or copied."""
    return data if _known(axes) == "zyx" else data.transpose(1, 0, 2)[::-1]


def file_shape(shape: tuple[int, int, int], axes: str) -> tuple[int, int, int]:
    """`(sections, rows, columns)` of the file that holds a `(z, y, x)` volume."""
    z, y, x = shape
    return (z, y, x) if _known(axes) == "zyx" else (y, z, x)


def read_header(path: Path, content: bytes | None, size: int) -> MrcHeader:
    """Header of the file `path` of `size` bytes. `content` is the unpacked content of a compressed file, else None.

    Raises
    ------
    TomogramError
        If the bytes are not an MRC header, or fewer than it claims.
    """
    if size == 0:
        raise TomogramError(f"{path} has zero bytes; expected an MRC volume: reconstruct or copy it again")
    not_mrc = f"{path} is not an MRC volume; expected a file as IMOD, AreTomo, Warp or RELION write it"
    if size < HEADER_BYTES:
        raise TomogramError(f"{not_mrc}, but its {size} bytes are fewer than an MRC header of {HEADER_BYTES}")
    with path.open("rb") if content is None else io.BytesIO(content) as file:
        head = file.read(HEADER_BYTES)
        order = _byte_order(head)
        if order is None:
            raise TomogramError(f"{not_mrc}, but its header makes no sense in either byte order")
        native = np.array(np.frombuffer(head, HEADER_DTYPE.newbyteorder(order))[0], HEADER_DTYPE)
        length = int(native["nsymbt"])
        if not 0 <= length <= size - HEADER_BYTES:
            raise TomogramError(
                f"{path} is truncated or damaged: its extended header should have {length} bytes and the file "
                f"has {size}; copy or reconstruct it again"
            )
        extended = file.read(length)
    if order != _NATIVE:  # for numpy, the field with IMOD's stamp and flags is a row of bytes without an order
        extra = bytearray(native["extra2"].tobytes())
        extra[40:48] = np.frombuffer(extra[40:48], "i4").byteswap().tobytes()
        native["extra2"] = np.void(bytes(extra))
    return MrcHeader(native, extended, order)


def _byte_order(head: bytes) -> str | None:
    """The order in which the header makes sense. The order of the machine stamp is tried first; it can be wrong."""
    orders = (">", "<") if head[212:213] == b"\x11" else ("<", ">")
    known = head[208:211] == b"MAP"
    for order in orders:
        nx, ny, nz, mode = np.frombuffer(head[:16], order + "i4")
        axes = sorted(np.frombuffer(head[64:76], order + "i4").tolist())
        dimensions = min(nx, ny, nz) > 0 and max(nx, ny, nz) < 2**20
        if dimensions and 0 <= mode <= 101 and (known or axes in ([1, 2, 3], [0, 0, 0])):
            return order
    return None


def _known(axes: str) -> str:
    if axes not in AXES:
        raise TomogramError(
            f"axes {axes!r}; expected zyx (sections along the beam) or xzy (thickness on the second axis)"
        )
    return axes
