"""Text description of a tomogram: header, angles, wedge and contrast, and whether the angles fit the spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryowae.config.options import TomogramOptions
from cryowae.io.neighbours import Halves, find_halves
from cryowae.tomogram import Item, Tomogram, item_of
from cryowae.tomogram.claims import Verdict
from cryowae.tomogram.contrast import ContrastEstimate
from cryowae.tomogram.measured_range import MeasuredRange
from cryowae.tomogram.statistics import Statistics


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
        Whether protein is dark or bright, and how sure that is.
    measured
        Tilts and axes that the spectrum shows.
    verdict
        How they agree with the angles and the axes that are known.
    halves
        The half reconstructions in the same folder.
    doubts
        Reasons why the tomogram should not be restored.
    """

    tomogram: Tomogram
    statistics: Statistics
    contrast: ContrastEstimate
    measured: MeasuredRange
    verdict: Verdict
    halves: Halves | None
    doubts: list[str]

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
        findings.append(("contrast", self._contrast()))
        findings.append(("tilts", self._tilts()))
        findings.append(("spectrum", self._spectrum()))
        if self.halves is not None:
            findings.append(("halves", f"{self.halves.half1.name} and {self.halves.half2.name}"))
        findings.extend(("note", note) for note in (*tomogram.notes, *self.doubts))
        return findings

    def _contrast(self) -> str:
        if self.contrast.sure:
            return f"protein is {self.contrast.contrast} ({self.contrast.figure})"
        return f"not clear ({self.contrast.figure}): restoring it needs --contrast dark or --contrast bright"

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
        verdict = self.verdict
        if self.measured.range is None and verdict.kind == "unknown":
            return "shows no missing wedge: already filled, from a dual-axis series, or too thin or too smooth to tell"
        if verdict.kind == "unknown":
            return f"shows {self.measured}"
        if verdict.kind == "agrees":
            return f"shows {self.measured}; {verdict.text}"
        return verdict.text.removeprefix("the spectrum ")


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
    statistics = item.content.statistics  # first: its error names the file
    return Inspection(
        tomogram,
        statistics,
        item.estimated_contrast,
        item.measured,
        item.verdict,
        find_halves(tomogram.path),
        item.doubts,
    )


def _order(byte_order: str) -> str:
    return "little-endian" if byte_order == "<" else "big-endian"


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
