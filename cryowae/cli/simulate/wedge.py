"""`cryowae simulate wedge VOLUME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowae.cli.opening import Axes, FlipTilt, Overwrite, TiltRange, VoxelSize
from cryowae.cli.terminal import print_outcome, progress


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
    from cryowae.errors import TiltError
    from cryowae.simulate.missing_wedge import simulate_wedge, wedge_of
    from cryowae.tomogram import open_tomogram

    if (tilts is None) == (tilt_range is None):
        raise TiltError("expected either --tilts FILE or --tilt-range LO HI: they define what is measured")
    opened = open_tomogram(
        volume, tilts=tilts, tilt_range=tilt_range, flip_tilt=flip_tilt, voxel_size=voxel_size, axes=axes
    )
    with progress() as shown:
        result = simulate_wedge(
            opened,
            output,
            wedge=wedge_of(opened, soft=soft),
            noise=noise,
            rotate=rotate,
            seed=seed,
            overwrite=overwrite,
            progress=shown,
        )
    kept, rotation = result.wedge, result.rotation
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
