"""Placeholder."""


class RestoreWidget:
    """Not there yet."""
