"""Simulated specimens: molecules, membranes, filaments and beads in ice."""
