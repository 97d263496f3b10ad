"""Physics: Fourier grids, wedges, rotation, structures, scenes, tilt series and their noise."""
