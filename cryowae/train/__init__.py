"""Training: one loop for volumes and images; `train(config, output)` trains the 3-D autoencoder."""

from cryowae.train.volumes import train

__all__ = ["train"]
