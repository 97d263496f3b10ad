"""A tomogram as it was opened: voxels, voxel size, wedge, and what its grey values tell."""

from cryowae.tomogram.opening import Tomogram, open_tomogram

__all__ = ["Tomogram", "open_tomogram"]
