"""A missing wedge for any volume: only the components that a tilt series measures, with the noise of a tilt series."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from cryowae.errors import ConfigError, TomogramError
from cryowae.fourier.grids import axis_slabs, frequency_grid
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import MrcWriter, require_name, stem_of
from cryowae.io.outputs import check_output
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.report import draw_wedge
from cryowae.simulate.tomogram_slabs import AxisAngle, project_tomogram, rotate_tomogram
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.statistics import sample_rows

SOFT_EDGE = 5.0
"""Degrees over which a soft edge falls."""

STEP = 3.0
"""Degrees between tilts if only their range is known: spectrum and strength of the noise depend on them."""

_BLOCK_VOXELS = 2**23  # of the padded volume that are transformed at a time


@dataclass(frozen=True)
class WedgeResult(Outcome):
    """A volume with a missing wedge.

    Attributes
    ----------
    path, mask, picture
        The files.
    turned
        The whole volume after its rotation, which is the ground truth; None if it was not rotated.
    rotation
        The rotation.
    wedge
        The components that were kept.
    measured_share
        Mean of the mask.
    sigma
        Standard deviation of the noise on the projections, in the volume's unit times voxels; 0 without noise.
    """

    path: Path
    mask: Path
    picture: Path
    turned: Path | None
    rotation: AxisAngle | None
    wedge: Wedge
    measured_share: float
    sigma: float


def wedge_of(tomogram: Tomogram, *, soft: bool = False) -> Wedge:
    """The wedge that belongs to the tilts of an opened volume.

    Where the single tilts are known, each measures a slab. Its thickness is one over the size of the object, which is
    the smaller extent of the volume across the tilt axis. Where only the extreme tilts are known, everything between
    them is measured. With `soft`, everything between the extreme tilts is measured, with edges of `SOFT_EDGE` degrees.
    """
    assert tomogram.wedge is not None
    if soft:
        return Wedge.soft(tomogram.wedge.tilt_min, tomogram.wedge.tilt_max, SOFT_EDGE)
    return tomogram.wedge if tomogram.tilts is None else Wedge.per_tilt(tomogram.tilts, 1 / min(tomogram.shape[::2]))


def simulate_wedge(
    source: Tomogram | str | Path,
    output: str | Path | None = None,
    *,
    wedge: Wedge,
    noise: float | None = None,
    rotate: int | None = None,
    seed: int = 1,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> WedgeResult:
    """Remove the missing wedge from a volume.

    The median of the volume is used as the solvent level. The volume is padded with it to twice its size across the
    tilt axis, transformed, and cut to its size again. So tails along z leave the box and do not come back at the
    opposite face, and the transform of the box alone is not exactly empty in the wedge, as for any real tomogram.

    Three more files are written beside the volume. `_mask` is the wedge on the volume's own grid, `(z, y, x)`, 1 where
    measured, *shifted* so that zero frequency is at voxel `n // 2` of each axis. A `.png` shows both spectra.
    `_turned` is the rotated volume, if there is a rotation.

    Parameters
    ----------
    source
        A volume, or its file; mapped, and processed a few rows at a time.
    output
        The file to write; `NAME_wedge.mrc` beside the volume if not given.
    wedge
        The measured region. A rotated wedge is refused: rotate the volume instead.
    noise
        Signal-to-noise ratio: variance of the noise-free projections over that of the white noise on them, over all
        pixels and tilts. The noise enters the volume as through a back-projection weighted by a ramp: it is empty in
        the wedge, and its power grows with the distance from the tilt axis. None for no noise.
    rotate
        Seed of a random rotation of the volume about its centre as the first step. Beyond the box is
        solvent. Needs the volume in memory. None for no rotation.
    seed
        Seed of the noise.
    overwrite
        Overwrite existing files.
    progress
        Receives the progress of every block of rows.

    Raises
    ------
    TomogramError
        If the volume cannot be read, is constant and noise is wanted, or does not fit into memory for a rotation.
    ConfigError
        If the noise is impossible.
    OutputError
        If a file exists or cannot be written.
    """
    started = time.monotonic()
    if wedge.is_rotated:
        raise ValueError("expected a wedge about the y axis: rotate the volume, not the wedge")
    if noise is not None and not (math.isfinite(noise) and noise > 0):
        raise ConfigError(f"got a signal-to-noise ratio of {noise:g}, expected more than 0: give for example 0.1")
    tomogram = source if isinstance(source, Tomogram) else open_tomogram(source, need_wedge=False)
    name, size = stem_of(tomogram.path), tomogram.voxel_size
    path = tomogram.path.with_name(f"{name}_wedge.mrc") if output is None else Path(output)
    require_name(path)
    mask, picture = path.with_name(f"{path.stem}_mask.mrc"), path.with_suffix(".png")
    rotation = None if rotate is None else AxisAngle.random(rotate)
    turned = None if rotation is None else path.with_name(f"{path.stem}_turned.mrc")
    for target in filter(None, (path, mask, picture, turned)):
        check_output(target, overwrite=overwrite, inputs=(tomogram.path,))
    level = float(np.median(sample_rows(tomogram.data, 2_000_000)))
    label = _label(wedge, noise, rotation)
    writer = partial(MrcWriter, shape=tomogram.shape, voxel_size=size, like=tomogram.header, overwrite=overwrite)
    specimen, sigma = tomogram, 0.0
    with ExitStack() as files:
        if rotation is not None and turned is not None:
            rotated = files.enter_context(writer(turned, axes=tomogram.axes, label=str(rotation))).data
            rotate_tomogram(tomogram, rotation, level, rotated, progress)
            specimen = replace(tomogram, data=rotated)
        if noise is not None:
            contrast = float(project_tomogram(specimen, _tilts(wedge), level, progress).std())
            if not contrast > 0:
                raise TomogramError(f"{specimen.path} has constant projections; expected a volume with a specimen")
            sigma = contrast / math.sqrt(noise)
        result = files.enter_context(writer(path, axes=tomogram.axes, label=label)).data
        _filter(specimen, wedge, level, sigma, seed, result, progress)
        # always zyx: a reversed axis of the file would move zero frequency
        masked = files.enter_context(writer(mask, axes="zyx", label=f"mask, k = 0 at n // 2, {_label(wedge)}")).data
        share = _fill_mask(wedge, masked)
        tilts = (wedge.tilt_min, wedge.tilt_max)
        draw_wedge(picture, specimen.data, result, tilts, voxel_size=size, title=name, note=label)
    notes, seconds = tomogram.notes, time.monotonic() - started
    return WedgeResult(path, mask, picture, turned, rotation, wedge, share, sigma, notes=notes, seconds=seconds)


def _filter(
    specimen: Tomogram, wedge: Wedge, level: float, sigma: float, seed: int, out: NDArray[Any], progress: Progress
) -> None:
    """Write the measured part of a volume and of the noise, a few rows at a time."""
    z, y, x = specimen.shape
    padded = (next_fast_len(2 * z), next_fast_len(2 * x))
    mask = wedge.mask_plane(padded)[:, None]
    amplitude = sigma * _noise_amplitude(wedge, padded)[:, None]
    generator = torch.Generator().manual_seed(seed)
    for rows in progress.track("wedge", axis_slabs(y, _BLOCK_VOXELS // (padded[0] * padded[1])), "blocks"):
        block = torch.from_numpy(specimen.read(slice(None), rows, slice(None))) - level
        spectrum = torch.fft.rfftn(block, s=padded, dim=(0, 2))
        if sigma > 0:
            white = torch.randn(padded[0], block.shape[1], padded[1], generator=generator)
            spectrum += torch.fft.rfftn(white, dim=(0, 2)) * amplitude
        spectrum *= mask
        out[:, rows] = torch.fft.irfftn(spectrum, s=padded, dim=(0, 2))[:z, :, :x].numpy() + level


def _tilts(wedge: Wedge) -> tuple[float, ...]:
    """The tilts of a wedge in degrees; about every `STEP` degrees where only their range is known."""
    count = max(2, round((wedge.tilt_max - wedge.tilt_min) / STEP) + 1)
    return wedge.angles or tuple(float(t) for t in np.linspace(wedge.tilt_min, wedge.tilt_max, count))


def _noise_amplitude(wedge: Wedge, shape: tuple[int, int]) -> Tensor:
    """`(z, x // 2 + 1)`: amplitude of back-projected white noise of unit deviation in a `(z, x)` plane, unmasked.

    A ramp-weighted back-projection puts `span^2 k^2` of a tilt's unit noise power on its plane, where `span` is the
    angle in radians that the tilt represents and `k` the distance from the tilt axis. Planes lie `span k` apart. Hence
    the power is `span k` where they overlap, and `span^2 k^2 / d` in single slabs of thickness `d`. It is 0 beyond 0.5
    cycles per voxel, which no projection contains.
    """
    tilts = _tilts(wedge)
    span = math.radians(tilts[-1] - tilts[0]) / (len(tilts) - 1)
    kz, _, kx = frequency_grid((shape[0], 1, shape[1]))
    k = (kz * kz + kx * kx).sqrt()[:, 0]
    power = span * k
    if wedge.angles:
        power = power * (span * k / wedge.thickness).clamp(min=1)
    return torch.where(k <= 0.5, power, 0).sqrt()


def _fill_mask(wedge: Wedge, out: NDArray[Any]) -> float:
    """Write the mask at every ky, shifted; returns its mean."""
    z, _, x = out.shape
    half = wedge.mask_plane((z, x))
    opposite = half[:, 1 : (x + 1) // 2].flip(0, 1).roll(1, 0)  # a component at -k is the conjugate of that at k
    plane = torch.fft.fftshift(torch.cat([half, opposite], 1))
    out[:] = plane.numpy()[:, None]
    return float(plane.mean())


def _label(wedge: Wedge, noise: float | None = None, rotation: AxisAngle | None = None) -> str:
    added = f"SNR {noise:.3g}" if noise is not None else "", str(rotation or "")
    return " ".join([f"wedge {wedge.tilt_min:+.4g}:{wedge.tilt_max:+.4g}", *filter(None, added)])
