"""Radiation damage: the order in which tilts are exposed, and the loss of detail with dose."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cryowae.errors import ConfigError

_TOUGHNESS = {300: 1.0, 200: 0.8}  # critical exposure relative to that at 300 kV


def acquisition_order(angles: Sequence[float], scheme: str) -> tuple[int, ...]:
    """The indices of tilts in the order of their exposure.

    Parameters
    ----------
    angles
        Degrees, ascending.
    scheme
        `ascending`; `bidirectional`: from the tilt nearest to zero up to the highest, then from beside it down to the
        lowest; or `dose-symmetric` (Hagen, Wan and Briggs, J. Struct. Biol. 197, 2017): 0, 3, -3, -6, 6, 9, -9 ...,
        which changes sides after every second image. When one side is finished, the other continues.

    Returns
    -------
    order
        `order[0]` is the index of the tilt that is exposed first.
    """
    count = len(angles)
    if scheme == "ascending":
        return tuple(range(count))
    start = min(range(count), key=lambda i: (abs(angles[i]), -angles[i]))
    up, down = list(range(start + 1, count)), list(range(start - 1, -1, -1))
    if scheme == "bidirectional":
        return (start, *up, *down)
    order, sides, turn = [start], (up, down, down, up), 0
    while up or down:
        side = sides[turn % 4] or up or down
        order.append(side.pop(0))
        turn += 1
    return tuple(order)


def accumulated_dose(angles: Sequence[float], dose: float, scheme: str) -> tuple[float, ...]:
    """Exposure of each tilt at the middle of its own image, in the order of `angles`.

    Parameters
    ----------
    angles
        Degrees, ascending.
    dose
        Electrons per square angstrom and tilt.
    scheme
        See `acquisition_order`.
    """
    received = [0.0] * len(angles)
    for before, index in enumerate(acquisition_order(angles, scheme)):
        received[index] = (before + 0.5) * dose
    return tuple(received)


def critical_exposure(frequency: Tensor, voltage: float = 300.0) -> Tensor:
    """Dose after which the signal at a frequency has fallen to `1 / e` in power.

    `0.245 k^-1.665 + 2.81` at 300 kV, 0.8 times that at 200 kV (Grant and Grigorieff, eLife 4, 2015, e06980).

    Parameters
    ----------
    frequency
        Cycles per angstrom, any shape.
    voltage
        Kilovolts, 200 or 300.

    Returns
    -------
    exposure
        Electrons per square angstrom, infinite at zero frequency.

    Raises
    ------
    ConfigError
        At another voltage, where it was not measured.
    """
    toughness = _TOUGHNESS.get(round(voltage))
    if toughness is None:
        raise ConfigError(
            f"got a dose at {voltage:g} kV, expected 200 or 300 kV, where critical exposures are known: or set dose 0"
        )
    return toughness * (0.245 * frequency**-1.665 + 2.81)


def dose_damping(frequency: Tensor, dose: float, voltage: float = 300.0) -> Tensor:
    """Factor on the amplitude at each frequency after a dose: `exp(-N / (2 Ne(k)))` (same source).

    Parameters
    ----------
    frequency
        Cycles per angstrom, any shape.
    dose
        Electrons per square angstrom that the specimen has received.
    voltage
        Kilovolts.
    """
    return torch.exp(-dose / (2 * critical_exposure(frequency, voltage)))
