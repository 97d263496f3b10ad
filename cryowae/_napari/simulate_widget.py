"""Placeholder."""


class SimulateWidget:
    """Not there yet."""
