"""The core: `restore_array` restores an array. It does not use files, headers or pictures.

It works window by window, so that the memory it needs does not grow with the volume. All other functions that restore
(the command line, napari, the benchmark, the demonstration) calls it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cryowae.config.options import Consistency, Contrast, RestoreOptions
from cryowae.fourier.wedge import Wedge
from cryowae.io.memory import scratch_array
from cryowae.models.draws import Draw
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Progress
from cryowae.restore.consistency import mix_measured, weights_from_halves, weights_from_noise
from cryowae.restore.network import Model, WindowNetwork
from cryowae.restore.tiling import apply_tiled
from cryowae.restore.windows import Tiling
from cryowae.tomogram.content import content_of, middle_of
from cryowae.tomogram.contrast import estimate_contrast
from cryowae.tomogram.masks import mask_of
from cryowae.tomogram.standardised import Standardised
from cryowae.tomogram.statistics import OUTLIER
from cryowae.tomogram.volumes import Region, Volume, slabs


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored array.

    Attributes
    ----------
    data
        `(z, y, x)`, on the scale of the input: the array `out`, or a new float32 array.
    contrast
        Contrast of the protein in input and result.
    notes
        Messages for the user, one line each.
    network_voxels_per_voxel
        Voxels that went through the network, per voxel of the volume, over all passes.
    """

    data: Any
    contrast: Literal["dark", "bright"]
    notes: tuple[str, ...]
    network_voxels_per_voxel: float


def restore_array(
    volume: Volume,
    *,
    wedge: Wedge,
    voxel_size: float,
    model: Model | str | Path = "default",
    options: RestoreOptions | None = None,
    draw: Draw | None = None,
    contrast: Contrast = "auto",
    halves: tuple[Volume, Volume] | None = None,
    mask: Volume | None = None,
    region: Region | None = None,
    out: Any = None,
    scratch: Path | None = None,
    name: str = "the volume",
    progress: Progress = SILENT,
) -> Restored:
    """Denoise a volume and fill its missing wedge.

    The result has the mean, the scale and the sign of the input.

    Parameters
    ----------
    volume
        `(z, y, x)`: an object that slices like an array. It is read block by block. Padding decides nothing and comes
        back as it was.
    wedge
        The measured region.
    voxel_size
        Angstrom.
    model
        Weights by name or path, or what `load_model` returns.
    options
        Passes, consistency, wedge, device, windows. Those about files have no effect here.
    draw
        Which sample of the random codes; by default, the codes are their means.
    contrast
        Is protein dark or bright? `auto` decides from the grey values, see `estimate_contrast`.
    halves
        Two independent halves, `(z, y, x)` each, whose mean is `volume`: `--consistency soft` takes its weights from
        their correlation.
    mask
        `(z, y, x)` values from 0 to 1, or two values: restored where it is 1, input where it is 0. See
        `InclusionMask`.
    region
        Restore only this part. Scale and contrast are those of the whole, and the network uses the same margin around
        the part as in the whole. Consistency, an empty wedge and the mean use only the part and its margin, so that
        they differ a little from the whole.
    out
        `(z, y, x)` array that is written slab by slab; a new array in memory if not given. A float32 array also holds
        the sums while the windows are processed; any other type needs a scratch file of 4 bytes a voxel.
    scratch
        Folder for scratch files; the system's folder for temporary files if not given.
    name
        Name of the volume in error messages.
    progress
        Receives the progress of every window.

    Raises
    ------
    TomogramError
        If the volume is constant or not finite, its contrast is not clear, the mask is none, its voxel size
        is too far from those of the training, or even the smallest window does not fit into the memory.
    CheckpointError, ConfigError
        If the weights or the options cannot be used; weights without random codes have no samples.
    OutputError
        If there is no room for a scratch file.
    """
    options = options or RestoreOptions()
    network = load_model(model, options.device, random=draw is not None) if isinstance(model, str | Path) else model
    content, inclusion = content_of(volume, name), None if mask is None else mask_of(mask)
    protein = estimate_contrast(content, voxel_size).require(name) if contrast == "auto" else contrast
    whole = Standardised(content, 1 if protein == "bright" else -1)
    sample = torch.from_numpy(whole[middle_of(content.box, 96)])
    windows = WindowNetwork(network, voxel_size, sample, options.turns, progress, draw)
    tiling = replace(windows.tiling(whole.shape), window=options.window, overlap=options.overlap)
    part = region or whole.region
    seen = whole.part(_around(part, whole.shape, tiling))
    inner = tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, seen.region, strict=True))
    result = np.empty(tuple(p.stop - p.start for p in part), np.float32) if out is None else out
    windows.origin = (seen.region[0].start, seen.region[1].start, seen.region[2].start)
    with _sums(result, seen.shape, scratch) as total:
        plan = apply_tiled(windows, seen, total, tiling, device=network.device, progress=progress)
        weights = _weights(whole, halves, wedge, options.consistency)
        fill = options.wedge == "fill"
        mix_measured(total, seen, wedge, weights, fill=fill, scratch_folder=scratch, progress=progress)
        offset = np.float32(0) if options.consistency == "hard" else _mean_offset(total, seen)
        cut, source = total[inner], whole.part(part)
        for slab in slabs(result.shape):
            block = whole.undo(cut[slab] + offset)
            before, known = source.read(slab)
            if inclusion is not None:
                inside = inclusion[_within(part, slab)]
                block = inside * block + (1 - inside) * before
            block = np.where(known, block, before)  # padding comes back as it was
            with np.errstate(over="ignore"):  # values beyond the range of `out` become infinite: its owner checks
                result[slab] = block
    notes = windows.notes if inclusion is None or not inclusion.note else (*windows.notes, inclusion.note)
    return Restored(result, protein, notes, plan.network_voxels_per_voxel * windows.turns)


def change_consistency(
    restored: NDArray[np.float32],
    volume: Volume,
    consistency: Consistency,
    *,
    wedge: Wedge,
    contrast: Literal["dark", "bright"],
    halves: tuple[Volume, Volume] | None = None,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Another `--consistency` for a volume that was restored with `off`, without a further pass of the network.

    Parameters
    ----------
    restored
        `(z, y, x)`, what `restore_array` made of the whole volume without a mask; unchanged.
    volume, wedge, halves
        As for `restore_array`.
    consistency
        Measured components of the result.
    contrast
        That of the restored volume.

    Returns
    -------
    changed
        `(z, y, x)`, what `restore_array` would have made of it.
    """
    if consistency == "off":
        return restored
    whole = Standardised(content_of(volume), 1 if contrast == "bright" else -1)
    before, known = whole.read(slice(None))
    total = np.where(known, (restored - whole.mean) / whole.scale, np.float32(0))
    mix_measured(total, whole, wedge, _weights(whole, halves, wedge, consistency), progress=progress)
    changed = whole.undo(total if consistency == "hard" else total + _mean_offset(total, whole))
    return np.where(known, changed, before)


def _within(part: Region, slab: slice) -> Region:
    """A slab of a region, in the whole volume."""
    return slice(part[0].start + slab.start, part[0].start + slab.stop), part[1], part[2]


def _around(part: Region, shape: tuple[int, ...], tiling: Tiling) -> Region:
    """A region with its margin, starting at a multiple of the stride: windows start as in the whole volume."""
    z, y, x = (
        slice(max(0, p.start - tiling.margin) // tiling.stride * tiling.stride, min(n, p.stop + tiling.margin))
        for p, n in zip(part, shape, strict=True)
    )
    return z, y, x


def _sums(result: Any, shape: tuple[int, ...], folder: Path | None) -> AbstractContextManager[NDArray[np.float32]]:
    """The array in which windows are summed: the result itself, unless its type, precision or shape do not allow it."""
    if isinstance(result, np.ndarray) and result.dtype == np.float32 and result.shape == shape:
        return nullcontext(result)
    return scratch_array(shape, np.float32, folder, max_bytes=2**28)


def _weights(
    whole: Standardised, halves: tuple[Volume, Volume] | None, wedge: Wedge, consistency: str
) -> float | NDArray[np.float64]:
    """Weight of the observation among the measured components: 0, 1, or one per shell if `consistency` is `soft`."""
    if consistency != "soft":
        return 1.0 if consistency == "hard" else 0.0
    if halves is not None:
        place = middle_of(whole.content.box, 192)
        return weights_from_halves(content_of(halves[0])[place], content_of(halves[1])[place], wedge)
    return weights_from_noise(whole[middle_of(whole.content.box, 192)], wedge)


def _mean_offset(restored: NDArray[np.float32], seen: Standardised) -> np.float32:
    """Offset that gives the restored volume the mean of the input, without beads and padding.

    The network gives solvent the value 0; the mean of a tomogram, its measured component at frequency 0, is above it.
    """
    lack, count = 0.0, 0
    for slab in slabs(restored.shape):
        block, known = seen[slab], seen.read(slab)[1]
        inside = known & (np.abs(block) <= OUTLIER)
        lack += float(np.where(inside, block - restored[slab], 0).sum(dtype=np.float64))
        count += int(inside.sum())
    return np.float32(lack / max(count, 1))
