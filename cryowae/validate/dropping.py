"""Which tilts are held out: every n-th one, or those beyond an angle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryowae.errors import ConfigError, TiltError

DENOISING = "tilts between kept ones: is the denoising right?"
WEDGE = "tilts beyond the kept range: is what fills the missing wedge right?"

_EXPECTED = "expected every:N, such as every:5, or beyond:ANGLE, such as beyond:42 or beyond:-42"
_FEWEST = 2  # images on either side: one has no spread
_SAME = 0.05  # degrees; angles in tilt files are rounded


@dataclass(frozen=True)
class Drop:
    """A rule that selects tilts.

    Attributes
    ----------
    kind
        `every`: each n-th image by angle, but never the first or the last. `beyond`: those above a positive angle, or
        below a negative one.
    value
        n, or the angle in degrees.
    """

    kind: Literal["every", "beyond"]
    value: float

    @property
    def question(self) -> str:
        """The question that the tilts answer."""
        return DENOISING if self.kind == "every" else WEDGE

    def select(self, angles: Sequence[float]) -> tuple[int, ...]:
        """Positions of the tilts that are held out.

        Parameters
        ----------
        angles
            Degrees in any order, with the sign that the rule means.

        Raises
        ------
        TiltError
            If fewer than two tilts are held out or kept, or more are held out than kept.
        """
        order = sorted(range(len(angles)), key=angles.__getitem__)
        if self.kind == "every":
            step = int(self.value)
            found = [order[rank] for rank in range(1, len(order) - 1) if rank % step == step // 2]
        elif self.value > 0:
            found = [i for i in order if angles[i] > self.value + _SAME]
        else:
            found = [i for i in order if angles[i] < self.value - _SAME]
        require_split(found, angles, f"--drop {self}")
        return tuple(sorted(found))

    def __str__(self) -> str:
        return f"{self.kind}:{self.value:g}"


def parse_drop(text: str) -> Drop:
    """The rule of a text such as `every:5` or `beyond:-42`; raises `ConfigError` for any other."""
    kind, _, number = text.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind == "every" and value >= 2 and value == int(value):
        return Drop("every", value)
    if kind == "beyond" and 0 < abs(value) < 90:
        return Drop("beyond", value)
    raise ConfigError(f"got --drop {text}; {_EXPECTED}")


def require_split(dropped: Sequence[int], angles: Sequence[float], rule: str) -> None:
    """Raise `TiltError` unless there are two images or more on either side, and no more dropped than kept."""
    images, out = len(angles), len(dropped)
    if out < _FEWEST:
        low, high = min(angles), max(angles)
        raise TiltError(
            f"{rule} drops {out} of {images} tilts, from {low:g} to {high:g} degrees; expected two or more: choose "
            "another rule"
        )
    if images - out < _FEWEST or out > images - out:
        raise TiltError(
            f"{rule} drops {out} of {images} tilts and keeps {images - out}; expected no more dropped than kept: drop "
            "fewer"
        )
