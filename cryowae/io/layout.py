"""Orders in which files store the axes of a volume.

`zyx`: sections along the beam, as this program works. `xzy` (AreTomo's own word for what it and IMOD's `tilt` write by
default): columns along x, rows along the thickness z, sections along the tilt axis y.

Swapping two axes alone would mirror the sample. As `trimvol -rx` of IMOD does, the volume is therefore turned by -90
degrees about x: the thickness axis is reversed too, and the hand is kept.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from cryowae.errors import TomogramError

AXES = ("zyx", "xzy")


def in_zyx(data: NDArray[Any], axes: str) -> NDArray[Any]:
    """View of a file's `(sections, rows, columns)` as `(z, y, x)`: nothing is read or copied."""
    return data if _known(axes) == "zyx" else data.transpose(1, 0, 2)[::-1]


def file_shape(shape: tuple[int, int, int], axes: str) -> tuple[int, int, int]:
    """`(sections, rows, columns)` of the file that holds a `(z, y, x)` volume."""
    z, y, x = shape
    return (z, y, x) if _known(axes) == "zyx" else (y, z, x)


def _known(axes: str) -> str:
    if axes not in AXES:
        raise TomogramError(
            f"axes {axes!r}; expected zyx (sections along the beam) or xzy (thickness on the second axis)"
        )
    return axes
