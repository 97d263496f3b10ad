"""`cryowae simulate tilts VOLUME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cryowae.cli.opening import Axes, Overwrite, VoxelSize
from cryowae.cli.terminal import progress


def tilts(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="What is imaged, MRC.")],
    tilts: Annotated[Path, typer.Option(metavar="FILE", help="Tilt angles: .tlt, .rawtlt, .mdoc, ...")],
    defocus: Annotated[
        str | None,
        typer.Option(
            metavar="UM|FILE",
            help="Micrometres under focus, or a file of one a tilt by ascending angle; no CTF without it.",
        ),
    ] = None,
    voltage: Annotated[float, typer.Option(metavar="KV", help="Of the microscope.")] = 300.0,
    cs: Annotated[float, typer.Option(metavar="MM", help="Spherical aberration.")] = 2.7,
    amplitude_contrast: Annotated[float, typer.Option(metavar="SHARE", help="0 to 1.")] = 0.07,
    phase_shift: Annotated[float, typer.Option(metavar="DEGREES", help="Of a phase plate.")] = 0.0,
    dose: Annotated[
        float, typer.Option(metavar="E/A2", help="Electrons per Å² and tilt; 0 for no radiation damage.")
    ] = 0.0,
    scheme: Annotated[
        Literal["dose-symmetric", "ascending", "bidirectional"], typer.Option(help="Order in which the dose is spent.")
    ] = "dose-symmetric",
    mtf: Annotated[
        str, typer.Option(metavar="none|sinc|FILE", help="Detector: an ideal pixel, or its measured curve.")
    ] = "none",
    noise: Annotated[
        Literal["gaussian", "poisson", "none"], typer.Option(help="poisson: counts; --snr sets the contrast.")
    ] = "gaussian",
    snr: Annotated[float, typer.Option(help="Variance of the noise-free images over that of the noise.")] = 0.1,
    misalignment: Annotated[
        float, typer.Option(metavar="PIXELS", help="Random shift of each image; a .xf undoes it.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of noise and misalignment.")] = 1,
    voxel_size: VoxelSize = None,
    axes: Axes = "zyx",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The series; else NAME_simulated.st beside VOLUME.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a tilt series of a volume: projections, CTF, radiation damage, detector, noise."""
    from cryowae.config.files import check
    from cryowae.config.scene import ImagingConfig
    from cryowae.simulate.series import read_defocus, simulate_tilts

    focus, each = _defocus(defocus)
    values = {
        "snr": snr,
        "defocus": focus,
        "voltage": voltage,
        "cs": cs,
        "amplitude_contrast": amplitude_contrast,
        "phase_shift": phase_shift,
        "dose": dose,
        "scheme": scheme,
        "mtf": mtf,
    }
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
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    sections, rows, width = result.shape
    lines = [
        ("series", str(result.path)),
        ("tilts", str(result.tilts)),
        *([("alignment", str(result.alignment))] if result.alignment else []),
        *([("defocus", str(result.defocus))] if result.defocus else []),
        ("size", f"{sections} images of {rows} x {width} pixels of {result.voxel_size:g} Å"),
        ("signal", f"standard deviation {result.contrast:.4g} without noise, SNR {result.snr:g}"),
        ("time", f"{result.seconds:.1f} s"),
    ]
    for name, value in lines:
        typer.echo(f"{name:<12}{value}")


def _defocus(text: str | None) -> tuple[float | None, Path | None]:
    """A number of micrometres, or the file that has one a tilt."""
    if text is None:
        return None, None
    try:
        return float(text), None
    except ValueError:
        return None, Path(text)
