"""Whole volumes from the images of a tilt series, and the images of whole volumes: block by block, in bounded memory.

`cryowae.imaging.projection` has the mathematics. The sparse matrix of a wide volume would not fit into memory, so that
here it is applied to blocks of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.scene import ReconstructionConfig
from cryowae.fourier.grids import axis_slabs
from cryowae.imaging.projection import TiltGeometry, back_project, project
from cryowae.progress import SILENT, Progress

Target = tuple[Any, Tensor, tuple[float, ...]]
"""A `(z, y, x)` float32 array to reconstruct, its images `(tilts, y, x)` and their angles, in increasing order."""

_ENTRIES = 4_000_000  # entries of the sparse matrix in memory at a time; each needs about 60 bytes during construction
_ROWS = 64


def reconstruct_volume(
    images: Tensor,
    angles: Sequence[float],
    depth: int,
    config: ReconstructionConfig,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Weighted back-projection of a tilt series, in memory.

    Parameters
    ----------
    images
        `(tilts, y, x)` aligned: the tilt axis is y and passes through the middle; mean 0.
    angles
        Degrees, increasing, with the sign of `kz = +tan(t) kx`.
    depth
        Voxels of the volume along z.
    config
        The filter.

    Returns
    -------
    volume
        `(depth, y, x)`.
    """
    volume = np.empty((depth, *images.shape[1:]), np.float32)
    fill_volumes([(volume, images, tuple(angles))], config, device, progress)
    return volume


def fill_volumes(
    targets: Sequence[Target], config: ReconstructionConfig, device: str = "cpu", progress: Progress = SILENT
) -> None:
    """Back-project images into volumes of one shape, by blocks of columns and slabs of rows.

    Parameters
    ----------
    targets
        The volumes are overwritten; they may be mapped files.
    config, device, progress
        As in `reconstruct_volume`.
    """
    depth, rows, width = targets[0][0].shape
    blocks = axis_slabs(width, _ENTRIES // (4 * len(targets[0][2]) * depth))
    for x, (data, images, angles) in progress.track("reconstruct", list(product(blocks, targets)), "blocks"):
        geometry = TiltGeometry(angles, depth, x.stop - x.start, width, device, (x.start + x.stop - width) / 2)
        for y in axis_slabs(rows, _ROWS):
            data[:, y, x] = back_project(images[:, y].to(device), geometry, config).cpu().numpy()


def project_volume(
    volume: NDArray[np.float32], angles: Sequence[float], device: str = "cpu", progress: Progress = SILENT
) -> Tensor:
    """Images of a volume along the beam at given tilts.

    Parameters
    ----------
    volume
        `(z, y, x)`.
    angles
        At least two, degrees, increasing, with the sign of `kz = +tan(t) kx`.

    Returns
    -------
    images
        `(tilts, y, x)` float32 on the CPU: sums along rays, as wide as the volume, see `cryowae.imaging.projection`.

    Raises
    ------
    TiltError
        If there are fewer than two angles, or any is beyond 90 degrees.
    """
    depth, rows, width = volume.shape
    images = torch.zeros(len(angles), rows, width)
    for x in progress.track("project", axis_slabs(width, _ENTRIES // (4 * len(angles) * depth)), "blocks"):
        geometry = TiltGeometry(tuple(angles), depth, x.stop - x.start, width, device, (x.start + x.stop - width) / 2)
        for y in axis_slabs(rows, _ROWS):
            images[:, y] += project(torch.from_numpy(volume[:, y, x].copy()).to(device), geometry).cpu()
    return images
