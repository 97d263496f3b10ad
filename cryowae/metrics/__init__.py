"""Metrics: how close a volume is to another, over all and inside and outside the missing wedge."""

from cryowae.metrics.scores import Scores, format_table, score
from cryowae.metrics.shells import ShellCorrelation, fsc
from cryowae.metrics.voxels import ncc, psnr, ssim

__all__ = ["Scores", "ShellCorrelation", "format_table", "fsc", "ncc", "psnr", "score", "ssim"]
