"""The header of MRC files: 1024 bytes, an extended header that other programs need unchanged, and the order of axes.

It is read, checked and created here; `cryowae.io.mrc` reads and writes the volumes.

Three orders of axes are known. `zyx`: sections along the beam, as in this program. `xzy` (as AreTomo calls its default
and that of IMOD's `tilt`): columns along x, rows along the thickness z, sections along the tilt axis y. `zxy`: sections
along the beam, and the tilt axis along the columns.

A swap of two axes alone would mirror the sample. For `xzy`, as in `trimvol -rx` of IMOD, the volume is therefore
rotated by -90 degrees about x: the thickness axis is reversed too, and the handedness is kept. For `zxy`, it is rotated
by 90 degrees about z.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Required, TypedDict

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryowae import __version__
from cryowae.errors import TomogramError

HEADER_BYTES = 1024
RESTORED = "restored by"
"""Beginning of the label of a restored volume, after the name and version of this program."""
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}  # data types of the modes that hold real numbers

_RESTORED = re.compile(rf"cryowae \S+ (?:{RESTORED}|.*samples by|sample .* by) (.+)")
_NATIVE = "<" if sys.byteorder == "little" else ">"
_IMOD_STAMP = 1146047817  # the word IMOD at byte 152; bit 0 of the next one is set if bytes of mode 0 are signed


@dataclass(frozen=True)
class MrcHeader:
    """Header of an MRC file, in the order of the file's own axes.

    Attributes
    ----------
    record
        The 1024 bytes as `mrcfile.dtypes.HEADER_DTYPE`, in the byte order of this machine.
    extended
        The extended header, byte for byte.
    byte_order
        `<` or `>`, as the file was written.
    signed
        Whether the bytes of mode 0 are signed; None if IMOD's stamp does not tell.
    """

    record: NDArray[np.void]
    extended: bytes = field(repr=False)
    byte_order: str
    signed: bool | None = None

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
        """Data type of the voxels in the file, byte order included."""
        name = "u1" if self.mode == 0 and self.signed is False else MODES[self.mode]
        return np.dtype(self.byte_order + name)

    @property
    def data_bytes(self) -> int:
        """Bytes of all voxels; 0 for a mode that is not known."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.mode in MODES else 0)

    @property
    def extended_bytes(self) -> int:
        """Length of the extended header as the header states it."""
        return max(0, int(self.record["nsymbt"]))

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

    @property
    def restored_by(self) -> str:
        """Name of the weights, if a label says that this program restored the volume; otherwise empty."""
        found = (_RESTORED.match(label) for label in self.labels)
        return next((match[1] for match in found if match), "")


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
        Text of the label that is added, or takes the place of the tenth, after the name and version of this program.
    """

    voxel_size: Required[float]
    like: MrcHeader | None
    float16: bool
    int16: bool
    stack: bool
    overwrite: bool
    axes: str
    label: str


def in_zyx(data: NDArray[Any], axes: str) -> NDArray[Any]:
    """View of a file's `(sections, rows, columns)` as `(z, y, x)`; no data are read or copied."""
    if _known(axes) == "zyx":
        return data
    return data.transpose(1, 0, 2)[::-1] if axes == "xzy" else data.transpose(0, 2, 1)[:, ::-1]


def file_shape(shape: tuple[int, int, int], axes: str) -> tuple[int, int, int]:
    """`(sections, rows, columns)` of the file that holds a `(z, y, x)` volume."""
    z, y, x = shape
    return {"zyx": (z, y, x), "xzy": (y, z, x), "zxy": (z, x, y)}[_known(axes)]


def read_header(path: Path, content: NDArray[np.uint8]) -> MrcHeader:
    """Header of the file `path`, whose bytes, unpacked, begin with `content`; without its extended header.

    Whether bytes of mode 0 are signed is known if the file has IMOD's stamp (IMOD's MRC format description, fields
    `imodStamp` and `imodFlags`). Otherwise `cryowae.io.layout` decides.

    Raises
    ------
    TomogramError
        If the bytes are not an MRC header.
    """
    size = len(content)
    if size == 0:
        raise TomogramError(f"{path} has zero bytes; expected an MRC volume: reconstruct or copy it again")
    not_mrc = f"{path} is not an MRC volume; expected a file as IMOD, AreTomo, Warp or RELION write it"
    if size < HEADER_BYTES:
        raise TomogramError(f"{not_mrc}, but its {size} bytes are fewer than an MRC header of {HEADER_BYTES}")
    head = content[:HEADER_BYTES].tobytes()
    order = _byte_order(head)
    if order is None:
        raise TomogramError(f"{not_mrc}, but its header is not valid in either byte order")
    native = np.array(np.frombuffer(head, HEADER_DTYPE.newbyteorder(order))[0], HEADER_DTYPE)
    if order != _NATIVE:  # numpy reads the field with IMOD's stamp and flags as bytes, which have no byte order
        extra = bytearray(native["extra2"].tobytes())
        extra[40:48] = np.frombuffer(extra[40:48], "i4").byteswap().tobytes()
        native["extra2"] = np.void(bytes(extra))
    stamp, flags = np.frombuffer(native["extra2"].tobytes()[40:48], "=i4")
    return MrcHeader(native, b"", order, bool(flags & 1) if stamp == _IMOD_STAMP else None)


def require_one_volume(path: Path, header: MrcHeader) -> None:
    """Raise `TomogramError` unless a file holds one 3-D volume of real numbers, with its columns along x."""
    record, mode, shape = header.record, header.mode, header.shape
    order = tuple(int(record[name]) for name in ("mapc", "mapr", "maps"))
    depth = int(record["mz"]) or shape[0]  # sections of one volume
    several = 401 <= int(record["ispg"]) <= 630 and depth != shape[0]
    known, voxels = ", ".join(map(str, MODES)), " x ".join(map(str, shape))
    for wrong, fault in (
        (mode in (3, 4), f"holds complex numbers (mode {mode}); expected a real-space volume: transform it back first"),
        (mode not in MODES, f"has data mode {mode}; expected one of {known}: convert it, for example with newstack"),
        (min(shape) == 1, f"is 2-D ({voxels} voxels); expected a reconstructed volume with three dimensions"),
        (several, f"is a stack of {shape[0] // depth} volumes; expected a single one: split it first"),
        (
            order not in ((1, 2, 3), (0, 0, 0)),
            f"stores its axes in the order {order}; expected (1, 2, 3): resave it with columns along x",
        ),
    ):
        if wrong:
            raise TomogramError(f"{path} {fault}")


def make_header(shape: tuple[int, ...], options: MrcOptions) -> tuple[NDArray[np.void], bytes]:
    """Record and extended header of a volume to write, of `shape` in the file's axes, without its statistics."""
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
    labels[9:] = []  # as in IMOD, the last of ten is replaced
    labels.append(f"cryowae {__version__} {options.get('label', '')}".rstrip())
    record["nlabl"] = len(labels)
    record["label"] = [text.encode("ascii", "replace")[:80] for text in labels] + [b""] * (10 - len(labels))
    return record, extended


def _byte_order(head: bytes) -> str | None:
    """The byte order in which the header is valid. The order of the machine stamp is tried first; it can be wrong."""
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
    if axes not in ("zyx", "xzy", "zxy"):
        raise TomogramError(
            f"axes {axes!r}; expected zyx (sections along the beam), xzy (thickness on the second axis) or zxy (tilt "
            "axis along the columns)"
        )
    return axes
