"""Types of the values of configurations, each with its limits.

The limits are far beyond useful values. They turn a slip of the pen into a message, before a loop, an allocation or a
name of a file meets it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

MOST_TILTS = 1000
"""Largest number of tilts; real series have up to about 200."""

_NAME = 200  # bytes


def ordered(values: tuple[float, float]) -> tuple[float, float]:
    """A range; raises `ValueError` if its ends are the wrong way round."""
    if values[0] > values[1]:
        raise ValueError("expected the lowest value first, then the highest")
    return values


def even(tilts: tuple[float, float, float]) -> tuple[float, float, float]:
    """Lowest tilt, highest tilt and step in degrees; raises `ValueError` if they are impossible."""
    low, high, step = tilts
    if not (-90 < low < high < 90 and 0 < step <= high - low):
        raise ValueError("expected lowest tilt, highest tilt and a step between them, within -90 to 90 degrees")
    if (high - low) / step > MOST_TILTS:
        raise ValueError(f"expected at most {MOST_TILTS} tilts; use a larger step")
    return tilts


def ascending(angles: tuple[float, ...]) -> tuple[float, ...]:
    """Tilts in degrees; raises `ValueError` if they are not ascending, or not within -90 to 90."""
    if any(b <= a for a, b in zip(angles, angles[1:], strict=False)) or not all(-90 < a < 90 for a in angles):
        raise ValueError("expected ascending angles, each once, between -90 and 90 degrees")
    return angles


def _nameable(name: str) -> str:
    if re.search(r"[/\\\x00-\x1f\x7f]", name) or name.strip(" .") == "" or len(name.encode()) > _NAME:
        raise ValueError(f"expected a name that a file can have: no slash, at most {_NAME} bytes")
    return name


Name = Annotated[str, AfterValidator(_nameable)]
"""A name that a file or a folder can have."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Seed of random numbers, of 63 bits: further seeds are made from it by additions."""

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0, le=10_000)]
"""Number of objects; 0 for none."""

Length = Annotated[int, Field(ge=1, le=10**9)]
"""Number of steps."""

Rate = Annotated[float, Field(gt=0, le=100)]
"""Learning rate."""

Factor = Annotated[float, Field(ge=0, le=1e12)]
"""Weight of a term, or another factor."""

Ratio = Annotated[float, Field(gt=0, le=1e9)]
"""Signal-to-noise ratio."""

VoxelSize = Annotated[float, Field(ge=1, le=1000)]
"""Size of the voxels of a scene in angstrom."""

Distance = Annotated[float, Field(ge=0, le=1e7)]
"""Angstrom."""

Range = Annotated[tuple[float, float], AfterValidator(ordered)]
VoxelSizes = Annotated[tuple[VoxelSize, VoxelSize], AfterValidator(ordered)]
Ratios = Annotated[tuple[Ratio, Ratio], AfterValidator(ordered)]
Tilts = Annotated[tuple[float, float, float], AfterValidator(even)]
Angles = Annotated[tuple[float, ...], Field(min_length=2, max_length=MOST_TILTS), AfterValidator(ascending)]

Gains = Annotated[tuple[Annotated[float, Field(ge=0, le=1e9)], ...], Field(min_length=2, max_length=10_000)]
"""Factors at frequencies spread evenly from 0 to 0.5 cycles per voxel."""

Paths = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(max_length=1000)]


def same_lengths(first: str, values: dict[str, Sequence[object]], less: Sequence[str] = ()) -> None:
    """Raise `ValueError` unless all lists are as long as the first one, and those of `less` one shorter."""
    count = len(values[first])
    for name, one in values.items():
        expected = count - (name in less)
        if len(one) != expected:
            raise ValueError(f"got {len(one)} values for {name} and {count} for {first}, expected {expected}")
