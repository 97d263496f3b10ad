"""The benchmark: methods on scenes of which everything is known."""
