"""Options of samples: what the data leave open, drawn from random codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cryowae.errors import ConfigError

Estimate = Literal["mean", "sample"]

MOST_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Samples of a restoration.

    Attributes
    ----------
    samples
        Number of samples to draw, one pass of the network each. With two or more, `_std` is written too: their
        standard deviation. 0 for none.
    seed
        Seed of the samples; sample number 1 of a seed is the same in every run.
    estimate
        The main result. `mean`: of the samples, or from the mean of the codes without samples. `sample`: the first
        sample, with the power of a structure in the missing wedge too.
    write_std
        Write `_std`, as is done by default with two or more samples.
    write_samples
        Write each sample too, as `_sample1`, `_sample2` ...
    """

    samples: int = 0
    seed: int = 0
    estimate: Estimate = "mean"
    write_std: bool = False
    write_samples: bool = False

    def check_samples(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        if not 0 <= self.samples <= MOST_SAMPLES:
            raise ConfigError(f"got --samples {self.samples}, expected 0 to {MOST_SAMPLES}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"got --seed {self.seed}, expected 0 to {2**32 - 1}")
        if self.estimate not in get_args(Estimate):
            raise ConfigError(f"got --estimate {self.estimate}, expected one of: {', '.join(get_args(Estimate))}")
        if self.write_std and self.samples < 2:
            raise ConfigError(f"got --write-std with --samples {self.samples}: give --samples 2 or more, such as 8")
        if self.write_samples and self.samples < 1:
            raise ConfigError("got --write-samples without samples: give --samples with their number, such as 8")

    @property
    def drawn(self) -> int:
        """Number of samples that are drawn: one at least, if the main result is a sample."""
        return max(self.samples, int(self.estimate == "sample"))
