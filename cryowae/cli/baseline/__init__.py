"""`cryowae baseline ...`: the 2-D image baselines."""

from __future__ import annotations

from cryowae.cli.baseline import learn, measure
from cryowae.cli.commands import group

__all__ = ["baseline"]

baseline = group(
    "baseline",
    "Train and measure 2-D image models with the objectives of the 3-D model.",
    *(learn.mnist, learn.celeba, learn.restore, learn.sweep, learn.lenet),
    *(measure.evaluate, measure.references, measure.table, measure.sample, measure.bandwidth),
)
