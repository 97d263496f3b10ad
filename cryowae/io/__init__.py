"""Files: MRC volumes, tilt angles, checkpoints. Arrays and headers only, nothing but numpy below."""
