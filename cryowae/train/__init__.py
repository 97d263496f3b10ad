"""Training of the autoencoder: `train(config, output)`."""

from cryowae.train.loop import train

__all__ = ["train"]
