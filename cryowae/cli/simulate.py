"""`cryowae simulate ...`: simulated data of a known specimen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from cryowae.cli.commands import Folder, described, group
from cryowae.cli.process import reconstruct
from cryowae.cli.terminal import print_results, progress
from cryowae.config import load_scene
from cryowae.config.files import check
from cryowae.config.options import TomogramOptions, VolumeOptions
from cryowae.config.scene import ImagingConfig, Noise, Scheme


@dataclass(frozen=True, kw_only=True)
class MicroscopeOptions:
    """The options of the microscope; they have the names of the fields of `ImagingConfig`.

    Attributes
    ----------
    voltage
        Acceleration voltage.
    cs
        Spherical aberration coefficient.
    amplitude_contrast
        Amplitude contrast, 0 to 1.
    phase_shift
        Phase shift of a phase plate.
    dose
        Electrons per Å² and tilt; 0: no radiation damage.
    scheme
        Order of the exposures.
    mtf
        Detector: ideal pixel (sinc), or a file with its MTF.
    snr
        Variance of the noise-free images over that of the noise.
    """

    voltage: Annotated[float, typer.Option(metavar="KV")] = 300.0
    cs: Annotated[float, typer.Option(metavar="MM")] = 2.7
    amplitude_contrast: Annotated[float, typer.Option(metavar="SHARE")] = 0.07
    phase_shift: Annotated[float, typer.Option(metavar="DEGREES")] = 0.0
    dose: Annotated[float, typer.Option(metavar="E/A2")] = 0.0
    scheme: Scheme = "dose-symmetric"
    mtf: Annotated[str, typer.Option(metavar="none|sinc|FILE")] = "none"
    snr: float = 0.1


def wedge(
    volume: Path,
    opening: TomogramOptions,
    soft: bool = False,
    noise: Annotated[float | None, typer.Option(metavar="SNR")] = None,
    rotate: Annotated[int | None, typer.Option(metavar="SEED", min=0)] = None,
    seed: int = 1,
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Remove the missing wedge from a volume; writes the volume, the mask and a picture of both spectra.

    With --tilts, each tilt keeps a slab of Fourier space.
    Its thickness is one over the thickness of the volume.
    SNR is the variance of the noise-free images over that of the noise.
    --rotate rotates the volume at random, and writes the rotated volume too.

    The mask, NAME_wedge_mask.mrc, is 1 where measured.
    Zero frequency is at the voxel n // 2 of each axis (z, y, x).

    Parameters
    ----------
    volume
        Volume to remove the wedge from, MRC.
    tilts
        Tilt angles; each keeps a thin slab.
    soft
        Keep the range of the tilts, with edges of 5 degrees.
    noise
        Add the noise of a tilt series.
    rotate
        Rotate the volume first.
    seed
        Seed of the noise.
    output
        By default NAME_wedge.mrc beside VOLUME.
    """
    from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    opening.require_one()
    opened = open_tomogram(volume, **vars(opening))
    kept = wedge_of(opened, soft=soft)
    with progress() as shown:
        result = simulate_wedge(
            opened, output, wedge=kept, noise=noise, rotate=rotate, seed=seed, overwrite=overwrite, progress=shown
        )
    kind = f"{len(kept.angles)} tilts" if kept.angles else f"edges of {kept.edge:g} degrees" if soft else "all between"
    snr = None if noise is None else f"SNR {noise:g}: {result.sigma:.4g} on the projections, seed {seed}"
    turn, rotation = result.rotation, None
    if turn is not None:
        axis = ", ".join(f"{v:.5f}" for v in turn.axis)
        rotation = f"{turn.angle:.3f} degrees about (z, y, x) = ({axis}), seed {rotate}"
    print_results(
        ("volume", result.path),
        ("mask", result.mask),
        ("turned", result.turned),
        ("picture", result.picture),
        ("wedge", f"{kept.tilt_min:+g} to {kept.tilt_max:+g} degrees, {kind}: {result.measured_share:.1%} measured"),
        ("rotation", rotation),
        ("noise", snr),
        ("time", f"{result.seconds:.1f} s"),
        notes=result.notes,
    )


def tilts(
    volume: Path,
    tilts: Annotated[Path, typer.Option(metavar="FILE")],
    microscope: MicroscopeOptions,
    opening: VolumeOptions,
    defocus: Annotated[str | None, typer.Option(metavar="UM|FILE")] = None,
    noise: Noise = "gaussian",
    misalignment: Annotated[float, typer.Option(metavar="PIXELS")] = 0.0,
    seed: int = 1,
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Simulate the tilt series of a volume: projections, CTF, radiation damage, detector, noise.

    --defocus is in micrometres; a file has one for each tilt, ascending.
    --mtf sinc is an ideal pixel; a file has the measured curve of a detector.
    Angles, defocus and alignment are written beside the series.

    Parameters
    ----------
    volume
        Volume to record images of, MRC.
    tilts
        Tilt angles: .tlt, .rawtlt, .mdoc, ...
    defocus
        Under focus; no CTF if not given.
    noise
        poisson: counts; --snr sets the contrast.
    misalignment
        Random shifts of the images; the .xf file that is written corrects them.
    seed
        Seed of noise and misalignment.
    output
        By default NAME_simulated.st beside VOLUME.
    """
    from cryowae.simulate.tilt_series import read_defocus, simulate_tilts

    focus, each = None, None
    try:
        focus = None if defocus is None else float(defocus)
    except ValueError:
        each = read_defocus(str(defocus))
    imaging = check(ImagingConfig, {**vars(microscope), "defocus": focus}, "the microscope")
    more: dict[str, Any] = {"noise": noise, "misalignment": misalignment, "seed": seed, "overwrite": overwrite}
    with progress() as shown:
        result = simulate_tilts(
            volume, tilts, output, imaging=imaging, defocus=each, progress=shown, **more, **vars(opening)
        )
    images, height, width = result.shape
    print_results(
        ("series", result.path),
        ("tilts", result.tilts),
        ("alignment", result.alignment),
        ("defocus", result.defocus),
        ("size", f"{images} images of {height} x {width} pixels of {result.voxel_size:g} Å"),
        ("signal", f"standard deviation {result.contrast:.4g} without noise, SNR {result.snr:g}"),
        ("time", f"{result.seconds:.1f} s"),
        notes=result.notes,
    )


def scene(
    config: str,
    output: Folder,
    assignments: list[str] | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> None:
    """Simulate a crowded tomogram with its ground truth, halves, labels and particle table; protein is dark.

    --set changes one value of CONFIG, for example --set imaging.snr=0.05.

    Parameters
    ----------
    config
        A YAML file, or the name of a shipped one.
    output
        Folder for the files.
    assignments
        Change one value, e.g. ice=0.05.
    seed
        Seed; replaces that of CONFIG.
    """
    settings = load_scene(config, [*(assignments or ()), *([] if seed is None else [f"seed={seed}"])])
    from cryowae.simulate.scene_files import simulate_scene

    with progress() as shown:
        made = simulate_scene(settings, output, overwrite=overwrite, progress=shown)
    counts = (f"{count:6d} {name}" for name, count in sorted(made.counts.items()))
    print_results(*counts, *made.paths, notes=made.notes)


simulate = group(
    "simulate", "Simulate missing wedges, tilt series and whole scenes with their ground truth.", wedge, tilts, scene
)


@simulate.command("reconstruct", hidden=True)
@wraps(described(reconstruct))
def _former_reconstruct(**options: Any) -> None:
    typer.echo("cryowae simulate reconstruct is now cryowae reconstruct", err=True)
    described(reconstruct)(**options)
