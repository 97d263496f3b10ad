"""Restoration of a tomogram: `restore_tomogram(source, output)`, or of a part of it: `restore_region`."""

from cryowae.restore.inferred import write_inferred
from cryowae.restore.options import RestoreOptions, RestoreResult
from cryowae.restore.region import restore_region
from cryowae.restore.restoration import restore_tomogram

__all__ = ["RestoreOptions", "RestoreResult", "restore_region", "restore_tomogram", "write_inferred"]
