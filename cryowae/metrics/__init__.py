"""Metrics: agreement of two volumes, over all components and inside and outside the missing wedge."""

from cryowae.metrics.invention import Invented, invented, particle_contrast
from cryowae.metrics.matching import Matcher, discrimination, whole_boxes
from cryowae.metrics.particles import Vesicle, elongation, particle_correlations, vesicle_correlation
from cryowae.metrics.profiles import Profile, Scores, format_table, profile, score
from cryowae.metrics.regions import empty_wedge
from cryowae.metrics.shells import ShellCorrelation, fsc
from cryowae.metrics.voxels import ncc, psnr, ssim

__all__ = [
    "Invented",
    "Matcher",
    "Profile",
    "Scores",
    "ShellCorrelation",
    "Vesicle",
    "discrimination",
    "elongation",
    "empty_wedge",
    "format_table",
    "fsc",
    "invented",
    "ncc",
    "particle_contrast",
    "particle_correlations",
    "profile",
    "psnr",
    "score",
    "ssim",
    "vesicle_correlation",
    "whole_boxes",
]
