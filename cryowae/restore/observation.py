"""What a restoration asks of its input: halves, scale, mean, and how far its measured components are to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cryowae.consistency import weights_from_halves, weights_from_noise
from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import in_zyx, read_mrc
from cryowae.models.weights import CLIP
from cryowae.restore.volumes import MeanOf, Standardised, central_block, slabs
from cryowae.tiling import Volume
from cryowae.tomogram import Tomogram
from cryowae.tomogram.statistics import robust_statistics, sample_rows

_SAMPLE = 2_000_000


def open_beside(path: str | Path, tomogram: Tomogram) -> NDArray[Any]:
    """A volume that must have the shape of the tomogram; raises `TomogramError` if it has another."""
    data = in_zyx(read_mrc(path, voxel_size=tomogram.voxel_size).data, tomogram.axes)
    if data.shape != tomogram.data.shape:
        got, expected = (" x ".join(map(str, shape)) for shape in (data.shape, tomogram.data.shape))
        raise TomogramError(
            f"{path} has {got} voxels (z, y, x), expected {expected} as in {tomogram.path}: are they of one tomogram?"
        )
    return data


def standardised(volume: Volume, contrast: str, where: str) -> Standardised:
    """A volume in units of its robust standard deviation, protein bright; `where` is what errors call it."""
    if isinstance(volume, MeanOf):
        first, second = (
            sample_rows(cast(NDArray[Any], half), _SAMPLE).astype(np.float32) for half in (volume.first, volume.second)
        )
        sample = (first + second) / 2
    else:
        sample = cast(NDArray[Any], volume)
    statistics = robust_statistics(sample, voxels=_SAMPLE, where=where)
    return Standardised(volume, statistics.mean, statistics.sigma, 1 if contrast == "bright" else -1)


def mean_offset(restored: NDArray[Any], scaled: Volume) -> np.float32:
    """What the restored volume lacks to have the mean of the input; beads and padding, which networks see cut, aside.

    Networks answer with solvent at 0, and the mean of a tomogram, its measured component at frequency 0, is above it.
    """
    lack, count = 0.0, 0
    for part in slabs(restored.shape):
        seen = scaled[part]
        inside = np.abs(seen) <= CLIP
        lack += float(np.where(inside, seen - restored[part], 0).sum(dtype=np.float64))
        count += int(inside.sum())
    return np.float32(lack / max(count, 1))


def weights_of(
    scaled: Standardised, halves: tuple[NDArray[Any], NDArray[Any]] | None, wedge: Wedge, consistency: str
) -> float | NDArray[np.float64]:
    """Weight of the observation among the measured components: 0, 1, or one a shell where `consistency` is `soft`."""
    if consistency != "soft":
        return 1.0 if consistency == "hard" else 0.0
    if halves is not None:
        return weights_from_halves(central_block(halves[0]), central_block(halves[1]), wedge)
    return weights_from_noise(central_block(scaled), wedge)
