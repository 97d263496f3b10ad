"""Errors in a user's input, one class for each subject.

Every message is one line: the value found, the value expected, and the remedy. The command line prints it and exits
with code 2. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations


class CryowaeError(Exception):
    """Base class of all errors that a user can fix."""


class TomogramError(CryowaeError):
    """A volume that cannot be read or restored."""


class TiltError(CryowaeError):
    """Tilt angles that are missing, unreadable or impossible."""


class ImagesError(CryowaeError):
    """A set of images that is missing, damaged or not the expected one."""


class CheckpointError(CryowaeError):
    """A checkpoint that is damaged, from another program or in an unknown format."""


class ConfigError(CryowaeError):
    """A configuration with unknown names or impossible values."""


class OutputError(CryowaeError):
    """An output that exists already, cannot be written, or has too little disk space."""
