"""Random numbers for the codes of a sample, keyed to the absolute position in the tomogram.

Windows that overlap, a run that is repeated, and another machine all see the same number at the same place. So the
windows of one sample fit together, and a sample can be made again from its seed and its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.errors import ConfigError

MOST_SEEDS = 2**32
"""Seeds and numbers of samples are smaller."""

_BITS = 21  # of a position along an axis: two million codes
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True)
class Draw:
    """One sample of the codes of a whole tomogram.

    The numbers come from a counter-based generator: the position is the counter of SplitMix64 (Steele, Lea & Flood
    2014), and seed, number of the sample, scale and channel are its key. Box and Muller's formula makes them normal.

    Attributes
    ----------
    seed
        Seed of all samples of a tomogram.
    sample
        Number of the sample, from 0.

    Raises
    ------
    ConfigError
        If one is negative, or not smaller than `MOST_SEEDS`.
    """

    seed: int = 0
    sample: int = 0

    def __post_init__(self) -> None:
        for name, value in (("seed", self.seed), ("sample", self.sample)):
            if not 0 <= value < MOST_SEEDS:
                raise ConfigError(f"got the {name} {value}, expected 0 to {MOST_SEEDS - 1}")

    def normal(self, scale: int, origin: Sequence[int], size: Sequence[int], device: torch.device | str) -> Tensor:
        """Independent standard normal numbers for the codes of one scale.

        Parameters
        ----------
        scale
            Number of the scale.
        origin
            `(z, y, x)` position of the first code in the tomogram, counted in codes of this scale; (y, x) for images.
        size
            `(channels, z, y, x)`.
        device
            Where to compute. The integers are the same everywhere, the normal numbers up to rounding.

        Returns
        -------
        noise
            Float32 of the shape `size`.
        """
        channels, *lengths = size
        counter = torch.zeros((), dtype=torch.int64, device=device)
        for axis, (first, length) in enumerate(zip(origin, lengths, strict=True)):
            place = torch.arange(first, first + length, dtype=torch.int64, device=device) & (2**_BITS - 1)
            counter = (counter << _BITS)[..., None] + place if axis else place
        base = _mixed(_mixed(_mixed(self.seed) + self.sample) + scale)
        keys = [_mixed(base + pair) for pair in range((channels + 1) // 2)]
        steps = counter * _signed(_GOLDEN)
        made = [normal for key in keys for normal in _normals(_hash(steps + _signed(key)))]
        return torch.stack(made[:channels])


def _hash(state: Tensor) -> Tensor:
    """The output function of SplitMix64; products of 64-bit integers wrap around."""
    state = (state ^ _shifted(state, 30)) * _signed(_FIRST)
    state = (state ^ _shifted(state, 27)) * _signed(_SECOND)
    return state ^ _shifted(state, 31)


def _normals(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent normal numbers from two times 24 bits (Box & Muller 1958)."""
    radius = (_shifted(bits, 40).float() + 0.5).div_(2**24).log_().mul_(-2).clamp_(min=0).sqrt_()
    angle = (_shifted(bits, 16) & (2**24 - 1)).float().mul_(2 * torch.pi / 2**24)
    return radius * angle.cos(), radius * angle.sin()


def _shifted(state: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills with zeros; PyTorch's keeps the sign."""
    shifted: Tensor = (state >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _mixed(value: int) -> int:
    """The hash of one number, for keys."""
    state = (value + _GOLDEN) % 2**64
    state = (state ^ (state >> 30)) * _FIRST % 2**64
    state = (state ^ (state >> 27)) * _SECOND % 2**64
    return state ^ (state >> 31)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
