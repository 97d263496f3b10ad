"""Effects of the microscope on projections before noise is added: CTF, radiation damage, detector.

All three are factors on the Fourier transform of a projection. The image is first continued by its mirror images to
`(2 y, 2 x)` pixels, so that neither the opposite edge nor a sharp edge shows up in the result.

The contrast transfer function is that of `torch_ctf.calculate_ctf_2d`, with its units and its sign:
`sin(pi lambda k^2 (df - lambda^2 k^2 Cs / 2) + phase shift + asin(amplitude contrast))`, with `df` positive for
underfocus. That is minus the function of Rohou and Grigorieff (J. Struct. Biol. 192, 2015): it starts at `+amplitude
contrast` and rises. So bright density is bright in the images, which are the negatives of camera
images. Defocus is that of the tilt axis: its change across a tilted image and through the specimen is not simulated.

The amplitude contrast of gold is the sine of the angle with tangent absorption / phase shift. At 300 kV, 100 angstrom
of gold scatter half of the electrons elastically (mean free path 129 angstrom by Langmore and Smith, Ultramicroscopy
46, 1992), nearly all of them to angles beyond an objective aperture of 10 mrad, and some inelastically: the amplitude
falls by a factor exp(-0.42), and the phase shift is 1.65. With the amplitude contrast of protein, defocus would make a
bead hollow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cryowae.config.scene import ImagingConfig
from cryowae.errors import ConfigError
from cryowae.fourier.grids import Device, frequency_grid
from cryowae.imaging.exposure import accumulated_dose, detector_mtf, dose_damping

GOLD_AMPLITUDE_CONTRAST = 0.25
"""Amplitude contrast of gold, where protein has 0.07: see the top of the module."""


@dataclass(frozen=True)
class Microscope:
    """A microscope and the tilts at which it records images.

    Attributes
    ----------
    imaging
        The microscope; its tilts and `snr` are not used.
    angles
        Tilts in degrees, ascending.
    voxel_size
        Angstrom.
    defocus
        Micrometres, positive for underfocus, one value per tilt; replaces that of `imaging`. None to use that.
    device
        Device of the factors.
    """

    imaging: ImagingConfig
    angles: Sequence[float]
    voxel_size: float
    defocus: Sequence[float] | None = None
    device: Device = "cpu"

    def transfer(self, shape: tuple[int, int]) -> Tensor | None:
        """All `transfers`, `(tilts, 2 y, x + 1)` for `apply_transfer`; None if there is no CTF, dose or MTF."""
        factors = list(self.transfers(shape))
        return torch.stack(factors) if factors else None

    def transfers(self, shape: tuple[int, int], shifts: Sequence[Sequence[float]] | None = None) -> Iterator[Tensor]:
        """Transfer from projections to noise-free images, one tilt after another to save memory.

        Parameters
        ----------
        shape
            `(y, x)` of an image.
        shifts
            `(tilts, 2)` pixels along y and x by which the specimen moves on the detector.

        Yields
        ------
        factor
            `(2 y, x + 1)` for `filter_image`, in unshifted rfft2 layout: CTF x damping x MTF, float32; complex with
            shifts. Yields nothing if there are none of them.

        Raises
        ------
        ConfigError
            If the number of defocus values is not that of the tilts, the MTF file is bad, critical exposures are not
            known at the voltage, or torch-ctf is missing.
        """
        imaging, focus = self.imaging, self.defocus_values()
        if focus is None and imaging.dose == 0 and imaging.mtf == "none" and shifts is None:
            return
        # cycles per pixel of the mirrored image
        dtype = torch.float32 if torch.device(self.device).type == "mps" else torch.float64
        _, (ky,), (kx,) = frequency_grid((1, 2 * shape[0], 2 * shape[1]), self.device, dtype)
        k = (ky.square() + kx.square()).sqrt() / self.voxel_size
        detector = torch.ones_like(k) if imaging.mtf == "none" else detector_mtf(imaging.mtf, ky, kx)
        for tilt, dose in enumerate(accumulated_dose(self.angles, imaging.dose, imaging.scheme)):
            factor = detector
            if dose > 0:
                factor = factor * dose_damping(k, dose, imaging.voltage)
            if focus is not None:
                if tilt == 0 or focus[tilt] != focus[tilt - 1]:
                    ctf = self._ctf(focus[tilt], shape)
                factor = factor * ctf
            factor = factor.float()
            if shifts is not None:
                phase = -2 * torch.pi * (ky * shifts[tilt][0] + kx * shifts[tilt][1])
                factor = factor * torch.polar(torch.ones_like(phase), phase).to(torch.complex64)
            yield factor

    def require_possible(self) -> None:
        """Raise the errors of `transfers`: for a check before the work."""
        next(self.transfers((2, 2)), None)

    def ctf_sign(self, shape: tuple[int, int]) -> Tensor:
        """`(tilts, 2 y, x + 1)` float32, the sign of the CTF: multiplying images by it corrects their phases.

        Raises
        ------
        ConfigError
            If there is no defocus.
        """
        focus = self.defocus_values()
        if focus is None:
            raise ConfigError("phase-flip correction needs a defocus and there is none: give one, or leave it out")
        signs = {value: torch.where(self._ctf(value, shape) < 0, -1.0, 1.0).float() for value in set(focus)}
        return torch.stack([signs[value] for value in focus])

    def for_gold(self) -> Microscope:
        """The same microscope with the amplitude contrast of gold."""
        contrast = max(self.imaging.amplitude_contrast, GOLD_AMPLITUDE_CONTRAST)
        return replace(self, imaging=self.imaging.model_copy(update={"amplitude_contrast": contrast}))

    def noise_variance(self) -> Tensor:
        """`(tilts,)` relative variance of the noise: proportional to `cos(t) ** -growth` at a tilt `t`, 1 on average.

        It increases because the path through the ice gets longer.
        """
        power = torch.deg2rad(torch.tensor(self.angles, device=self.device)).cos() ** -self.imaging.growth
        return power / power.mean()

    def defocus_values(self) -> Sequence[float] | None:
        """The defocus of each tilt, None for no CTF."""
        imaging, values = self.imaging, self.defocus
        if values is None:
            if imaging.defocus is None:
                return None
            values = [imaging.defocus] * len(self.angles)
        if (tilts := len(self.angles)) != len(values):
            raise ConfigError(f"got {len(values)} values of defocus for {tilts} tilts; expected one per tilt")
        given = [("defocus", 100, "µm", value) for value in values]
        given += [("spherical aberration", 100, "mm", imaging.cs), ("voltage", 3000, "kV", imaging.voltage)]
        for what, most, unit, value in given:
            if not abs(value) <= most:  # also NaN
                raise ConfigError(f"got a {what} of {value:g} {unit}; expected up to {most} {unit}: is the unit right?")
        return values

    def _ctf(self, defocus: float, shape: tuple[int, int]) -> Tensor:
        try:
            from torch_ctf import calculate_ctf_2d
        except ImportError:
            missing = "the contrast transfer function needs torch-ctf, which is not installed"
            raise ConfigError(f'{missing}: pip install "cryowae[simulate]"') from None
        focus, size = torch.tensor(float(defocus), device=self.device), (2 * shape[0], 2 * shape[1])
        lens = self.imaging.model_dump(include={"voltage", "amplitude_contrast", "phase_shift"})
        lens |= {"spherical_aberration": self.imaging.cs, "astigmatism": 0.0, "astigmatism_angle": 0.0}
        ctf: Tensor = calculate_ctf_2d(
            focus, **lens, pixel_size=self.voxel_size, image_shape=size, rfft=True, fftshift=False
        )
        return ctf


def apply_transfer(series: Tensor, transfer: Tensor) -> Tensor:
    """Filter each image of a tilt series.

    Parameters
    ----------
    series
        `(..., tilts, y, x)` float32.
    transfer
        `(tilts, 2 y, x + 1)`, of `Microscope.transfer` or `Microscope.ctf_sign`.

    Returns
    -------
    filtered
        The same shape.
    """
    tilts, y, x = series.shape[-3:]
    if transfer.shape != (tilts, 2 * y, x + 1):
        raise ValueError(f"got a transfer {tuple(transfer.shape)}, expected {(tilts, 2 * y, x + 1)} for these images")
    return torch.stack([filter_image(series[..., tilt, :, :], transfer[tilt]) for tilt in range(tilts)], dim=-3)


def filter_image(image: Tensor, factor: Tensor) -> Tensor:
    """Filter images.

    Parameters
    ----------
    image
        `(..., y, x)` float32; beyond its edges it is continued by its mirror images.
    factor
        `(2 y, x + 1)`, real or complex, of the transform of `(2 y, 2 x)` pixels.
    """
    y, x = image.shape[-2:]
    mirrored = torch.cat([image, image.flip(-1)], dim=-1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2)
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(mirrored) * factor, s=(2 * y, 2 * x))
    return filtered[..., :y, :x]


def radial_gains(gains: Sequence[float], shape: tuple[int, int]) -> Tensor:
    """A factor for `filter_image` that depends on the frequency alone.

    Parameters
    ----------
    gains
        Factors at frequencies spread evenly from 0 to 0.5 cycles per pixel; interpolated between them, and constant
        beyond.
    shape
        `(y, x)` of an image.

    Returns
    -------
    factor
        `(2 y, x + 1)` float32, on the CPU.
    """
    ky, kx = torch.fft.fftfreq(2 * shape[0]), torch.fft.rfftfreq(2 * shape[1])
    k = (ky[:, None].square() + kx.square()).sqrt().numpy()
    return torch.from_numpy(np.interp(k, np.linspace(0, 0.5, len(gains)), gains).astype(np.float32))
