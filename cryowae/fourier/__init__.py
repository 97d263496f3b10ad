"""Fourier space of volumes: grids, the wedge, shells, resampling, rotation."""
