"""What a validation found: agreements with data that were held out, and controls; as a table and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.metrics.rings import BANDS, Agreement, curve_edges
from cryowae.metrics.significance import Difference, Estimate, estimate_mean, paired_difference

INPUT, GAUSSIAN = "input", "Gaussian"
GAUSSIAN_SIGMA = 1.0
"""Standard deviation in voxels of the Gaussian filter that is compared."""

_SEED = 0  # of the resampling


@dataclass(frozen=True, eq=False)
class Control:
    """A choice against its opposite: the right one must agree better with the data.

    Attributes
    ----------
    name
        What is chosen.
    used, other
        The choice and its opposite.
    used_bands, other_bands
        `(units, 3)` correlation with either.
    """

    name: str
    used: str
    other: str
    used_bands: NDArray[np.float64]
    other_bands: NDArray[np.float64]

    @property
    def difference(self) -> Difference:
        """Of the mean over the bands: positive if the choice is better."""
        used, other = (np.nanmean(bands, 1) for bands in (self.used_bands, self.other_bands))
        return paired_difference(used, other, np.random.default_rng(_SEED))

    def line(self) -> str:
        """The result in words."""
        found = self.difference
        verb = "wins" if found.mean > 0 else "LOSES"
        interval = f"{found.low:+.3f} to {found.high:+.3f}"
        return f"{self.used} {verb} against {self.other} by {found.mean:+.3f} (95 %: {interval})"

    def warning(self) -> str | None:
        """A line for the user if the opposite choice agrees better with the data."""
        if self.difference.mean > 0:
            return None
        option = {"tilt sign": "--flip-tilt", "contrast": f"--contrast {self.other}"}[self.name]
        return (
            f"{self.name}: {self.other} agrees better with the data than {self.used}, by {-self.difference.mean:.3f}: "
            f"check it, and try {option}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Agreement of a tomogram and its restorations with data that they were not made from.

    Attributes
    ----------
    agreements
        Of the input, a Gaussian filter of it, and each restoration.
    controls
        Tilt sign and contrast.
    contrast
        `dark` or `bright`: contrast of the protein.
    field
        Size of what is compared: `(rows, columns)` of the images, or `(z, y, x)` of the blocks.
    masked
        Share of the pixels that were replaced because of beads and contaminants.
    ceiling, ceiling_curve
        `(3,)` and `(rings,)` the highest correlation possible, if it is known.
    example, example_unit
        Real image, prediction of the input and of the first restoration, `(y, x)`; and its unit.
    network_voxels_per_voxel
        Of one restoration.
    notes
        Messages for the user, one line each.
    """

    agreements: tuple[Agreement, ...]
    controls: tuple[Control, ...]
    contrast: str
    field: tuple[int, ...]
    masked: float = 0.0
    ceiling: NDArray[np.float64] | None = None
    ceiling_curve: NDArray[np.float64] | None = None
    example: tuple[NDArray[np.float32], ...] = ()
    example_unit: int = 0
    network_voxels_per_voxel: float = 0.0
    notes: tuple[str, ...] = ()

    def estimates(self, agreement: Agreement) -> tuple[Estimate, ...]:
        """Mean and interval of one agreement in each band, and of its coarse part."""
        columns = (*agreement.bands.T, agreement.smooth)
        return tuple(estimate_mean(column, np.random.default_rng(_SEED)) for column in columns)

    def gains(self, agreement: Agreement) -> tuple[Difference, ...]:
        """The same for the differences from the input, paired by unit."""
        first = self.agreements[0]
        pairs = zip((*agreement.bands.T, agreement.smooth), (*first.bands.T, first.smooth), strict=True)
        return tuple(paired_difference(one, other, np.random.default_rng(_SEED)) for one, other in pairs)

    def table(self, voxel_size: float) -> str:
        """Means with intervals, level of chance, and differences from the input, as lines of text.

        Wrong pairs are predictions of one unit with the data of another one.

        Parameters
        ----------
        voxel_size
            Angstrom.
        """
        lengths = [f"{voxel_size / high:.0f}-{voxel_size / low:.0f} Å" for low, high in pairwise(BANDS)]
        heads = [f"{low:.2f}-{high:.2f}" for low, high in pairwise(BANDS)]
        lines = [
            _line("cycles per voxel", [*heads, "coarse part"]),
            _line("", [*lengths, f"> {voxel_size / 0.1:.0f} Å"]),
        ]
        for one in self.agreements:
            lines.append(_line(one.name, [_cell(found) for found in self.estimates(one)]))
        if self.ceiling is not None:
            lines.append(_line("ceiling", [f"{value:.3f}" for value in self.ceiling]))
        lines.append(_line("chance, below", [f"{value:.3f}" for value in self.chance()]))
        wrong = self.agreements[2]
        lines.append(_line(f"{wrong.name}, wrong pairs", [f"{value:.3f}" for value in wrong.swapped]))
        for one in self.agreements[2:]:
            lines.append(_line(f"{one.name} - input", [_cell(found, "+") for found in self.gains(one)]))
            lines.append(_line("  permutation test", [f"p = {found.p:.2g}" for found in self.gains(one)]))
        return "\n".join(line.rstrip() for line in lines)

    def in_reverse(self) -> Evidence:
        """The same with its units in the opposite order."""
        agreements = tuple(
            replace(one, bands=one.bands[::-1], curve=one.curve[::-1], smooth=one.smooth[::-1])
            for one in self.agreements
        )
        controls = tuple(
            replace(one, used_bands=one.used_bands[::-1], other_bands=one.other_bands[::-1]) for one in self.controls
        )
        last = len(self.agreements[0].smooth) - 1
        return replace(self, agreements=agreements, controls=controls, example_unit=last - self.example_unit)

    def chance(self) -> NDArray[np.float64]:
        """`(3,)` correlation that 97.5 % of the means with data of another place do not reach, of any volume."""
        levels = [np.quantile(one.chance, 0.975, axis=0) for one in self.agreements if len(one.chance)]
        return np.max(levels, axis=0) if levels else np.full(3, np.nan)

    def as_values(self) -> dict[str, Any]:
        """Everything but the images, as plain values for JSON; numbers that are not finite are null."""
        edges = curve_edges()
        found = {
            "bands": [list(pair) for pair in pairwise(BANDS)],
            "curve_frequency": ((edges[1:] + edges[:-1]) / 2).tolist(),
            "field": list(self.field),
            "masked_share": self.masked,
            "contrast": self.contrast,
            "volumes": [
                {
                    "name": one.name,
                    "bands": [asdict(value) for value in self.estimates(one)[:3]],
                    "coarse": asdict(self.estimates(one)[3]),
                    "minus_input": [asdict(value) for value in self.gains(one)],
                    "by_unit": one.bands.tolist(),
                    "coarse_by_unit": one.smooth.tolist(),
                    "curve": [asdict(estimate_mean(v, np.random.default_rng(_SEED))) for v in one.curve.T],
                    "chance_mean": one.chance.mean(0).tolist(),
                    "chance_97.5": np.quantile(one.chance, 0.975, axis=0).tolist(),
                    "other_units": one.swapped.tolist(),
                }
                for one in self.agreements
            ],
            "controls": [
                {"name": one.name, "used": one.used, "other": one.other, "used_minus_other": asdict(one.difference)}
                for one in self.controls
            ],
            "ceiling": None if self.ceiling is None else self.ceiling.tolist(),
            "ceiling_curve": None if self.ceiling_curve is None else self.ceiling_curve.tolist(),
        }
        return {name: _finite(value) for name, value in found.items()}


def restored_name(setting: str) -> str:
    """Name of a restoration with this setting of `--consistency`."""
    return "restored" if setting == "off" else f"restored, {setting}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<24}" + "".join(f"{cell:<24}" for cell in cells)


def _cell(found: Estimate, sign: str = "") -> str:
    return f"{found.mean:{sign}.3f} ({found.low:{sign}.3f}..{found.high:{sign}.3f})"
