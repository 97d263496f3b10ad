"""Simulated data for users: wedges, tilt series and scenes, one function each."""
