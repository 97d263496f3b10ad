"""The exposures of a tilt series: their order, the loss of detail with dose, and the detector."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.errors import ConfigError

_TOUGHNESS = {300: 1.0, 200: 0.8}  # critical exposure relative to that at 300 kV
_WANTED = "expected two columns, frequency in cycles per pixel (or in fractions of Nyquist, up to 1) and MTF"


def acquisition_order(angles: Sequence[float], scheme: str) -> tuple[int, ...]:
    """The indices of tilts in the order of their exposure.

    Parameters
    ----------
    angles
        Degrees, ascending.
    scheme
        `ascending`; `bidirectional`: from the tilt nearest to zero up to the highest, then from its neighbour down to
        the lowest; or `dose-symmetric` (Hagen, Wan and Briggs, J. Struct. Biol. 197, 2017): 0, 3, -3, -6, 6, 9, -9 ...,
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
    sides = islice(cycle((up, down, down, up)), count - 1)
    return (start, *((side or up or down).pop(0) for side in sides))


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
    before = {index: count for count, index in enumerate(acquisition_order(angles, scheme))}
    return tuple((before[index] + 0.5) * dose for index in range(len(angles)))


def dose_damping(frequency: Tensor, dose: float, voltage: float = 300.0) -> Tensor:
    """Factor on the amplitude at each frequency after a dose: `exp(-N / (2 Ne(k)))`.

    The critical exposure `Ne`, after which the signal has fallen to `1 / e` in power, is `0.245 k^-1.665 + 2.81` at 300
    kV, and 0.8 times that at 200 kV (Grant and Grigorieff, eLife 4, 2015, e06980). It is infinite at zero frequency.

    Parameters
    ----------
    frequency
        Cycles per angstrom, any shape.
    dose
        Electrons per square angstrom that the specimen has received.
    voltage
        Kilovolts, 200 or 300.

    Raises
    ------
    ConfigError
        At another voltage, where it was not measured.
    """
    toughness = _TOUGHNESS.get(round(voltage))
    if toughness is None:
        known = "200 or 300 kV, where critical exposures are known"
        raise ConfigError(f"got a dose at {voltage:g} kV, expected {known}: or set dose 0")
    return torch.exp(-dose / (2 * toughness * (0.245 * frequency**-1.665 + 2.81)))


def detector_mtf(name: str, ky: Tensor, kx: Tensor) -> Tensor:
    """Factor of the detector on the amplitude at each frequency.

    Parameters
    ----------
    name
        `sinc`: an ideal pixel, which integrates over its square: `sinc(kx) sinc(ky)`. Otherwise a file for `read_mtf`;
        its curve is used in all directions and for the pixel of the image, as if the image was not binned.
    ky, kx
        Cycles per pixel; they broadcast to the shape of the result.
    """
    if name == "sinc":
        return torch.sinc(ky) * torch.sinc(kx)
    frequency, value = read_mtf(name)
    k = (ky.square() + kx.square()).sqrt()
    return torch.from_numpy(np.interp(k.cpu().double().numpy(), frequency, value)).to(k)


def read_mtf(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the curve of a detector.

    Parameters
    ----------
    path
        Text: frequency and MTF in the first two columns, separated by commas or blanks. Lines before the first number
        are skipped (so a STAR table can be read), and so are lines that start with `#`. If a frequency is above 0.5,
        they are fractions of Nyquist, otherwise cycles per pixel.

    Returns
    -------
    frequency, value
        Cycles per pixel from 0, where the MTF is 1 by definition. The last value is used beyond the last frequency.

    Raises
    ------
    ConfigError
        If the file cannot be read or does not contain such a curve.
    """
    expected = "none, sinc or a file", _WANTED
    rows = read_numbers(path, "MTF", lambda line: re.split(r"[\s,;]+", line)[:2], expected, titled=True)
    if len(rows) < 2 or any(len(row) < 2 for row in rows):
        raise ConfigError(f"MTF file {path} contains no curve; {_WANTED}")
    frequency, value = np.array(rows).T
    if not ((np.diff(frequency) > 0).all() and frequency[0] >= 0):
        raise ConfigError(f"MTF file {path} has frequencies that do not increase from 0 or above; {_WANTED}")
    if not 0.1 < frequency[-1] <= 1.0:
        raise ConfigError(f"MTF file {path} ends at the frequency {frequency[-1]:g}; {_WANTED}")
    if not ((value >= 0) & (value <= 1.1)).all():
        raise ConfigError(f"MTF file {path} has values from {value.min():g} to {value.max():g}; expected 0 to 1")
    if frequency[-1] > 0.5:
        frequency = frequency / 2
    if frequency[0] > 0:
        frequency, value = np.append(0.0, frequency), np.append(1.0, value)
    return frequency, value


def read_numbers(
    path: str | Path, kind: str, split: Callable[[str], list[str]], expected: tuple[str, str], *, titled: bool = False
) -> list[list[float]]:
    """Read the numbers of each line of a text file, without empty lines and comments that start with `#`.

    Parameters
    ----------
    path
        The file.
    kind
        Kind of the file, for messages.
    split
        Function that splits a line into the words that are numbers.
    expected
        Description of the expected file and of the expected line, for messages.
    titled
        Lines before the first number are skipped.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a line holds anything but finite numbers.
    """
    try:
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{kind} file {path} cannot be read ({error.strerror}); expected {expected[0]}") from None
    rows: list[list[float]] = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        try:
            row = [float(word) for word in split(line)]
        except ValueError:
            row = [np.nan]
        if np.isfinite(row).all():
            rows.append(row)
        elif rows or not titled:
            raise ConfigError(f"{kind} file {path} has {line[:30]!r} in line {number}; {expected[1]}")
    return rows
