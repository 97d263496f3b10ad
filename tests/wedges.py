"""Wedges of every kind, and noise to apply them to."""

from __future__ import annotations

import numpy as np
import torch

from cryowae.fourier.rotation import random_rotations
from cryowae.fourier.wedge import Wedge

_TURN = random_rotations(1, torch.Generator().manual_seed(3))[0]
WEDGES = [
    Wedge.binary(-42, 60),
    Wedge.binary(30, 90),
    Wedge.per_tilt(range(-40, 61, 20), 0.1),
    Wedge.binary(-42, 60).rotated(_TURN),
    Wedge.per_tilt(range(-40, 61, 20), 0.1).rotated(_TURN),
]


def random_volume(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))
