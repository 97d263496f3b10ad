"""From a density to what a microscope makes of it: `F y = M (H F x + N)`.

The density is projected to a tilt series, noise is added to the projections, and both are back-projected. Noise is
therefore empty in the missing wedge and weighted by the reconstruction filter, as in real tomograms. Everything
after the projections is linear, so signal and noise are kept apart and mixed at any signal-to-noise ratio later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.imaging.microscope import apply_transfer
from cryowae.imaging.projection import TiltGeometry, back_project, project, series_noise
from cryowae.imaging.weighting import Filter


@dataclass(frozen=True)
class Observation:
    """A reconstructed density and two independent noises of the same tilt series.

    Attributes
    ----------
    signal
        `(z, y, x)` noise-free back-projection.
    noise
        `(2, z, y, x)` back-projections of white noise of unit standard deviation.
    contrast
        Standard deviation of the noise-free images (projections, after the microscope's transfer if there is one) over
        all pixels and tilts.
    angles
        Tilts in degrees.
    """

    signal: Tensor
    noise: Tensor
    contrast: float
    angles: tuple[float, ...]

    def sigma(self, snr: float) -> float:
        """Standard deviation of the noise on the projections at a signal-to-noise ratio (variance over variance)."""
        return self.contrast / math.sqrt(snr)

    def tomogram(self, snr: float) -> Tensor:
        """`(z, y, x)` reconstruction of all the data; the mean of `halves`."""
        return self.signal + self.sigma(snr) * (self.noise[0] + self.noise[1]) / 2**0.5

    def halves(self, snr: float) -> tuple[Tensor, Tensor]:
        """Reconstructions of the frame halves: the same projections, `sqrt(2)` times the noise."""
        scale = 2**0.5 * self.sigma(snr)
        return self.signal + scale * self.noise[0], self.signal + scale * self.noise[1]


def observe(
    density: Tensor,
    angles: tuple[float, ...],
    generator: torch.Generator,
    *,
    weighting: Filter | None = None,
    width: int | None = None,
    growth: float = 0.0,
    colour: float = 0.0,
    transfer: Tensor | None = None,
    flip: Tensor | None = None,
    gold: Tensor | None = None,
    gold_transfer: Tensor | None = None,
) -> Observation:
    """Simulate a tilt series of a density and its reconstruction.

    Parameters
    ----------
    density
        `(z, y, x)`, 0 in the solvent.
    angles
        Tilts in degrees, increasing.
    generator
        Source of randomness, on the density's device.
    weighting
        Filter of the back-projection.
    width
        Voxels along x that the detector sees and that are reconstructed, centred; the specimen beyond them still
        adds to tilted projections. All by default.
    growth
        The noise variance of a tilt `t` is multiplied by `cos(t) ** -growth`: the path through the ice grows.
    colour
        Passed to `series_noise`.
    transfer
        `(tilts, 2 y, width + 1)` from `cryowae.imaging.microscope.transfer`: CTF, radiation damage, MTF, applied to the
        projections before noise is added. `contrast` is that of the images that it leaves.
    flip
        The same layout, from `ctf_sign`: phases of signal and noise are corrected before the back-projection.
    gold, gold_transfer
        Density of beads, as large as `density`, and the transfer of the electrons that meet them, who are absorbed too
        (`cryowae.specimen.beads`). They are in the signal; `contrast`, which they would outweigh, leaves them out.

    Returns
    -------
    observation
        Its volumes are `(z, y, width)`.
    """
    device = str(density.device)
    depth, rows, full = density.shape
    width = width or full
    wide = TiltGeometry(angles, depth, full, width, device)
    series = _images(density, wide, transfer)
    contrast = float(series.std())
    if gold is not None:
        series = series + _images(gold, wide, gold_transfer)
    geometry = wide if width == full else TiltGeometry(angles, depth, width, width, device)
    noise = series_noise((2, len(angles), rows, width), generator, colour=colour, device=density.device)
    if growth:
        tilts = torch.deg2rad(torch.tensor(angles, device=density.device))
        power = tilts.cos() ** -growth
        noise = noise * (power / power.mean()).sqrt()[:, None, None]
    both = torch.cat([series[None], noise])
    if flip is not None:
        both = apply_transfer(both, flip)
    volumes = back_project(both, geometry, weighting)
    return Observation(volumes[0], volumes[1:], contrast, angles)


def _images(density: Tensor, geometry: TiltGeometry, transfer: Tensor | None) -> Tensor:
    images = project(density, geometry)
    return images if transfer is None else apply_transfer(images, transfer)


def tilt_halves(series: Tensor, geometry: TiltGeometry, weighting: Filter | None = None) -> tuple[Tensor, Tensor]:
    """Reconstructions of every other tilt, first the even ones (counting from 0), then the odd.

    They share no image, but each samples Fourier space half as finely: their agreement bounds the noise, and says
    nothing of resolution.
    """
    halves = []
    for start in (0, 1):
        part = TiltGeometry(
            geometry.angles[start::2], geometry.depth, geometry.width, geometry.detector, geometry.device
        )
        halves.append(back_project(series[..., start::2, :, :], part, weighting))
    return halves[0], halves[1]
