"""The 2-D baselines: autoencoders and a WGAN on images, trained by the objectives of the 3-D model."""
