"""The forward model `F y = M (H F x + N)`: from a density to its noisy reconstruction.

The density is projected, the microscope filters the projections, noise is added, and the images are back-projected. So
the noise is empty in the missing wedge and weighted by the reconstruction filter, as in real tomograms. All steps are
linear in density and noise: both are reconstructed separately, and mixed at any signal-to-noise ratio later. Gradients
flow from the reconstruction to the density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cryowae.config.scene import SceneConfig
from cryowae.imaging.microscope import Microscope, apply_transfer, filter_image, radial_gains
from cryowae.imaging.projection import TiltGeometry, back_project, project, tilt_angles


@dataclass(frozen=True)
class Observation:
    """A reconstructed density and two independent reconstructions of noise, from the same tilts.

    Attributes
    ----------
    signal
        `(z, y, x)` noise-free back-projection.
    noise
        `(2, z, y, x)` back-projections of white noise with unit standard deviation.
    contrast
        Standard deviation of the noise-free images over all pixels and tilts, after the transfer of the microscope;
        without gold, which would dominate it. 1 where there is no signal.
    angles
        Tilts in degrees.
    """

    signal: Tensor
    noise: Tensor
    contrast: float
    angles: tuple[float, ...]

    def sigma(self, snr: float) -> float:
        """Standard deviation of the noise on the projections at a signal-to-noise ratio (variance over variance).

        0 is no noise, as in `ImagingConfig`.
        """
        return self.contrast / math.sqrt(snr) if snr else 0.0

    def tomogram(self, snr: float) -> Tensor:
        """`(z, y, x)` reconstruction of all the data; the mean of `halves`."""
        return self.signal + self.sigma(snr) * (self.noise[0] + self.noise[1]) / 2**0.5

    def halves(self, snr: float) -> tuple[Tensor, Tensor]:
        """Reconstructions of the frame halves: the same projections, `sqrt(2)` times the noise."""
        scale = 2**0.5 * self.sigma(snr)
        return self.signal + scale * self.noise[0], self.signal + scale * self.noise[1]


class ForwardModel:
    """Tilt series and reconstruction of specimens, from a configuration; usable for many specimens.

    Parameters
    ----------
    config
        Its shape, extent, voxel size, imaging and reconstruction are used.
    device
        Device of the densities.

    Attributes
    ----------
    angles
        Tilts in degrees, ascending.
    microscope
        That of `config.imaging`.

    Raises
    ------
    ConfigError, TiltError
        If the microscope or the tilts are impossible.
    """

    def __init__(self, config: SceneConfig, device: str = "cpu") -> None:
        depth, rows, width = config.shape
        self.config, self.device, self.angles = config, device, tilt_angles(config.imaging)
        self.microscope = Microscope(config.imaging, self.angles, config.voxel_size, device=device)
        self._transfer = self.microscope.transfer((rows, width))
        corrected = config.reconstruction.ctf == "phase-flip" and config.imaging.defocus is not None
        self._flip = self.microscope.ctf_sign((rows, width)) if corrected else None
        gains = config.reconstruction.gains
        self._gains = None if gains is None else radial_gains(gains, (rows, width)).to(device)
        self._box = TiltGeometry(self.angles, depth, width, width, device)
        # beyond the box, the specimen is projected onto the detector and not reconstructed
        wide = config.extent[2]
        self._specimen = self._box if wide == width else TiltGeometry(self.angles, depth, wide, width, device)

    def images(self, density: Tensor, microscope: Microscope | None = None) -> Tensor:
        """Noise-free images of a density.

        Parameters
        ----------
        density
            `(..., z, y, wider x)`, 0 in the solvent, as wide as `config.extent`: density beyond the box along x still
            adds to tilted projections.
        microscope
            Another microscope with the same tilts, such as `microscope.for_gold()`.

        Returns
        -------
        series
            `(..., tilts, y, x)`.
        """
        series = project(density, self._specimen)
        factor = microscope.transfer((series.shape[-2], series.shape[-1])) if microscope else self._transfer
        return series if factor is None else apply_transfer(series, factor)

    def reconstruct(self, series: Tensor) -> Tensor:
        """`(..., z, y, x)` weighted back-projection of images `(..., tilts, y, x)`, after phase flip and gains."""
        if self._flip is not None:
            series = apply_transfer(series, self._flip)
        if self._gains is not None:
            series = filter_image(series, self._gains)
        return back_project(series, self._box, self.config.reconstruction)

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, tilts, y, x)` images of noise with the variances of `Microscope.noise_variance`."""
        rows, columns = self.config.shape[1:]
        noise = torch.randn(count, len(self.angles), rows, columns, generator=generator, device=self.device)
        if self.config.imaging.noise_gains is not None:
            noise = filter_image(noise, radial_gains(self.config.imaging.noise_gains, (rows, columns)).to(self.device))
            noise = noise / noise.std()
        return noise * self.microscope.noise_variance().sqrt()[:, None, None]

    def observe(self, density: Tensor, generator: torch.Generator, gold: Tensor | None = None) -> Observation:
        """Simulate a tilt series of a density and reconstruct it.

        Parameters
        ----------
        density
            `(z, y, wider x)`, see `images`.
        generator
            Source of the noise, on the density's device.
        gold
            Density of beads, as large as `density`. Gold has its own transfer function, since it absorbs electrons.
        """
        series = self.images(density)
        contrast = float(series.detach().std())
        if gold is not None:
            series = series + self.images(gold, self.microscope.for_gold())
        volumes = self.reconstruct(torch.cat([series[None], self.noise(2, generator)]))
        return Observation(volumes[0], volumes[1:], contrast if contrast > 0 else 1.0, self.angles)
