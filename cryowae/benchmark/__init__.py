"""The benchmark: methods on simulated scenes with known ground truth."""
