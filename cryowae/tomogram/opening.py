"""A tomogram: the mapped array, its voxel size, the header to carry over, and the wedge that was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.errors import TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.io.header import MrcHeader
from cryowae.io.mrc import in_zyx, read_mrc
from cryowae.io.neighbours import find_tilts
from cryowae.io.tilts import TiltAngles, read_tilts, require_tilt_range
from cryowae.tomogram.measured_range import measure_range
from cryowae.tomogram.statistics import require_finite


@dataclass(frozen=True, eq=False)
class Tomogram:
    """An open tomogram. Voxels are read only when they are needed.

    Attributes
    ----------
    data
        `(z, y, x)` view of the file in its own data type, read-only, possibly with swapped or reversed axes.
    voxel_size
        Angstrom.
    header
        Header that is copied to results, in the order of the file's axes.
    path
        Path of the file, which need not exist.
    wedge
        The measured region; None only if this was allowed.
    tilts
        Tilts in degrees, ascending, with the sign of this package; None if only their range is known.
    tilt_source
        Source of the angles as text, without the angles themselves.
    axes
        Order of the axes in the file, see `cryowae.io.header`.
    notes
        Messages for the user, one line each.
    """

    data: NDArray[Any]
    voxel_size: float
    header: MrcHeader
    path: Path
    wedge: Wedge | None
    tilts: tuple[float, ...] | None = None
    tilt_source: str = ""
    axes: str = "zyx"
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(z, y, x)`."""
        z, y, x = self.data.shape
        return z, y, x

    def read(self, *region: slice) -> NDArray[np.float32]:
        """Contiguous float32 copy of a `(z, y, x)` region; raises `TomogramError` if it is not finite."""
        block = self.data[region]
        return np.array(require_finite(block, str(self.path)), np.float32, order="C")

    def require_wedge(self) -> Wedge:
        """The wedge; raises `TiltError`, with the range that the spectrum suggests, if it is not known."""
        if self.wedge is None:
            estimate = measure_range(self.data).range
            suggestion = "its power spectrum shows no missing wedge that could suggest one"
            if estimate is not None:
                suggestion = f"its power spectrum suggests about {estimate[0]:.0f} {estimate[1]:.0f}"
            raise TiltError(
                f"the tilt range of {self.path} is not known: no tilt angles found beside it; expected a .tlt or the "
                f"like: give --tilts FILE or --tilt-range LO HI ({suggestion})"
            )
        return self.wedge

    def negated(self) -> Tomogram:
        """The same volume with the opposite sign of every tilt."""
        wedge = None if self.wedge is None else Wedge.binary(-self.wedge.tilt_max, -self.wedge.tilt_min)
        tilts = None if self.tilts is None else tuple(-angle for angle in reversed(self.tilts))
        return replace(self, wedge=wedge, tilts=tilts, tilt_source=f"{self.tilt_source}, negated")

    def shifted(self, offset: float) -> Tomogram:
        """The same volume with `offset` degrees added to every tilt; raises `TiltError` if one is impossible then."""
        if offset == 0 or self.wedge is None:
            return self
        wedge = Wedge.binary(*require_tilt_range(self.wedge.tilt_min + offset, self.wedge.tilt_max + offset))
        tilts = None if self.tilts is None else tuple(angle + offset for angle in self.tilts)
        return replace(self, wedge=wedge, tilts=tilts, tilt_source=f"{self.tilt_source}, {offset:+g} degrees")


def open_tomogram(
    path: str | Path,
    *,
    tilts: str | Path | None = None,
    tilt_range: tuple[float, float] | None = None,
    flip_tilt: bool = False,
    tilt_offset: float = 0.0,
    voxel_size: float | None = None,
    axes: str = "zyx",
    need_wedge: bool = True,
) -> Tomogram:
    """Open a tomogram and determine its measured region.

    Parameters
    ----------
    path
        An MRC volume, see `cryowae.io.mrc.read_mrc`.
    tilts
        File of tilt angles, see `cryowae.io.tilts`. Without it and `tilt_range`, one is searched for beside the volume.
    tilt_range
        Lowest and highest tilt in degrees, in place of a file.
    flip_tilt
        Negate the tilts: for reconstructions in which a tilt `t` lies on `kz = -tan(t) kx`.
    tilt_offset
        Degrees that are added to the tilts, after the negation.
    voxel_size
        Angstrom, in place of the header's.
    axes
        `zyx`, `xzy` for volumes with the thickness on the second axis, or `zxy` for those with the tilt axis along x.
    need_wedge
        Whether unknown tilts are an error; otherwise `wedge` is None then.

    Raises
    ------
    TomogramError
        If the volume cannot be used.
    TiltError
        If the angles cannot be used, or none are known; the message then has the range that the spectrum suggests.
    """
    volume = read_mrc(path, voxel_size=voxel_size)
    data = in_zyx(volume.data, axes)
    notes = (*volume.notes, *_shape_notes(volume.path, data, axes))
    opened = Tomogram(data, volume.voxel_size, volume.header, volume.path, None, axes=axes, notes=notes)
    opened = with_tilts(opened, tilts=tilts, tilt_range=tilt_range)
    if flip_tilt:
        opened = opened.negated()
    opened = opened.shifted(tilt_offset)
    if need_wedge:
        opened.require_wedge()
    return opened


def with_tilts(
    tomogram: Tomogram, *, tilts: str | Path | None = None, tilt_range: tuple[float, float] | None = None
) -> Tomogram:
    """The same volume with other tilts; as `open_tomogram`, but unknown tilts are no error."""
    if tilts is not None and tilt_range is not None:
        raise TiltError(
            "both a tilt file and a tilt range were given; expected one of them: leave out --tilts or --tilt-range"
        )
    notes = tomogram.notes
    found: TiltAngles | None = None
    low, high, source = 0.0, 0.0, "no tilt angles known"
    if tilt_range is not None:
        low, high = require_tilt_range(*tilt_range)
        source = "as given"
    elif (found := read_tilts(tilts) if tilts is not None else find_tilts(tomogram.path)) is not None:
        low, high = found.measured[0], found.measured[-1]
        source = f"{len(found.angles)} angles in {found.source}"
        source += ", as given" if tilts is not None else ", found beside the tomogram"
        notes = (*notes, *found.notes)
    angles = None if found is None else found.measured
    wedge = Wedge.binary(low, high) if low < high else None
    return replace(tomogram, wedge=wedge, tilts=angles, tilt_source=source, notes=notes)


def _shape_notes(path: Path, data: NDArray[Any], axes: str) -> list[str]:
    z, y, x = data.shape
    if z <= min(y, x):
        return []
    if axes == "zyx" and y < min(z, x):
        hint = "if its thickness is on the second axis, as IMOD's tilt and AreTomo write it, give --axes xzy"
    else:
        hint = "check --axes"
    return [f"{path.name} is {z} x {y} x {x} voxels and its first axis is not the shortest: {hint}"]
