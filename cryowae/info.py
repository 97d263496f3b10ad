"""Text description of a tomogram: header, angles, wedge and contrast, and whether the angles fit the spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from cryowae.config.options import TomogramOptions
from cryowae.io.neighbours import Halves, find_halves
from cryowae.tomogram import Item, Tomogram, item_of
from cryowae.tomogram.estimate import (
    AngularPower,
    Contrast,
    WedgeAgreement,
    angular_power,
    range_of,
    wedge_agreement,
)
from cryowae.tomogram.statistics import Statistics, robust_statistics


@dataclass(frozen=True, eq=False)
class Inspection:
    """Properties of a tomogram.

    Attributes
    ----------
    tomogram
        The opened file, with its header, angles, wedge and notes.
    statistics
        Robust mean and standard deviation.
    contrast
        Whether protein is dark or bright.
    profile
        Power by direction, from which `estimated_range` and `agreement` are calculated.
    estimated_range
        Tilt range that the spectrum suggests, degrees; None when it shows no missing wedge.
    agreement
        Agreement of the spectrum with the wedge; None if no angles are known.
    halves
        The half reconstructions in the same folder.
    """

    tomogram: Tomogram
    statistics: Statistics
    contrast: Contrast
    profile: AngularPower
    estimated_range: tuple[float, float] | None
    agreement: WedgeAgreement | None
    halves: Halves | None

    def lines(self) -> list[str]:
        """The inspection as text, one result per line."""
        return [f"{name:<12}{text}" if text else name for name, text in self._findings()]

    def _findings(self) -> list[tuple[str, str]]:
        tomogram, header = self.tomogram, self.tomogram.header
        z, y, x = tomogram.shape
        edge = tomogram.voxel_size
        findings = [
            (str(tomogram.path), ""),
            ("size", f"{z} x {y} x {x} voxels (z, y, x), axes {tomogram.axes}, {z * y * x / 1e6:.1f} million"),
            ("voxel size", f"{edge:g} Å: {z * edge / 1e4:.3g} x {y * edge / 1e4:.3g} x {x * edge / 1e4:.3g} µm"),
            ("data", f"mode {header.mode} ({tomogram.data.dtype.name}), {_order(header.byte_order)}"),
            (
                "values",
                f"mean {self.statistics.mean:.4g}, deviation {self.statistics.sigma:.4g}, outliers left out",
            ),
        ]
        if any(header.origin) or any(header.nstart):
            findings.append(("origin", f"{_triple(header.origin)} Å, first voxel {_triple(header.nstart)} (x, y, z)"))
        if header.extended:
            kind = bytes(header.record["exttyp"]).strip(b"\0 ").decode("ascii", "replace") or "of no stated type"
            findings.append(("extended", f"header of {len(header.extended)} bytes, {kind}"))
        findings.extend(("label", label) for label in header.labels)
        findings.append(("contrast", f"protein is {self.contrast}"))
        findings.append(("tilts", self._tilts()))
        findings.append(("spectrum", self._spectrum()))
        if self.halves is not None:
            findings.append(("halves", f"{self.halves.half1.name} and {self.halves.half2.name}"))
        findings.extend(("note", note) for note in tomogram.notes)
        return findings

    def _tilts(self) -> str:
        wedge = self.tomogram.wedge
        if wedge is None:
            return "no angles found beside it: restoring it needs --tilts FILE or --tilt-range LO HI"
        span = wedge.tilt_max - wedge.tilt_min
        return (
            f"{wedge.tilt_min:g} to {wedge.tilt_max:g} degrees, {self.tomogram.tilt_source}; "
            f"{180 - span:.0f} of 180 degrees are missing"
        )

    def _spectrum(self) -> str:
        if self.estimated_range is None:
            return "shows no missing wedge: already filled, from a dual-axis series, or too thin to tell"
        text = f"suggests tilts from about {self.estimated_range[0]:.0f} to {self.estimated_range[1]:.0f} degrees"
        if self.agreement is None or math.isnan(self.agreement.leakage):
            return text
        share = f"power in the wedge is {100 * self.agreement.leakage:.1f} % of that outside"
        if self.agreement.flip_fits_better:
            flipped = f"{100 * self.agreement.flipped_leakage:.1f} %"
            return f"{text}; the tilts look negated ({share}, with --flip-tilt {flipped}): give --flip-tilt"
        if not self.agreement.fits:
            return f"{text}; it does not agree with the angles ({share}): check them"
        return f"{text}; it agrees with the angles ({share})"


def inspect_tomogram(source: Item | str | Path, options: TomogramOptions | None = None) -> Inspection:
    """Inspect a tomogram.

    Parameters
    ----------
    source
        A file, or an `Item`.
    options
        How a file is opened. Tilts may be unknown.

    Raises
    ------
    TomogramError, TiltError
        As `open_tomogram` raises them.
    """
    item = item_of(source, **vars(options or TomogramOptions()))
    tomogram = item.tomogram
    statistics = robust_statistics(tomogram.data, where=str(tomogram.path))  # first: its error names the file
    profile, wedge = angular_power(tomogram.data), tomogram.wedge
    return Inspection(
        tomogram,
        statistics,
        item.protein,
        profile,
        range_of(profile),
        None if wedge is None else wedge_agreement(profile, wedge.tilt_min, wedge.tilt_max),
        find_halves(tomogram.path),
    )


def _order(byte_order: str) -> str:
    return "little-endian" if byte_order == "<" else "big-endian"


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
