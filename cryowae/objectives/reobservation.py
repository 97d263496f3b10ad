"""Restored volumes that are rotated and observed again, as the terms for data without truth need them.

A tomogram shows every particle through the same wedge. If the specimen is as likely after a rotation as before, then a
restored volume that is rotated, seen through the wedge and given fresh noise must look like another part of the same
tomogram (equivariant imaging: Chen, Tachella & Davies 2022, "Robust equivariant imaging"; CryoGEN).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cryowae.errors import ConfigError
from cryowae.fourier.rotation import RotationGroup, draw_rotations, rotate_finely
from cryowae.fourier.wedge import Wedge
from cryowae.objectives.term import Pass

_FEWEST = 8  # voxels along an edge


def observe_again(made: Pass, rotated: Tensor, edge: int) -> Tensor:
    """`T_M R x^ + n`: rotated restored volumes, seen through the wedge of their tomogram, and with its noise.

    The wedge is applied on the whole box with periodic boundaries; then the centre is cut out. The mean is set so that
    the volume before the rotation would have the mean of the observation, because the solvent is 0 in a restored volume
    but not in an observation. The contrast is not changed: the noise of the observation must be added to a signal in
    the units of the observation, and the network has no statistics of its input that would correct a wrong factor.

    Parameters
    ----------
    made
        The pass of the subtomograms; `tilts` and `noise` are needed.
    rotated
        `(n, 1, z, y, x)` its restored volumes after rotations.
    edge
        Edge of the cube to cut out.

    Returns
    -------
    observed
        `(n, 1, edge, edge, edge)` float32, with the gradients of the volumes.
    """
    noise = made.needed("noise")
    seen = [Wedge.binary(*tilts).apply(one) for tilts, one in zip(made.needed("tilts"), rotated, strict=True)]
    level = (made.batch.observation - made.restored.float()).mean((-3, -2, -1), keepdim=True)
    return central_cube(torch.stack(seen) + level + noise, edge)


def observations_to_match(made: Pass, group: RotationGroup) -> tuple[Tensor, Tensor]:
    """Restored volumes observed again after random rotations, and the observations of which they must have the law.

    Both are cut so small that no rotation of the group brings the outside of the box into them. The noise of the first
    is independent of that of the second, and a rotation stands between a structure and its copy.

    Parameters
    ----------
    made
        The pass of the subtomograms; `tilts` and `noise` are needed.
    group
        Rotations under which the law of the specimen is invariant.

    Returns
    -------
    again, observations
        `(n, 1, e, e, e)`; only the first has gradients.
    """
    edge = inner_edge(made.restored.shape[-1], 3 if group == "full" else 2, 4)
    rotations = draw_rotations(group, len(made.restored), made.generator, made.restored.device)
    rotated = rotate_finely(made.restored[:, 0].float(), rotations)[:, None]
    return observe_again(made, rotated, edge), central_cube(made.batch.observation.float(), edge)


def inner_edge(edge: int, dims: int, multiple: int) -> int:
    """Edge of the largest cube that stays inside a cube under rotations in a plane (`dims` 2) or in space (3).

    Parameters
    ----------
    edge
        Edge of the outer cube.
    dims
        The result is at most `edge / sqrt(dims)`.
    multiple
        The result is a multiple of it.

    Raises
    ------
    ConfigError
        If less than 8 voxels are left.
    """
    inner = int(edge / math.sqrt(dims)) // multiple * multiple
    if inner < _FEWEST:
        least = math.ceil(math.sqrt(dims) * -(-_FEWEST // multiple) * multiple)
        raise ConfigError(
            f"got subtomograms of {edge} voxels, expected at least {least} so that they can be rotated: "
            "enlarge the subtomograms"
        )
    return inner


def central_cube(volumes: Tensor, edge: int) -> Tensor:
    """`(..., edge, edge, edge)`: the centre of volumes whose edges differ from it by even numbers."""
    for axis in (-3, -2, -1):
        volumes = volumes.narrow(axis, (volumes.shape[axis] - edge) // 2, edge)
    return volumes
