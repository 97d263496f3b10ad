"""The forward model: projection, CTF, dose, detector, noise, back-projection."""
