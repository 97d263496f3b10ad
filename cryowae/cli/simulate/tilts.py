"""`cryowae simulate tilts VOLUME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Axes, Overwrite, VoxelSize
from cryowae.cli.terminal import print_outcome, progress
from cryowae.config.files import check
from cryowae.config.scene import ImagingConfig, Noise, Scheme


def tilts(
    context: typer.Context,
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="Volume to record images of, MRC.")],
    tilts: Annotated[Path, typer.Option(metavar="FILE", help="Tilt angles: .tlt, .rawtlt, .mdoc, ...")],
    defocus: Annotated[str | None, typer.Option(metavar="UM|FILE", help="Under focus; no CTF if not given.")] = None,
    voltage: Annotated[float, typer.Option(metavar="KV", help="Of the microscope.")] = 300.0,
    cs: Annotated[float, typer.Option(metavar="MM", help="Spherical aberration.")] = 2.7,
    amplitude_contrast: Annotated[float, typer.Option(metavar="SHARE", help="0 to 1.")] = 0.07,
    phase_shift: Annotated[float, typer.Option(metavar="DEGREES", help="Of a phase plate.")] = 0.0,
    dose: Annotated[float, typer.Option(metavar="E/A2", help="Electrons per Å² and tilt; 0: no damage.")] = 0.0,
    scheme: Annotated[Scheme, typer.Option(help="Order of the exposures.")] = "dose-symmetric",
    mtf: Annotated[str, typer.Option(metavar="none|sinc|FILE", help="Detector: ideal pixel, or its curve.")] = "none",
    noise: Annotated[Noise, typer.Option(help="poisson: counts; --snr sets the contrast.")] = "gaussian",
    snr: Annotated[float, typer.Option(help="Variance of the noise-free images over that of the noise.")] = 0.1,
    misalignment: Annotated[float, typer.Option(metavar="PIXELS", help="Random shifts; a .xf reverses them.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of noise and misalignment.")] = 1,
    voxel_size: VoxelSize = None,
    axes: Axes = "zyx",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Else NAME_simulated.st beside VOLUME.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate the tilt series of a volume: projections, CTF, radiation damage, detector, noise.

    --defocus is in micrometres; a file has one for each tilt, ascending.
    --mtf sinc is an ideal pixel; a file has the measured curve of a detector.
    Angles, defocus and alignment are written beside the series.
    """
    from cryowae.simulate.tilt_series import read_defocus, simulate_tilts

    focus, each = _defocus(defocus)
    same = ImagingConfig.model_fields.keys() & context.params.keys() - {"tilts"}  # options and fields of one name
    values = {name: context.params[name] for name in same} | {"defocus": focus}
    with progress() as shown:
        result = simulate_tilts(
            volume,
            tilts,
            output,
            imaging=check(ImagingConfig, values, "the microscope"),
            defocus=None if each is None else read_defocus(each),
            noise=noise,
            misalignment=misalignment,
            seed=seed,
            voxel_size=voxel_size,
            axes=axes,
            overwrite=overwrite,
            progress=shown,
        )
    images, height, width = result.shape
    rows = [
        ("series", result.path),
        ("tilts", result.tilts),
        ("alignment", result.alignment),
        ("defocus", result.defocus),
        ("size", f"{images} images of {height} x {width} pixels of {result.voxel_size:g} Å"),
        ("signal", f"standard deviation {result.contrast:.4g} without noise, SNR {result.snr:g}"),
    ]
    print_outcome(result, rows)


def _defocus(text: str | None) -> tuple[float | None, Path | None]:
    """A number of micrometres, or the file with one for each tilt."""
    if text is None:
        return None, None
    try:
        return float(text), None
    except ValueError:
        return None, Path(text)
