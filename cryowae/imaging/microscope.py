"""What the microscope does to projections before noise is added: CTF, radiation damage, detector.

All three are factors on the Fourier transform of a projection. The transform is that of the image continued by its
mirror images, `(2 y, 2 x)` pixels, so that neither the opposite edge nor an edge to emptiness shows up in the result.

The contrast transfer function is that of `torch_ctf.calculate_ctf_2d`, with its units and its sign:
`sin(pi lambda k^2 (df - lambda^2 k^2 Cs / 2) + phase shift + asin(amplitude contrast))`, positive `df` under focus.
That is minus the function of Rohou and Grigorieff (J. Struct. Biol. 192, 2015): it begins at `+amplitude contrast` and
rises, hence what is bright in a density is bright in its images, which are the negatives of what a camera records.
Defocus is that of the tilt axis: its change across a tilted image and through the specimen is not simulated.
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

_MOST_DEFOCUS, _MOST_CS, _MOST_VOLTAGE = 100.0, 100.0, 3000.0  # micrometres, millimetres, kilovolts


def transfer(
    imaging: ImagingConfig,
    angles: Sequence[float],
    shape: tuple[int, int],
    voxel_size: float,
    device: Device = "cpu",
    *,
    defocus: Sequence[float] | None = None,
) -> Tensor | None:
    """Transfer from noise-free projections to noise-free images, for `apply_transfer`.

    Parameters
    ----------
    imaging
        The microscope; its `tilts`, `snr` and `growth` are not looked at.
    angles
        Tilts in degrees, ascending.
    shape
        `(y, x)` of an image.
    voxel_size
        Angstrom.
    device
        Of the result.
    defocus
        Micrometres, positive under focus, one a tilt; replaces that of `imaging`.

    Returns
    -------
    factor
        `(tilts, 2 y, x + 1)` float32, unshifted rfft2 layout of a `(2 y, 2 x)` image: CTF x damping x MTF; None if
        `imaging` asks for none of them.

    Raises
    ------
    ConfigError
        If there is not one defocus a tilt, the MTF's file is bad, critical exposures are not known at the voltage, or
        torch-ctf is missing.
    """
    factors = list(tilt_transfers(imaging, angles, shape, voxel_size, device, defocus=defocus))
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
    """The `(2 y, x + 1)` factors of `transfer` one after another, to save memory; none if none are asked for."""
    focus = _each(defocus, imaging, angles)
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
            factor = factor * _ctf(imaging, focus[tilt], shape, voxel_size, device)
        yield factor.float()


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


def shift_factor(shift: tuple[float, float], shape: tuple[int, int], device: Device = "cpu") -> Tensor:
    """`(2 y, x + 1)` complex factor for `filter_image` that moves `(y, x)` images by `(y, x)` pixels."""
    ky, kx = _frequencies(shape, device)
    phase = -2 * torch.pi * (ky * shift[0] + kx * shift[1])
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)


def ctf_sign(
    imaging: ImagingConfig,
    angles: Sequence[float],
    shape: tuple[int, int],
    voxel_size: float,
    device: Device = "cpu",
    *,
    defocus: Sequence[float] | None = None,
) -> Tensor:
    """Sign of the CTF, +1 or -1, to multiply images by: phase-flip correction; parameters are those of `transfer`.

    Returns
    -------
    sign
        `(tilts, 2 y, x + 1)` float32, as `transfer`.

    Raises
    ------
    ConfigError
        If no defocus is known.
    """
    focus = _each(defocus, imaging, angles)
    if focus is None:
        raise ConfigError("phase-flip correction needs a defocus and there is none: give one, or leave it out")
    functions = [_ctf(imaging, value, shape, voxel_size, device) for value in focus]
    return torch.stack([torch.where(ctf < 0, -1.0, 1.0) for ctf in functions]).float()


def phase_flip(
    series: Tensor,
    imaging: ImagingConfig,
    angles: Sequence[float],
    voxel_size: float,
    *,
    defocus: Sequence[float] | None = None,
) -> Tensor:
    """Correct the phases of a `(..., tilts, y, x)` series by the sign of its CTF; see `ctf_sign`."""
    y, x = series.shape[-2:]
    return apply_transfer(series, ctf_sign(imaging, angles, (y, x), voxel_size, series.device, defocus=defocus))


def _frequencies(shape: tuple[int, int], device: Device) -> tuple[Tensor, Tensor]:
    """Cycles per pixel of the mirrored image, `(2 y, 1)` and `(1, x + 1)`, float64 where the device has it."""
    y, x = shape
    ky = torch.fft.fftfreq(2 * y, dtype=torch.float64)[:, None]
    kx = torch.fft.rfftfreq(2 * x, dtype=torch.float64)[None]
    if torch.device(device).type == "mps":
        ky, kx = ky.float(), kx.float()
    return ky.to(device), kx.to(device)


def _each(defocus: Sequence[float] | None, imaging: ImagingConfig, angles: Sequence[float]) -> tuple[float, ...] | None:
    """The defocus of each tilt, None for no CTF."""
    if defocus is None:
        if imaging.defocus is None:
            return None
        defocus = [imaging.defocus] * len(angles)
    each = tuple(defocus)
    if len(each) != len(angles):
        raise ConfigError(f"got {len(each)} values of defocus for {len(angles)} tilts; expected one a tilt")
    given = ("defocus", "µm", each), ("spherical aberration", "mm", [imaging.cs]), ("voltage", "kV", [imaging.voltage])
    for (what, unit, values), most in zip(given, (_MOST_DEFOCUS, _MOST_CS, _MOST_VOLTAGE), strict=True):
        wrong = [value for value in values if not abs(value) <= most]  # also NaN
        if wrong:
            raise ConfigError(
                f"got a {what} of {wrong[0]:g} {unit}; expected up to {most:g} {unit}: is the unit right?"
            )
    return each


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
