"""Placeholder."""


class CompareWidget:
    """Not there yet."""
