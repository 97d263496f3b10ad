"""Files: MRC volumes, tilt angles, checkpoints. Only arrays and headers; NumPy and no torch."""
