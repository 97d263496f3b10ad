"""Restoration: `restore_array` of an array, `restore_tomogram` of a file, `restore_region` of a part."""

from cryowae.config.options import RestoreOptions
from cryowae.restore.core import Restored, change_consistency, restore_array
from cryowae.restore.inferred import write_inferred
from cryowae.restore.tomograms import RestoreResult, restore_region, restore_tomogram

__all__ = [
    "RestoreOptions",
    "RestoreResult",
    "Restored",
    "change_consistency",
    "restore_array",
    "restore_region",
    "restore_tomogram",
    "write_inferred",
]
