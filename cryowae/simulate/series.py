"""A tilt series of any volume: projections, what the microscope makes of them, noise, a stage that drifts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cryowae.config.scene import ImagingConfig
from cryowae.errors import ConfigError, TomogramError
from cryowae.imaging.microscope import tilt_transfers
from cryowae.io.mrc import is_stack, require_name, stem_of, write_mrc
from cryowae.io.space import check_output
from cryowae.io.text import write_text
from cryowae.io.tilts import write_tilts
from cryowae.progress import SILENT, Progress
from cryowae.simulate.exposing import add_noise, count_electrons, expose, project_tomogram
from cryowae.tomogram import Tomogram, open_tomogram
from cryowae.tomogram.statistics import sample_rows

Noise = Literal["gaussian", "poisson", "none"]


@dataclass(frozen=True)
class TiltsResult:
    """A simulated tilt series.

    Attributes
    ----------
    path, tilts
        The series `(tilts, y, x)` and its angles, both ascending.
    alignment
        IMOD's `.xf` that undoes the misalignment; None if there is none.
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
    notes
        What the user should know, one line each.
    seconds
        Time that it took.
    """

    path: Path
    tilts: Path
    alignment: Path | None
    defocus: Path | None
    shape: tuple[int, int, int]
    voxel_size: float
    contrast: float
    snr: float
    notes: tuple[str, ...]
    seconds: float


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

    The volume's median is taken for the solvent and subtracted. What is bright in it stays bright. The signal is
    projected, shifted, and multiplied by CTF, radiation damage and MTF; the noise is white and untouched by them, as
    the shot noise of a counting camera.

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
        The microscope; its `tilts` are not looked at.
    defocus
        Micrometres, positive under focus, one a tilt in ascending order of the angles; replaces that of `imaging`.
    noise
        `gaussian`: of the variance that `imaging.snr` says. `poisson`: the images are counts of electrons, on average
        `imaging.dose` times the pixel's area in the solvent, and `imaging.snr` sets the specimen's contrast, so that
        the variance of the expected counts is `snr` times their mean. With `growth`, the noise of a tilt has
        `cos(t) ** -growth` times the variance (Gaussian), or `cos(t) ** growth` times the electrons get through.
    misalignment
        Standard deviation in pixels, along x and y, of a random shift of each image.
    seed
        Of noise and misalignment.
    voxel_size, axes
        Of the volume, instead of what its header says; see `cryowae.tomogram.open_tomogram`.
    overwrite
        Replace existing files.
    progress
        Told of every part that is projected.

    Raises
    ------
    TomogramError
        If the volume cannot be used: it is a stack of images, or constant.
    TiltError
        If the angles cannot be used.
    ConfigError
        If the parameters are impossible.
    OutputError
        If a file exists or cannot be written.
    """
    started = time.monotonic()
    tomogram = open_tomogram(volume_path, tilts=tilts_path, voxel_size=voxel_size, axes=axes)
    angles = tomogram.tilts
    assert angles is not None  # they were given
    _require_volume(tomogram, len(angles))
    _require_possible(imaging, noise, misalignment)
    if defocus is None and imaging.defocus is not None:
        defocus = (imaging.defocus,) * len(angles)
    series_path = Path(output) if output else tomogram.path.with_name(f"{stem_of(volume_path)}_simulated.st")
    files = _files(series_path, defocus is not None, misalignment > 0)
    for path in files.values():
        check_output(path, overwrite=overwrite, inputs=(tomogram.path, tilts_path))

    # impossible parameters are told before the work
    next(tilt_transfers(imaging, angles, (2, 2), tomogram.voxel_size, defocus=defocus), None)

    notes = list(tomogram.notes)
    generator = torch.Generator().manual_seed(seed)
    sample = sample_rows(tomogram.data, 2_000_000)
    level = float(np.median(sample))
    series = project_tomogram(tomogram, angles, level, progress)
    # whole thousandths of a pixel, as they are written
    shifts = np.round(np.random.default_rng(seed).normal(0, misalignment, (len(angles), 2)), 3)
    expose(series, imaging, angles, tomogram.voxel_size, defocus, shifts if misalignment else None, progress)
    contrast = float(series.std())
    if not contrast > 0:
        raise TomogramError(f"{tomogram.path} has constant projections; expected a specimen: is the volume complete?")
    if abs(level) > 0.01 * float(np.std(sample, dtype=np.float64)):
        notes.append(f"{tomogram.path.name} has the median {level:.4g}, which is taken for solvent and subtracted")
    snr = imaging.snr if noise != "none" and imaging.snr > 0 else math.inf
    if noise == "poisson":
        electrons, cut = count_electrons(series, imaging, angles, tomogram.voxel_size, generator)
        notes.append(f"counts: {electrons:.4g} electrons a pixel in the solvent")
        if cut:
            notes.append(f"{cut:.2%} of the pixels would have less than 0 electrons: lower --snr or raise --dose")
    elif math.isfinite(snr):
        add_noise(series, imaging, angles, generator)

    write_mrc(
        series_path,
        series.numpy(),
        voxel_size=tomogram.voxel_size,
        stack=True,
        overwrite=overwrite,
        label="simulated tilt series",
    )
    write_tilts(files["tlt"], angles)
    if defocus is not None:
        write_text(files["defocus"], "".join(f"{value:.4f}\n" for value in defocus))
    if misalignment > 0:
        lines = [f"   1.0000000   0.0000000   0.0000000   1.0000000{-x:12.3f}{-y:12.3f}\n" for y, x in shifts]
        write_text(files["xf"], "".join(lines))
    tilts, rows, width = series.shape
    return TiltsResult(
        path=series_path,
        tilts=files["tlt"],
        alignment=files.get("xf"),
        defocus=files.get("defocus"),
        shape=(tilts, rows, width),
        voxel_size=tomogram.voxel_size,
        contrast=contrast,
        snr=snr,
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )


def read_defocus(path: str | Path) -> tuple[float, ...]:
    """Read one defocus a line, in micrometres, in ascending order of the tilts, as `simulate_tilts` writes them.

    Raises
    ------
    ConfigError
        If the file cannot be read or has anything else in its lines; those that begin with `#` are left out.
    """
    try:
        lines = Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(
            f"defocus file {path} cannot be read ({error.strerror}); expected micrometres, or a file with one a tilt"
        ) from None
    values = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            values.append(_finite(line))
        except ValueError:
            raise ConfigError(
                f"defocus file {path} has {line.strip()[:30]!r} in line {number}; expected one number of micrometres"
            ) from None
    return tuple(values)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _require_volume(tomogram: Tomogram, tilts: int) -> None:
    if is_stack(tomogram.path, tomogram.header, tilts):
        raise TomogramError(
            f"{tomogram.path} is a stack of {len(tomogram.data)} images; expected the volume to be projected: "
            "`cryowae simulate reconstruct` makes one of a tilt series"
        )


def _require_possible(imaging: ImagingConfig, noise: str, misalignment: float) -> None:
    if not (math.isfinite(misalignment) and misalignment >= 0):
        raise ConfigError(f"got a misalignment of {misalignment:g} pixels; expected 0 or more")
    if noise == "poisson" and not (imaging.dose > 0 and imaging.snr > 0):
        raise ConfigError(
            f"Poisson noise needs electrons and contrast, got dose {imaging.dose:g} and snr {imaging.snr:g}; "
            "expected both above 0"
        )


def _files(series: Path, ctf: bool, misaligned: bool) -> dict[str, Path]:
    """What is written, the series first."""
    require_name(series)
    files = {"st": series, "tlt": series.with_suffix(".tlt")}
    if ctf:
        files["defocus"] = series.with_name(f"{series.stem}_defocus.txt")
    if misaligned:
        files["xf"] = series.with_suffix(".xf")
    return files
