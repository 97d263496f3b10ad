"""A tilt series of any volume: projections, transfer function of the microscope, noise, image shifts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cryowae.config.scene import ImagingConfig, Noise
from cryowae.errors import ConfigError, TomogramError
from cryowae.imaging.exposure import read_numbers
from cryowae.imaging.microscope import Microscope, filter_image
from cryowae.io.mrc import is_stack, require_name, stem_of, write_mrc
from cryowae.io.outputs import check_output, write_text
from cryowae.io.tilts import write_tilts
from cryowae.progress import SILENT, Outcome, Progress
from cryowae.simulate.tomogram_slabs import project_tomogram
from cryowae.tomogram import open_tomogram
from cryowae.tomogram.statistics import sample_rows


@dataclass(frozen=True)
class TiltsResult(Outcome):
    """A simulated tilt series.

    Attributes
    ----------
    path, tilts
        The series `(tilts, y, x)` and its angles, both ascending.
    alignment
        IMOD's `.xf` that reverses the misalignment; None without misalignment.
    defocus
        Text with the defocus of each tilt in micrometres; None without CTF.
    shape
        `(tilts, y, x)`.
    voxel_size
        Angstrom.
    contrast
        Standard deviation of the noise-free images over all pixels and tilts, in the volume's unit times voxels.
    snr
        Variance of the noise-free images over that of the noise; infinite without noise.
    """

    path: Path
    tilts: Path
    alignment: Path | None
    defocus: Path | None
    shape: tuple[int, int, int]
    voxel_size: float
    contrast: float
    snr: float


def simulate_tilts(
    volume_path: str | Path,
    tilts_path: str | Path,
    output: str | Path | None = None,
    *,
    imaging: ImagingConfig,
    defocus: Sequence[float] | None = None,
    noise: Noise = "gaussian",
    misalignment: float = 0.0,
    seed: int = 1,
    voxel_size: float | None = None,
    axes: str = "zyx",
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> TiltsResult:
    """Make a tilt series of a volume.

    The median of the volume is used as the solvent level and subtracted. Contrast keeps its sign. The signal is
    projected, shifted, and multiplied by CTF, radiation damage and MTF. The noise is white, and none of them acts on
    it, as for the shot noise of a counting camera.

    Parameters
    ----------
    volume_path
        An MRC volume.
    tilts_path
        Angles, see `cryowae.io.tilts.read_tilts`.
    output
        The series, an MRC name; `NAME_simulated.st` beside the volume by default. The other files are named after it:
        `.tlt`, `.xf` if misaligned, `_defocus.txt` if there is a CTF.
    imaging
        The microscope; its `tilts` are not used.
    defocus
        Micrometres, positive under focus, one a tilt in ascending order of the angles; replaces that of `imaging`.
    noise
        `gaussian`: with the variance that `imaging.snr` gives. `poisson`: the images are counts of electrons, on
        average `imaging.dose` times the area of a pixel in the solvent, and `imaging.snr` sets the contrast of the
        specimen, so that the variance of the expected counts is `snr` times their mean. With `growth`, the noise of a
        tilt has `cos(t) ** -growth` times the variance (Gaussian), or a tilt gets `cos(t) ** growth` times the
        electrons (Poisson).
    misalignment
        Standard deviation in pixels, along x and y, of a random shift of each image.
    seed
        Seed of noise and misalignment.
    voxel_size, axes
        Voxel size and axes of the volume, in place of those of its header; see `cryowae.tomogram.open_tomogram`.
    overwrite
        Overwrite existing files.
    progress
        Receives the progress of every part that is projected.

    Raises
    ------
    TomogramError
        If the volume is a stack of images, or constant.
    TiltError
        If the angles cannot be used.
    ConfigError
        If the parameters are impossible.
    OutputError
        If a file exists or cannot be written.
    """
    started = time.monotonic()
    tomogram = open_tomogram(volume_path, tilts=tilts_path, voxel_size=voxel_size, axes=axes)
    angles, size = tomogram.tilts, tomogram.voxel_size
    assert angles is not None  # the angles were given
    listed_images = int(tomogram.header.record["ispg"]) == 0 and len(tomogram.data) == len(angles)
    if listed_images or is_stack(tomogram.path, tomogram.header):
        hint = "expected the volume to be projected: `cryowae reconstruct` makes a volume from a tilt series"
        raise TomogramError(f"{tomogram.path} is a stack of {len(tomogram.data)} images; {hint}")
    microscope = Microscope(imaging, angles, size, defocus)
    if not (math.isfinite(misalignment) and misalignment >= 0):
        raise ConfigError(f"got a misalignment of {misalignment:g} pixels; expected 0 or more")
    if noise == "poisson" and not (imaging.dose > 0 and imaging.snr > 0):
        got = f"dose {imaging.dose:g} and snr {imaging.snr:g}"
        raise ConfigError(f"Poisson noise needs electrons and contrast, got {got}; expected both above 0")
    microscope.require_possible()
    focus = microscope.defocus_values()
    path = Path(output) if output else tomogram.path.with_name(f"{stem_of(volume_path)}_simulated.st")
    require_name(path)
    tilts = path.with_suffix(".tlt")
    alignment = path.with_suffix(".xf") if misalignment > 0 else None
    listed = None if focus is None else path.with_name(f"{path.stem}_defocus.txt")
    for file in filter(None, (path, tilts, alignment, listed)):
        check_output(file, overwrite=overwrite, inputs=(tomogram.path, tilts_path))

    notes = list(tomogram.notes)
    generator = torch.Generator().manual_seed(seed)
    sample = sample_rows(tomogram.data, 2_000_000)
    level = float(np.median(sample))
    series = project_tomogram(tomogram, angles, level, progress)
    # whole thousandths of a pixel, as they are written
    shifts = np.round(np.random.default_rng(seed).normal(0, misalignment, (len(angles), 2)), 3)
    images = progress.track("microscope", series.unbind(), "tilts")
    transfers = microscope.transfers(tomogram.shape[1:], shifts.tolist() if alignment else None)
    for image, factor in zip_longest(images, transfers):
        if factor is not None:
            image.copy_(filter_image(image, factor))
    contrast = float(series.std())
    if not contrast > 0:
        raise TomogramError(f"{tomogram.path} has constant projections; expected a specimen: is the volume complete?")
    if abs(level) > 0.01 * float(np.std(sample, dtype=np.float64)):
        notes.append(f"{tomogram.path.name} has the median {level:.4g}, which is subtracted as solvent level")
    snr = imaging.snr if noise != "none" and imaging.snr > 0 else math.inf
    if noise == "poisson":
        electrons, cut = _count_electrons(series, microscope, contrast, generator)
        notes.append(f"counts: {electrons:.4g} electrons a pixel in the solvent")
        if cut:
            notes.append(f"{cut:.2%} of the pixels would have less than 0 electrons: lower --snr or raise --dose")
    elif math.isfinite(snr):
        for image, variance in zip(series, microscope.noise_variance(), strict=True):
            image += contrast / math.sqrt(snr) * variance.sqrt() * torch.randn(image.shape, generator=generator)

    write_mrc(path, series.numpy(), voxel_size=size, stack=True, overwrite=overwrite, label="simulated tilt series")
    write_tilts(tilts, angles)
    if focus is not None and listed is not None:
        write_text(listed, "".join(f"{value:.4f}\n" for value in focus))
    if alignment is not None:
        lines = [f"   1.0000000   0.0000000   0.0000000   1.0000000{-x:12.3f}{-y:12.3f}\n" for y, x in shifts]
        write_text(alignment, "".join(lines))
    shape, seconds = (len(angles), *tomogram.shape[1:]), time.monotonic() - started
    return TiltsResult(path, tilts, alignment, listed, shape, size, contrast, snr, notes=tuple(notes), seconds=seconds)


def read_defocus(path: str | Path) -> tuple[float, ...]:
    """Read one defocus per line, in micrometres, in ascending order of the tilts, as `simulate_tilts` writes them.

    Raises
    ------
    ConfigError
        If the file cannot be read, or has a line that is neither one number nor a comment that begins with `#`.
    """
    expected = "micrometres, or a file with one a tilt", "expected one number, micrometres"
    return tuple(value for (value,) in read_numbers(path, "defocus", lambda line: [line], expected))


def _count_electrons(series: Tensor, microscope: Microscope, std: float, rng: torch.Generator) -> tuple[float, float]:
    """Replace noise-free images of standard deviation `std` by counts of electrons, in place.

    The expected count is `N (1 + c s)` for a pixel of value `s`, where `N` is `dose` times the area of the pixel,
    and `c` such that the variance of the expected counts over all pixels and tilts is `snr` times that of the
    counts in the solvent, `N`. A tilt `t` gets `cos(t) ** growth` of the electrons, relative to the harmonic mean.

    Returns
    -------
    electrons, cut
        `N`, and the share of pixels whose expected count would have been negative and was set to 0.
    """
    electrons = microscope.imaging.dose * microscope.voxel_size**2
    gain, cut = math.sqrt(microscope.imaging.snr / electrons) / std, 0
    for image, variance in zip(series, microscope.noise_variance(), strict=True):
        expected = electrons / variance * (1 + gain * image)
        cut += int((expected < 0).sum())
        image.copy_(torch.poisson(expected.clamp(min=0), generator=rng))
    return electrons, cut / series.numel()
