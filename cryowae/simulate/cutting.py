"""The wedge cut out of any volume: what a tilt series would have measured of it, with the noise that it would have."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from cryowae.errors import ConfigError, TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.io.mrc import MrcWriter, require_name, stem_of
from cryowae.io.outputs import check_output
from cryowae.progress import SILENT, Progress
from cryowae.report import draw_wedge
from cryowae.simulate.exposing import project_tomogram
from cryowae.simulate.noise import noise_amplitude, tilts_of
from cryowae.simulate.turning import Turn, turn
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.statistics import sample_rows

SOFT_EDGE = 5.0
"""Degrees over which a soft edge falls."""

_BLOCK_VOXELS = 2**23  # of the padded volume that are transformed at a time


@dataclass(frozen=True)
class WedgeResult:
    """What was cut.

    Attributes
    ----------
    path, mask, picture
        The files.
    turned
        The whole volume after its rotation, which is the ground truth; None if it was not turned.
    turn
        The rotation.
    wedge
        What was kept.
    measured_share
        Mean of the mask.
    sigma
        Standard deviation of the noise on the projections, in the volume's unit times voxels; 0 without noise.
    notes
        What the user should know, one line each.
    seconds
        Time that it took.
    """

    path: Path
    mask: Path
    picture: Path
    turned: Path | None
    turn: Turn | None
    wedge: Wedge
    measured_share: float
    sigma: float
    notes: tuple[str, ...]
    seconds: float


def wedge_of(tomogram: Tomogram, *, soft: bool = False) -> Wedge:
    """The wedge that an opened volume's tilts make.

    A fan of single tilts where they are known: slabs of one over the size of the object, the lesser of its extents
    across the tilt axis. Everything between the extreme tilts where only these are known. With `soft`, everything
    between the extreme tilts, falling over `SOFT_EDGE` degrees.
    """
    assert tomogram.wedge is not None
    if soft:
        return Wedge.soft(tomogram.wedge.tilt_min, tomogram.wedge.tilt_max, SOFT_EDGE)
    if tomogram.tilts is None:
        return tomogram.wedge
    return Wedge.per_tilt(tomogram.tilts, 1 / min(tomogram.shape[0], tomogram.shape[2]))


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
    """Cut the wedge out of a volume.

    The volume lies in solvent, its median, and is padded with it to twice its size across the tilt axis before it is
    transformed; what comes back is cut to its size again. So tails along z run out of the box instead of coming back
    at its other face, and the transform of the box alone is not exactly empty in the wedge, as that of no tomogram is.

    Beside the volume lie `_mask`, the wedge on the volume's own grid, `(z, y, x)`, 1 where measured, *shifted* so that
    zero frequency is at voxel `n // 2` of each axis; a `.png` with both spectra; and, if it was turned, `_turned`.

    Parameters
    ----------
    source
        A volume, or its file; mapped, and worked on a few rows at a time.
    output
        The file to write; `NAME_wedge.mrc` beside the volume if not given.
    wedge
        What is measured; not a rotated one: turn the volume instead.
    noise
        Signal-to-noise ratio: variance of the noise-free projections over that of the white noise on them, over all
        pixels and tilts. The noise gets into the volume as through a back-projection weighted by a ramp: nothing in
        the wedge, its power growing with the distance from the tilt axis. None for none.
    rotate
        Seed of a random rotation of the volume before anything else, about its centre; what comes from beyond the box
        is solvent. Needs the volume in memory. None to leave it as it is.
    seed
        Of the noise.
    overwrite
        Replace existing files.
    progress
        Told of every row.

    Raises
    ------
    TomogramError
        If the volume cannot be read, shows nothing that noise could be in proportion to, or does not fit into memory
        where it must.
    ConfigError
        If the noise is impossible.
    OutputError
        If a file exists or cannot be written.
    """
    started = time.monotonic()
    if wedge.is_rotated:
        raise ValueError("expected a wedge about the y axis: turn the volume, not the wedge")
    if noise is not None and not (math.isfinite(noise) and noise > 0):
        raise ConfigError(f"got a signal-to-noise ratio of {noise:g}, expected more than 0: give for example 0.1")
    tomogram = source if isinstance(source, Tomogram) else open_tomogram(source, need_wedge=False)
    path = tomogram.path.with_name(f"{stem_of(tomogram.path)}_wedge.mrc") if output is None else Path(output)
    mask, turned, picture = _files(path, tomogram.path, rotate is not None, overwrite)
    level = float(np.median(sample_rows(tomogram.data, 2_000_000)))
    turning = None if rotate is None else Turn.random(rotate)
    label = _label(wedge, noise, turning)
    sigma = 0.0
    with ExitStack() as files:

        def write(target: Path, text: str, axes: str = tomogram.axes) -> NDArray[Any]:
            writer = MrcWriter(
                target,
                tomogram.shape,
                voxel_size=tomogram.voxel_size,
                like=tomogram.header,
                overwrite=overwrite,
                axes=axes,
                label=text,
            )
            return files.enter_context(writer).data

        specimen = tomogram
        if turning is not None and turned is not None:
            specimen = replace(tomogram, data=write(turned, str(turning)))
            turn(tomogram, turning, level, specimen.data, progress)
        if noise is not None:
            sigma = _contrast(specimen, wedge, level, progress) / math.sqrt(noise)
        result = write(path, label)
        _cut(specimen, wedge, level, sigma, seed, result, progress)
        # not as the file's axes are: a reversed axis would move zero frequency
        share = _fill_mask(wedge, write(mask, f"mask, k = 0 at n // 2, {_label(wedge)}", axes="zyx"))
        draw_wedge(
            picture,
            specimen.data,
            result,
            (wedge.tilt_min, wedge.tilt_max),
            voxel_size=tomogram.voxel_size,
            title=stem_of(tomogram.path),
            note=label,
        )
    seconds = time.monotonic() - started
    return WedgeResult(path, mask, picture, turned, turning, wedge, share, sigma, tomogram.notes, seconds)


def _cut(
    specimen: Tomogram, wedge: Wedge, level: float, sigma: float, seed: int, out: NDArray[Any], progress: Progress
) -> None:
    z, y, x = specimen.shape
    padded = (next_fast_len(2 * z), next_fast_len(2 * x))
    mask = wedge.mask_plane(padded)[:, None]
    amplitude = sigma * noise_amplitude(wedge, padded)[:, None]
    generator = torch.Generator().manual_seed(seed)
    step = max(1, _BLOCK_VOXELS // (padded[0] * padded[1]))
    progress.begin("wedge", y, "rows")
    for start in range(0, y, step):
        rows = slice(start, min(start + step, y))
        block = torch.from_numpy(specimen.read(slice(None), rows, slice(None))) - level
        spectrum = torch.fft.rfftn(block, s=padded, dim=(0, 2))
        if sigma > 0:
            white = torch.randn(padded[0], block.shape[1], padded[1], generator=generator)
            spectrum += torch.fft.rfftn(white, dim=(0, 2)) * amplitude
        spectrum *= mask
        out[:, rows] = torch.fft.irfftn(spectrum, s=padded, dim=(0, 2))[:z, :, :x].numpy() + level
        progress.advance(block.shape[1])
    progress.end()


def _contrast(specimen: Tomogram, wedge: Wedge, level: float, progress: Progress) -> float:
    contrast = float(project_tomogram(specimen, tilts_of(wedge), level, progress).std())
    if not contrast > 0:
        raise TomogramError(
            f"{specimen.path} has constant projections, to which no noise can be in proportion; expected a specimen"
        )
    return contrast


def _fill_mask(wedge: Wedge, out: NDArray[Any]) -> float:
    """Write the mask at every ky, shifted; its mean."""
    z, _, x = out.shape
    half = wedge.mask_plane((z, x))
    opposite = half[:, 1 : (x + 1) // 2].flip(0, 1).roll(1, 0)  # a component at -k is the conjugate of that at k
    plane = torch.fft.fftshift(torch.cat([half, opposite], 1))
    out[:] = plane.numpy()[:, None]
    return float(plane.mean())


def _label(wedge: Wedge, noise: float | None = None, turning: Turn | None = None) -> str:
    parts = [f"wedge {wedge.tilt_min:+.4g}:{wedge.tilt_max:+.4g}"]
    parts += [f"SNR {noise:.3g}"] if noise is not None else []
    parts += [str(turning)] if turning is not None else []
    return " ".join(parts)


def _files(path: Path, source: Path, turned: bool, overwrite: bool) -> tuple[Path, Path | None, Path]:
    require_name(path)
    mask, whole = (path.with_name(f"{path.stem}_{name}.mrc") for name in ("mask", "turned"))
    picture = path.with_suffix(".png")
    for target in (path, mask, picture, *([whole] if turned else [])):
        check_output(target, overwrite=overwrite, inputs=(source,))
    return mask, whole if turned else None, picture
