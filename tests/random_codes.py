"""Tiny weights with random codes, from which samples can be drawn."""

from __future__ import annotations

from pathlib import Path

import torch

from cryowae.config import ModelConfig, TrainConfig
from cryowae.models import Autoencoder
from cryowae.models.weights import write_weights

MODEL = ModelConfig(widths=(4, 4, 4), codes=(2, 2, 2), down=(1, 1, 1), up=(1, 1), decode=(1, 1, 1), random=True)


def random_weights(path: Path) -> Path:
    """Write untrained weights whose samples differ by more than rounding."""
    torch.manual_seed(0)
    network = Autoencoder(MODEL)
    with torch.no_grad():
        network.head.mix.weight.mul_(20)
    write_weights(path, network, TrainConfig(name="random", model=MODEL), 0)
    return path
