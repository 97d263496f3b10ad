"""Simulated data for users: wedges, tilt series, reconstructions, scenes; one function each."""
