"""`cryowae simulate ...`: what an instrument would record of a specimen that is known."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from cryowae.cli.errors import ErrorsInOneLine
from cryowae.cli.opening import Axes, FlipTilt, Overwrite, TiltRange, VoxelSize
from cryowae.cli.reconstruct import reconstruct
from cryowae.cli.terminal import print_outcome, progress
from cryowae.config import load_scene
from cryowae.config.files import check
from cryowae.config.scene import ImagingConfig, Noise, Scheme
from cryowae.errors import TiltError

simulate = typer.Typer(
    name="simulate",
    cls=ErrorsInOneLine,
    help="Simulate missing wedges, tilt series and whole scenes with their ground truth.",
    no_args_is_help=True,
)


@simulate.command()
def wedge(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="Volume to remove the wedge from, MRC.")],
    tilts: Annotated[Path | None, typer.Option(metavar="FILE", help="Tilt angles; each keeps a thin slab.")] = None,
    tilt_range: TiltRange = None,
    soft: Annotated[bool, typer.Option("--soft", help="Keep the range of the tilts, with edges of 5 degrees.")] = False,
    noise: Annotated[float | None, typer.Option(metavar="SNR", help="Add the noise of a tilt series.")] = None,
    rotate: Annotated[int | None, typer.Option(metavar="SEED", min=0, help="Rotate the volume first.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 1,
    flip_tilt: FlipTilt = False,
    axes: Axes = "zyx",
    voxel_size: VoxelSize = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Else NAME_wedge.mrc beside VOLUME.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Remove the missing wedge from a volume; writes the volume, the mask and a picture of both spectra.

    With --tilts, each tilt keeps a slab of Fourier space.
    Its thickness is one over the thickness of the volume.
    SNR is the variance of the noise-free images over that of the noise.
    --rotate rotates the volume at random, and writes the rotated volume too.

    The mask, NAME_wedge_mask.mrc, is 1 where measured.
    Zero frequency is at the voxel n // 2 of each axis (z, y, x).
    """
    from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    if (tilts is None) == (tilt_range is None):
        raise TiltError("expected either --tilts FILE or --tilt-range LO HI: they define what is measured")
    opened = open_tomogram(
        volume, tilts=tilts, tilt_range=tilt_range, flip_tilt=flip_tilt, voxel_size=voxel_size, axes=axes
    )
    kept = wedge_of(opened, soft=soft)
    with progress() as shown:
        result = simulate_wedge(
            opened, output, wedge=kept, noise=noise, rotate=rotate, seed=seed, overwrite=overwrite, progress=shown
        )
    rotation = result.rotation
    kind = f"{len(kept.angles)} tilts" if kept.angles else f"edges of {kept.edge:g} degrees" if soft else "all between"
    rows = [
        ("volume", result.path),
        ("mask", result.mask),
        ("turned", result.turned),
        ("picture", result.picture),
        ("wedge", f"{kept.tilt_min:+g} to {kept.tilt_max:+g} degrees, {kind}: {result.measured_share:.1%} measured"),
    ]
    if rotation is not None:
        axis = ", ".join(f"{v:.5f}" for v in rotation.axis)
        rows.append(("rotation", f"{rotation.angle:.3f} degrees about (z, y, x) = ({axis}), seed {rotate}"))
    if noise is not None:
        rows.append(("noise", f"SNR {noise:g}: {result.sigma:.4g} on the projections, seed {seed}"))
    print_outcome(result, rows)


@simulate.command()
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

    focus, each = None, None
    try:
        focus = None if defocus is None else float(defocus)
    except ValueError:
        each = read_defocus(str(defocus))
    # the other options of the microscope have the names of its fields
    same = ImagingConfig.model_fields.keys() & context.params.keys() - {"tilts"}
    values = {name: context.params[name] for name in same} | {"defocus": focus}
    with progress() as shown:
        result = simulate_tilts(
            volume,
            tilts,
            output,
            imaging=check(ImagingConfig, values, "the microscope"),
            defocus=each,
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


@simulate.command()
def scene(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the files.")],
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="E.g. ice=0.05.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of that of CONFIG.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a crowded tomogram with its ground truth, halves, labels and particle table; protein is dark.

    --set changes one value of CONFIG, for example --set imaging.snr=0.05.
    """
    settings = load_scene(config, [*(assignments or ()), *([] if seed is None else [f"seed={seed}"])])
    from cryowae.simulate.scene_files import simulate_scene

    with progress() as shown:
        made = simulate_scene(settings, output, overwrite=overwrite, progress=shown)
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    for name, count in sorted(made.counts.items()):
        typer.echo(f"{count:6d} {name}")
    for path in made.paths:
        typer.echo(str(path))


@simulate.command("reconstruct", hidden=True)
@wraps(reconstruct)
def _former_reconstruct(**options: Any) -> None:
    typer.echo("cryowae simulate reconstruct is now cryowae reconstruct", err=True)
    reconstruct(**options)
