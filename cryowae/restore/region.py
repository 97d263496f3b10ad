"""A part of a tomogram restored as the whole would be, without restoring the whole: what a preview shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.consistency import mix_measured
from cryowae.errors import ConfigError, TiltError
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Progress
from cryowae.restore.network import Model, WindowNetwork
from cryowae.restore.observation import mean_offset, open_beside, standardised, weights_of
from cryowae.restore.options import RestoreOptions
from cryowae.restore.volumes import MeanOf, central_block
from cryowae.tiling import Volume, apply_tiled
from cryowae.tomogram import Tomogram
from cryowae.tomogram.estimate import estimate_contrast

Region = tuple[slice, slice, slice]


def restore_region(
    tomogram: Tomogram,
    region: Region,
    *,
    half1: str | Path | None = None,
    half2: str | Path | None = None,
    model: Model | str | Path = "default",
    options: RestoreOptions | None = None,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Restore a part of a tomogram, in memory.

    Scale and contrast are those of the whole, and the network sees the margin around the part that it sees in the
    whole. What needs all of the volume's Fourier space is done with the part and its margin alone and is therefore not
    quite the same: consistency other than `off`, an empty wedge, and the mean.

    Parameters
    ----------
    tomogram
        With its wedge.
    region
        Of `(z, y, x)`, with starts and stops inside the volume.
    half1, half2, model, progress
        As in `restore_tomogram`.
    options
        Those that are about files, the mask and the picture do not matter here.

    Returns
    -------
    restored
        float32, of the shape of the region, with the scale and sign of the input.

    Raises
    ------
    TomogramError, TiltError, CheckpointError, ConfigError
        As `restore_tomogram` does.
    """
    options = options or RestoreOptions()
    if tomogram.wedge is None:
        raise TiltError(f"the tilt range of {tomogram.path} is not known: expected a tomogram opened with its tilts")
    if (half1 is None) != (half2 is None):
        raise ConfigError("got one half, expected both: give --half1 and --half2")
    halves = None
    volume: Volume = tomogram.data
    if half1 is not None and half2 is not None:
        halves = open_beside(half1, tomogram), open_beside(half2, tomogram)
        volume = MeanOf(*halves)
    contrast: str = options.contrast
    if contrast == "auto":
        contrast = estimate_contrast(tomogram.data if halves is None else halves[0], tomogram.voxel_size)
    scaled = standardised(volume, contrast, str(tomogram.path))
    network = load_model(model, options.device) if isinstance(model, str | Path) else model
    sample = torch.from_numpy(central_block(scaled, 96))
    windows = WindowNetwork(network, tomogram.voxel_size, sample, options.turns)
    margin = windows.margin(tomogram.shape)
    around = tuple(
        # windows start at multiples of the stride, as they do in the whole
        slice(max(0, part.start - margin) // windows.stride * windows.stride, min(n, part.stop + margin))
        for part, n in zip(region, tomogram.shape, strict=True)
    )
    block = np.asarray(scaled[around], dtype=np.float32)
    restored = np.empty_like(block)
    apply_tiled(
        windows,
        block,
        restored,
        device=network.device,
        stride=windows.stride,
        margin=margin,
        max_voxels=windows.max_voxels(),
        window=options.window,
        overlap=options.overlap,
        progress=progress,
    )
    weights = weights_of(scaled, halves, tomogram.wedge, options.consistency)
    mix_measured(restored, block, tomogram.wedge, weights, fill=options.wedge == "fill", progress=progress)
    offset = np.float32(0) if options.consistency == "hard" else mean_offset(restored, block)
    inner = tuple(slice(p.start - a.start, p.stop - a.start) for p, a in zip(region, around, strict=True))
    return scaled.undo(restored[inner] + offset)
