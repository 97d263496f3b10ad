"""Template matching, a usual step after restoration: discrimination of particles from others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import mannwhitneyu
from torch import Tensor
from torch.nn.functional import pad

from cryowae.fourier.rotation import rotate
from cryowae.fourier.wedge import Wedge
from cryowae.metrics.regions import Array, Range, as_numpy, as_wedge

EXTENT = 0.1
"""Voxels of a template above this share of its maximum belong to the particle."""

SHIFT = 1
"""Voxels along every axis by which a template is shifted around a position."""

_BATCH = 32  # rotated templates at once


def discrimination(
    volume: Array, positions: Array, decoys: Array, template: Array, wedge: Range | None = None, **options: int
) -> float:
    """Separation of particles from decoys by template matching: the area under the ROC curve.

    The score of a position is the largest correlation with a template in a box around it, over rotations that cover
    all orientations evenly and shifts of up to one voxel. The area is the probability that a particle has a higher
    score than a decoy.

    Parameters
    ----------
    volume
        `(z, y, x)`, particles bright.
    positions, decoys
        `(n, 3)` and `(m, 3)`, `(z, y, x)` in voxels. Positions whose box is not inside the volume are left out.
    template, wedge, options
        As in `Matcher`. To search several volumes for one particle, make a `Matcher`.

    Returns
    -------
    area
        1 if every particle has a higher score than every decoy, one half by chance; NaN if no particle or no decoy is
        left.
    """
    return Matcher(template, wedge, **options).area(volume, positions, decoys)


class Matcher:
    """Templates of a particle in all orientations.

    Parameters
    ----------
    template
        `(k, k, k)` density of the particle, centred in its box, at the voxel size of the volumes.
    wedge
        Removed from every rotated template, as is usual for an unrestored tomogram; None to remove nothing.
    rotations
        Number of orientations.
    box
        Voxels along each axis of the boxes. The template counts within the sphere that contains it in every
        orientation, at most the largest that stays in the box when shifted.
    seed
        Seed of one random rotation that is applied to all orientations.

    Attributes
    ----------
    templates
        `(rotations, voxels)` of mean 0 and norm 1 within the sphere.
    sphere
        `(voxels,)` flat indices, in a box, of the sphere within which a template counts.
    box
        Voxels along each axis of the boxes in which particles are searched.
    """

    def __init__(
        self, template: Array, wedge: Range | None = None, *, rotations: int = 500, box: int = 48, seed: int = 0
    ) -> None:
        pattern = torch.from_numpy(np.ascontiguousarray(as_numpy(template), dtype=np.float32))
        radius = _radius(pattern, box)
        square = (torch.arange(box) - (box - 1) / 2) ** 2
        self.sphere = (square[:, None, None] + square[:, None] + square <= radius**2).flatten().nonzero()[:, 0]
        turns = torch.from_numpy(even_rotations(rotations, seed)).float()
        small = box - 2 * int((box - 1) / 2 - radius)
        drawn = (rotate(pattern.expand(len(t), -1, -1, -1), t, shape=(small,) * 3) for t in turns.split(_BATCH))
        cut = None if wedge is None else as_wedge(wedge)
        self.templates = torch.cat([_rows(some, cut, box, self.sphere) for some in drawn])
        self.box = box

    def area(self, volume: Array, positions: Array, decoys: Array) -> float:
        """Area under the ROC curve, see `discrimination`."""
        data = torch.from_numpy(np.ascontiguousarray(as_numpy(volume), dtype=np.float32))
        boxes = [whole_boxes(where, self.box, tuple(data.shape)) for where in (positions, decoys)]
        if min(map(len, boxes)) == 0:
            return float("nan")
        scores = [_best(data, _corners(w, self.box), self.templates, self.sphere, self.box) for w in boxes]
        return roc_area(*scores)


def whole_boxes(positions: Array, box: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """`(k, 3)` those of the positions `(n, 3)` whose box, `box` voxels along each axis, is inside the volume."""
    centres = np.asarray(as_numpy(positions), dtype=np.float64).reshape(-1, 3)
    corners = _corners(centres, box)
    return centres[((corners >= 0) & (corners + box <= shape)).all(1)]


def even_rotations(n: int, seed: int = 0) -> NDArray[np.float64]:
    """`(n, 3, 3)` proper rotations that cover all orientations evenly, after one random rotation of all of them.

    Super-Fibonacci spirals (Alexa 2022, CVPR, 8291).
    """
    s = np.arange(n) + 0.5
    a, b = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / 1.533751168755204288118041413
    inner, outer = np.sqrt(s / n), np.sqrt(1 - s / n)
    quaternions = np.stack([inner * np.sin(a), inner * np.cos(a), outer * np.sin(b), outer * np.cos(b)], 1)
    turn = Rotation.random(None, np.random.default_rng(seed))
    return np.asarray((turn * Rotation.from_quat(quaternions)).as_matrix())


def roc_area(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Probability that a positive exceeds a negative; ties count half (Mann and Whitney 1947)."""
    pairs = len(positives) * len(negatives)
    return float(mannwhitneyu(positives, negatives, method="asymptotic").statistic / pairs)


def _corners(positions: NDArray[np.float64], box: int) -> NDArray[np.int64]:
    """First voxels of the boxes around positions."""
    return np.rint(positions - (box - 1) / 2).astype(np.int64)


def _radius(pattern: Tensor, box: int) -> float:
    """Radius in voxels of the sphere within which a template counts."""
    size = pattern.abs()
    found = np.argwhere((size > EXTENT * size.max()).numpy()) - (np.array(pattern.shape) - 1) / 2
    if not len(found):
        raise ValueError("got a template of zeros, expected the density of a particle")
    return min(float(np.sqrt((found**2).sum(1).max())) + 1, (box - 1) / 2 - SHIFT)


def _rows(drawn: Tensor, wedge: Wedge | None, box: int, sphere: Tensor) -> Tensor:
    """`(n, voxels)` of mean 0 and norm 1 in the sphere, from `(n, k, k, k)`; the wedge is applied in the whole box."""
    padded = pad(drawn, [(box - drawn.shape[-1]) // 2] * 6)
    return _normalised((padded if wedge is None else wedge.apply(padded)).flatten(1)[:, sphere])


def _best(data: Tensor, corners: NDArray[np.int64], templates: Tensor, sphere: Tensor, box: int) -> NDArray[np.float64]:
    """`(boxes,)` largest correlation of each box with any template at any shift."""
    steps = torch.arange(-SHIFT, SHIFT + 1)
    moves = (steps[:, None, None] * box * box + steps[:, None] * box + steps).flatten()
    best = np.empty(len(corners))
    for i, (z, y, x) in enumerate(corners):
        here = data[z : z + box, y : y + box, x : x + box].flatten()
        moved = _normalised(torch.stack([here[sphere + move] for move in moves.tolist()]))
        best[i] = float((moved @ templates.T).max())
    return best


def _normalised(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(1, keepdim=True)
    normalised: Tensor = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-20)
    return normalised
