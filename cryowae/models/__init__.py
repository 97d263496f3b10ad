"""Networks: the autoencoder with a pyramid of codes, the latent discriminator, and shipped weights."""
