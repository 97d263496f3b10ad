"""What can go wrong with a user's input, one class a subject.

Every message is one line: what was got, what was expected, what to do. The command line prints it and exits
with code 2; anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations


class CryowaeError(Exception):
    """Base of all errors that a user can mend."""


class TomogramError(CryowaeError):
    """A volume that cannot be read or restored."""


class TiltError(CryowaeError):
    """Tilt angles that are missing, unreadable or impossible."""


class ImagesError(CryowaeError):
    """A set of images that is missing, damaged or another than it should be."""


class CheckpointError(CryowaeError):
    """A checkpoint that is damaged, foreign or of an unknown format."""


class ConfigError(CryowaeError):
    """A configuration with unknown names or impossible values."""


class OutputError(CryowaeError):
    """An output place that exists already, cannot be written or is too small."""
