"""The detector's modulation transfer function: that of an ideal pixel, or a measured curve."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.errors import ConfigError

_WANTED = "expected two columns, frequency in cycles per pixel (or in fractions of Nyquist, up to 1) and MTF"


def detector_mtf(name: str, ky: Tensor, kx: Tensor) -> Tensor:
    """Factor of the detector on the amplitude at each frequency.

    Parameters
    ----------
    name
        `sinc`: of an ideal pixel, which integrates over its square: `sinc(kx) sinc(ky)`. Else a file for `read_mtf`;
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
    try:
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"MTF file {path} cannot be read ({error.strerror}); expected none, sinc or a file") from None
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", line.strip()) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            rows.append([float(word) for word in words[:2]])
        except ValueError:
            if rows:
                raise ConfigError(f"MTF file {path} has {line.strip()[:30]!r} in line {number}; {_WANTED}") from None
    if len(rows) < 2 or any(len(row) < 2 for row in rows):
        raise ConfigError(f"MTF file {path} holds no curve; {_WANTED}")
    frequency, value = np.array(rows).T
    if not (np.isfinite(frequency).all() and (np.diff(frequency) > 0).all() and frequency[0] >= 0):
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
