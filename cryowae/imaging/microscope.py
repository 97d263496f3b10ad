"""What the microscope does to projections before noise is added: CTF, radiation damage, detector.

All three are factors on the Fourier transform of a projection. The image is first continued by its mirror images to
`(2 y, 2 x)` pixels, so that neither the opposite edge nor a sharp edge shows up in the result.

The contrast transfer function is that of `torch_ctf.calculate_ctf_2d`, with its units and its sign:
`sin(pi lambda k^2 (df - lambda^2 k^2 Cs / 2) + phase shift + asin(amplitude contrast))`, with `df` positive for
underfocus. That is minus the function of Rohou and Grigorieff (J. Struct. Biol. 192, 2015): it starts at `+amplitude
contrast` and rises. So what is bright in a density is bright in its images, which are the negatives of what a camera
records. Defocus is that of the tilt axis: its change across a tilted image and through the specimen is not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cryowae.config.scene import ImagingConfig
from cryowae.errors import ConfigError
from cryowae.fourier.grids import Device
from cryowae.imaging.detector import detector_mtf
from cryowae.imaging.exposure import accumulated_dose, dose_damping

GOLD_AMPLITUDE_CONTRAST = 0.25
"""Amplitude contrast of gold, where protein has 0.07: the sine of the angle with tangent absorption / phase shift.

At 300 kV, 100 angstrom of gold scatter half of the electrons elastically (mean free path 129 angstrom by Langmore and
Smith, Ultramicroscopy 46, 1992), nearly all of them to angles beyond an objective aperture of 10 mrad, and some
inelastically: the amplitude falls by a factor exp(-0.42), and the phase shift is 1.65. With the amplitude contrast of
protein, defocus would make a bead hollow.
"""


def transfer(
    imaging: ImagingConfig, angles: Sequence[float], shape: tuple[int, int], voxel_size: float, device: Device = "cpu"
) -> Tensor | None:
    """Transfer from projections to noise-free images, for `apply_transfer`; parameters and errors of `tilt_transfers`.

    Returns
    -------
    factor
        `(tilts, 2 y, x + 1)` float32; None if `imaging` has no CTF, dose or MTF.
    """
    factors = list(tilt_transfers(imaging, angles, shape, voxel_size, device))
    return torch.stack(factors) if factors else None


def tilt_transfers(
    imaging: ImagingConfig,
    angles: Sequence[float],
    shape: tuple[int, int],
    voxel_size: float,
    device: Device = "cpu",
    *,
    defocus: Sequence[float] | None = None,
) -> Iterator[Tensor]:
    """Transfer from projections to noise-free images, one tilt after another to save memory.

    Parameters
    ----------
    imaging
        The microscope; its tilts, `snr` and `growth` are not used.
    angles
        Tilts in degrees, ascending.
    shape
        `(y, x)` of an image.
    voxel_size
        Angstrom.
    device
        Of the result.
    defocus
        Micrometres, positive for underfocus, one value per tilt; replaces that of `imaging`.

    Yields
    ------
    factor
        `(2 y, x + 1)` float32, unshifted rfft2 layout of a `(2 y, 2 x)` image: CTF x damping x MTF. Nothing at all if
        `imaging` has none of them.

    Raises
    ------
    ConfigError
        If the number of defocus values is not that of the tilts, the MTF file is bad, critical exposures are not known
        at the voltage, or torch-ctf is missing.
    """
    focus = _defocus_values(defocus, imaging, angles)
    if focus is None and imaging.dose == 0 and imaging.mtf == "none":
        return
    ky, kx = _frequencies(shape, device)
    k = (ky.square() + kx.square()).sqrt() / voxel_size
    detector = torch.ones_like(k) if imaging.mtf == "none" else detector_mtf(imaging.mtf, ky, kx)
    for tilt, dose in enumerate(accumulated_dose(angles, imaging.dose, imaging.scheme)):
        factor = detector
        if dose > 0:
            factor = factor * dose_damping(k, dose, imaging.voltage)
        if focus is not None:
            if tilt == 0 or focus[tilt] != focus[tilt - 1]:
                ctf = _ctf(imaging, focus[tilt], shape, voxel_size, device)
            factor = factor * ctf
        yield factor.float()


def ctf_sign(
    imaging: ImagingConfig, angles: Sequence[float], shape: tuple[int, int], voxel_size: float, device: Device = "cpu"
) -> Tensor:
    """Sign of the CTF: multiplying images by it corrects their phases. Parameters are those of `tilt_transfers`.

    Returns
    -------
    sign
        `(tilts, 2 y, x + 1)` float32, +1 or -1, for `apply_transfer`.

    Raises
    ------
    ConfigError
        If `imaging` has no defocus.
    """
    focus = _defocus_values(None, imaging, angles)
    if focus is None:
        raise ConfigError("phase-flip correction needs a defocus and there is none: give one, or leave it out")
    ctf = _ctf(imaging, focus[0], shape, voxel_size, device)
    return torch.where(ctf < 0, -1.0, 1.0).float().expand(len(angles), -1, -1)


def apply_transfer(series: Tensor, transfer: Tensor) -> Tensor:
    """Filter each image of a tilt series.

    Parameters
    ----------
    series
        `(..., tilts, y, x)` float32.
    transfer
        `(tilts, 2 y, x + 1)`, of `transfer` or `ctf_sign`.

    Returns
    -------
    filtered
        The same shape.
    """
    tilts, y, x = series.shape[-3:]
    if transfer.shape != (tilts, 2 * y, x + 1):
        raise ValueError(f"got a transfer {tuple(transfer.shape)}, expected {(tilts, 2 * y, x + 1)} for these images")
    images = [filter_image(series[..., tilt, :, :], transfer[tilt]) for tilt in range(tilts)]
    return torch.stack(images, dim=-3)


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


def gold_imaging(imaging: ImagingConfig) -> ImagingConfig:
    """The same microscope with the amplitude contrast of gold."""
    return imaging.model_copy(update={"amplitude_contrast": max(imaging.amplitude_contrast, GOLD_AMPLITUDE_CONTRAST)})


def shift_factor(shift: tuple[float, float], shape: tuple[int, int], device: Device = "cpu") -> Tensor:
    """`(2 y, x + 1)` complex factor for `filter_image` that moves `(y, x)` images by `(y, x)` pixels."""
    ky, kx = _frequencies(shape, device)
    phase = -2 * torch.pi * (ky * shift[0] + kx * shift[1])
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)


def _frequencies(shape: tuple[int, int], device: Device) -> tuple[Tensor, Tensor]:
    """Cycles per pixel of the mirrored image, `(2 y, 1)` and `(1, x + 1)`, float64 where the device has it."""
    y, x = shape
    ky = torch.fft.fftfreq(2 * y, dtype=torch.float64)[:, None]
    kx = torch.fft.rfftfreq(2 * x, dtype=torch.float64)[None]
    if torch.device(device).type == "mps":
        ky, kx = ky.float(), kx.float()
    return ky.to(device), kx.to(device)


def _defocus_values(
    defocus: Sequence[float] | None, imaging: ImagingConfig, angles: Sequence[float]
) -> tuple[float, ...] | None:
    """The defocus of each tilt, None for no CTF."""
    if defocus is None:
        if imaging.defocus is None:
            return None
        defocus = [imaging.defocus] * len(angles)
    values = tuple(defocus)
    if len(values) != len(angles):
        raise ConfigError(f"got {len(values)} values of defocus for {len(angles)} tilts; expected one per tilt")
    given = [*(("defocus", 100, "µm", value) for value in values)]
    given += [("spherical aberration", 100, "mm", imaging.cs), ("voltage", 3000, "kV", imaging.voltage)]
    for what, most, unit, value in given:
        if not abs(value) <= most:  # also NaN
            raise ConfigError(f"got a {what} of {value:g} {unit}; expected up to {most} {unit}: is the unit right?")
    return values


def _ctf(imaging: ImagingConfig, defocus: float, shape: tuple[int, int], voxel_size: float, device: Device) -> Tensor:
    try:
        from torch_ctf import calculate_ctf_2d
    except ImportError:
        raise ConfigError(
            'the contrast transfer function needs torch-ctf, which is not installed: pip install "cryowae[simulate]"'
        ) from None
    ctf: Tensor = calculate_ctf_2d(
        defocus=torch.tensor(float(defocus), device=device),
        astigmatism=0.0,
        astigmatism_angle=0.0,
        voltage=imaging.voltage,
        spherical_aberration=imaging.cs,
        amplitude_contrast=imaging.amplitude_contrast,
        phase_shift=imaging.phase_shift,
        pixel_size=voxel_size,
        image_shape=(2 * shape[0], 2 * shape[1]),
        rfft=True,
        fftshift=False,
    )
    return ctf
