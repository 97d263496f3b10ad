"""Restoration of a tomogram: `restore_tomogram(source, output)`."""

from cryowae.restore.options import RestoreOptions, RestoreResult
from cryowae.restore.restoration import restore_tomogram

__all__ = ["RestoreOptions", "RestoreResult", "restore_tomogram"]
