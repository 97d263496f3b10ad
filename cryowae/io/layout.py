"""Where the voxels of an MRC file begin and what type they have, where its header leaves this open or is wrong.

The size and the content of the file decide on the length of the extended header, and on the sign of bytes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TomogramError
from cryowae.io.header import HEADER_BYTES, MrcHeader

_LEAST_EXTENDED, _MOST_EXTENDED = 80, 2**25  # bytes; no program writes a shorter or a longer extended header
_COMPARED = 2**16  # voxels of a block whose values are compared with those beside it
_SEEN = 2**22  # voxels from the middle of the file that are looked at
_SAME = 0.2  # largest distance between the distributions of two blocks of one volume (Kolmogorov and Smirnov)
_SIGNIFICANT = 4.0  # standard errors


def voxels_of(
    path: Path, content: NDArray[np.uint8], header: MrcHeader
) -> tuple[NDArray[Any], MrcHeader, tuple[str, ...]]:
    """The voxels of a file, the header with the extended header that is really there, and notes for the user.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its bytes, unpacked.
    header
        Its header.

    Returns
    -------
    voxels, header, notes
        `(sections, rows, columns)`, a view of `content`.

    Raises
    ------
    TomogramError
        If there are too few bytes.
    """
    named, there = header.extended_bytes, len(content) - HEADER_BYTES - header.data_bytes
    header, signed = _with_known_sign(path, content, header)
    length, note = named, ""
    if there < named:
        start, stop = HEADER_BYTES + max(there, 0), min(HEADER_BYTES + named, len(content))
        absent = named - max(there, 0) >= _LEAST_EXTENDED and _alike(content[start:stop], content[stop:], header.dtype)
        if there < 0 or not absent:
            size = " x ".join(map(str, header.shape))
            raise TomogramError(
                f"{path} is truncated: it has {len(content)} bytes where its header of {size} voxels of mode "
                f"{header.mode} needs {HEADER_BYTES + named + header.data_bytes}; copy or reconstruct it again"
            )
        length = there
        note = f"{path.name} names an extended header of {named} bytes and its size leaves room for {there}"
        note += ": the size was followed"
    elif there > named:
        if _begins_later(content, header, named, there):
            length = there
            note = f"{path.name} has an extended header of {there} bytes, as its size and its content show, and names "
            note += f"one of {named}: the size was followed"
        else:
            note = f"{path.name} has {there - named} bytes after its last voxel, which are not read"
    begin = HEADER_BYTES + length
    voxels = content[begin : begin + header.data_bytes].view(header.dtype).reshape(header.shape)
    extended = content[HEADER_BYTES:begin].tobytes()
    return voxels, replace(header, extended=extended), tuple(text for text in (signed, note) if text)


def _begins_later(content: NDArray[np.uint8], header: MrcHeader, named: int, there: int) -> bool:
    """Whether the bytes that are too many are before the voxels, in an extended header, and not after them.

    Bytes of another kind differ in their distribution from the voxels beside them. If that does not tell, the larger
    step from voxel to voxel does, which is where a row ends. In doubt, the header is right.
    """
    surplus, dtype = there - named, header.dtype
    if not _LEAST_EXTENDED <= surplus <= _MOST_EXTENDED:
        return False
    begin, end = HEADER_BYTES + named, HEADER_BYTES + named + header.data_bytes
    if surplus >= header.data_bytes:  # whole sections that are not counted, or a small volume
        return surplus % (header.data_bytes // header.shape[0]) != 0
    first = _alike(content[begin : begin + surplus], content[begin + surplus :], dtype)
    last = _alike(content[end:], content[end - surplus : end], dtype)
    return last if first != last else _row_ends_later(content[begin:], header, surplus)


def _row_ends_later(content: NDArray[np.uint8], header: MrcHeader, surplus: int) -> bool:
    """Whether rows end `surplus` bytes later than they would if the voxels began with `content`."""
    columns, size = header.shape[2], header.dtype.itemsize
    later, rest = divmod(surplus, size)
    later %= columns
    if rest:  # the voxels would be cut: only one of the two is smooth
        return _roughness(_middle(content[surplus:], header)) < _roughness(_middle(content, header))
    steps = np.abs(np.diff(_middle(content, header)))
    rows = steps[: steps.size // columns * columns].reshape(-1, columns)
    if later == 0 or len(rows) < 2:
        return False
    change = rows[:, later - 1] - rows[:, columns - 1]
    return bool(change.mean() > _SIGNIFICANT * change.std() / math.sqrt(len(change)))


def _middle(content: NDArray[np.uint8], header: MrcHeader) -> NDArray[np.float64]:
    """Values of whole rows in the middle of a file whose voxels begin with `content`; infinite ones become 0."""
    row = header.shape[2] * header.dtype.itemsize
    count = max(2, min(_SEEN // header.shape[2], header.data_bytes // row))
    start = (header.data_bytes // row - count) // 2 * row
    cut = content[max(0, start) : max(0, start) + count * row]
    with np.errstate(all="ignore"):
        values = cut[: len(cut) // row * row].view(header.dtype).astype(np.float64)
        return np.nan_to_num(np.clip(values, -1e30, 1e30))


def _roughness(values: NDArray[np.float64]) -> float:
    """Mean step from voxel to voxel in standard deviations, from ranks: a few wild values do not matter."""
    ranks = np.argsort(np.argsort(values[:_COMPARED]))
    return float(np.abs(np.diff(ranks)).mean())


def _alike(block: NDArray[np.uint8], beside: NDArray[np.uint8], dtype: np.dtype[Any]) -> bool:
    """Whether the values of a block have the distribution of the values beside it; true if nothing is beside it."""
    count = min(len(block), len(beside)) // dtype.itemsize
    if count == 0:
        return True
    step, size = -(-count // _COMPARED), count * dtype.itemsize
    with np.errstate(invalid="ignore"):
        first, second = (np.asarray(part[:size].view(dtype)[::step], np.float64) for part in (block, beside))
    second = second[np.isfinite(second)]
    if not np.isfinite(first).all() or second.size == 0:
        return False
    low, high = second.min(), second.max()
    if low == high:
        return bool((first == low).all())
    with np.errstate(all="ignore"):
        ratio = float(first.std() / second.std())
    both = np.sort(np.concatenate([first, second]))
    distance = np.searchsorted(np.sort(first), both, "right") / first.size
    distance -= np.searchsorted(np.sort(second), both, "right") / second.size
    noise = 1.6 * math.sqrt(1 / first.size + 1 / second.size)
    return 0.5 < ratio < 2 and float(np.abs(distance).max()) < _SAME + noise


def _with_known_sign(path: Path, content: NDArray[np.uint8], header: MrcHeader) -> tuple[MrcHeader, str]:
    """The header with the sign of its bytes, and a note if it was not known."""
    if header.mode != 0 or header.signed is not None:
        return header, ""
    low, high = float(header.record["dmin"]), float(header.record["dmax"])
    signed = signed_by_range(low, high)
    reason = f"by its range of values, {low:g} to {high:g}"
    if signed is None:
        rows = _middle(content[HEADER_BYTES:], replace(header, signed=False))
        wrapped = np.where(rows > 127, rows - 256, rows)
        signed = bool(np.abs(np.diff(wrapped)).mean() <= np.abs(np.diff(rows)).mean())
        reason = "by its voxels, since its header has no range of values"
    note = "" if signed else f"{path.name} holds unsigned bytes, {reason}"
    return replace(header, signed=signed), note


def signed_by_range(low: float, high: float) -> bool | None:
    """Whether bytes are signed, by their lowest and highest value, as IMOD decides; None if they can be either."""
    if not low < high or (low >= 0 and high < 128):
        return None
    if low < 0 and high >= 128:
        return -low > high - 128
    return low < 0
