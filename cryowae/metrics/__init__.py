"""Metrics: agreement of two volumes, over all components and inside and outside the missing wedge."""

from cryowae.metrics.matching import Matcher as Matcher
from cryowae.metrics.matching import discrimination as discrimination
from cryowae.metrics.matching import whole_boxes as whole_boxes
from cryowae.metrics.particles import elongation as elongation
from cryowae.metrics.particles import invented as invented
from cryowae.metrics.particles import particle_contrast as particle_contrast
from cryowae.metrics.particles import particle_correlations as particle_correlations
from cryowae.metrics.particles import vesicle_correlation as vesicle_correlation
from cryowae.metrics.profiles import Profile as Profile
from cryowae.metrics.profiles import Scores as Scores
from cryowae.metrics.profiles import format_table as format_table
from cryowae.metrics.profiles import ncc as ncc
from cryowae.metrics.profiles import profile as profile
from cryowae.metrics.profiles import psnr as psnr
from cryowae.metrics.profiles import score as score
from cryowae.metrics.profiles import ssim as ssim
from cryowae.metrics.regions import ShellCorrelation as ShellCorrelation
from cryowae.metrics.regions import empty_wedge as empty_wedge
from cryowae.metrics.regions import fsc as fsc
