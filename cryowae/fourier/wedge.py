"""The wedge: which Fourier components a single-axis tilt series measures.

The tilt axis is y. By the projection-slice theorem a projection at tilt `t` measures the plane `kz = +tan(t) kx`, for
every ky; a series measures a fan of such planes between its extreme tilts, and nothing beyond them. This is the only
definition of it in the package: with sharp edges, soft edges or single tilts, rotated or not. (The estimate of the tilt
range, `cryowae.tomogram.measured_range`, fits the power of the components by direction: it has no mask.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import torch
from cachetools import cached
from torch import Tensor

from cryowae.errors import TiltError
from cryowae.fourier.grids import Device, hermitian_mask, mask_cache

RotationRows = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

IDENTITY: RotationRows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Wedge:
    """Mask of the components that a tilt series measures (1) and does not measure (0) in Fourier space.

    Make one with `Wedge.binary`, `Wedge.soft` or `Wedge.per_tilt`. A wedge is an immutable value: wedges with the same
    numbers are equal, and a wedge can be the key of a dictionary.

    Attributes
    ----------
    tilt_min, tilt_max
        Extreme tilts in degrees.
    edge
        Width of the soft edge in degrees, 0 for a sharp one.
    angles
        Single tilts in degrees, in increasing order; empty if everything between the extreme tilts is measured.
    thickness
        Thickness of the slab that each single tilt measures, in cycles per voxel.
    rotation
        Matrix that takes the wedge's own `(z, y, x)` axes to those of the volume.

    Raises
    ------
    TiltError
        If a tilt is not a number within -90..90 degrees, or the range is empty.
    """

    tilt_min: float
    tilt_max: float
    edge: float = 0.0
    angles: tuple[float, ...] = ()
    thickness: float = 0.0
    rotation: RotationRows = IDENTITY

    def __post_init__(self) -> None:
        for tilt in (self.tilt_min, self.tilt_max, *self.angles):
            if not abs(tilt) <= 90:  # NaN is not
                raise TiltError(f"got a tilt of {tilt:g} degrees, expected tilts within -90..90: check the angles")
        if self.tilt_min >= self.tilt_max:
            raise TiltError(
                f"got a tilt range from {self.tilt_min:g} to {self.tilt_max:g} degrees, expected the lower tilt first "
                "and two that differ: check the order"
            )
        if not 0 <= self.edge <= 90:
            raise TiltError(f"got a soft edge of {self.edge:g} degrees, expected 0 to 90: give a few degrees")
        if self.angles and not 0 < self.thickness <= 1:
            raise TiltError(
                f"got a thickness of {self.thickness:g} cycles per voxel for each tilt's slab, expected more than 0 "
                "and at most 1: give one over the size of the object in voxels"
            )

    @classmethod
    def binary(cls, tilt_min: float, tilt_max: float) -> Wedge:
        """Only components between two tilts are measured, the ends included."""
        return cls(float(tilt_min), float(tilt_max))

    @classmethod
    def soft(cls, tilt_min: float, tilt_max: float, edge: float) -> Wedge:
        """As `binary`, but falling from 1 to 0 as a raised cosine, `edge` degrees wide and centred on both ends."""
        return cls(float(tilt_min), float(tilt_max), edge=float(edge))

    @classmethod
    def per_tilt(cls, angles: Sequence[float], thickness: float) -> Wedge:
        """The tilts that were recorded: one slab for each tilt.

        Parameters
        ----------
        angles
            At least two tilts in degrees, in any order.
        thickness
            Thickness of a slab in cycles per voxel. The transform of an object of `D` voxels is smooth over `1 / D`, so
            a projection measures a slab of that thickness (Crowther, DeRosier and Klug 1970, Proc. R. Soc. A 317, 319).
        """
        tilts = tuple(sorted(float(angle) for angle in angles))
        if len(tilts) < 2:
            raise TiltError(f"got {len(tilts)} tilt angles, expected at least 2: is the list complete?")
        return cls(tilts[0], tilts[-1], angles=tilts, thickness=float(thickness))

    @property
    def is_rotated(self) -> bool:
        """Whether the mask depends on ky as well."""
        return self.rotation != IDENTITY

    def rotated(self, rotation: Tensor | Sequence[Sequence[float]]) -> Wedge:
        """The wedge of the rotated volume: if `v` has this one, `rotate(v, rotation)` has the result.

        Parameters
        ----------
        rotation
            `(3, 3)`, proper, acting on `(z, y, x)` column vectors. Rotations compose: `w.rotated(a).rotated(b)` is
            `w.rotated(b @ a)`.
        """
        matrix = torch.as_tensor(rotation, dtype=torch.float64).cpu()
        if matrix.shape != (3, 3) or not torch.allclose(matrix @ matrix.T, torch.eye(3).double(), atol=1e-4):
            raise ValueError(f"expected a (3, 3) rotation matrix, got {tuple(matrix.shape)} that is not orthogonal")
        if torch.linalg.det(matrix) < 0:
            raise ValueError("expected a proper rotation, got one that mirrors")
        product = matrix @ torch.tensor(self.rotation, dtype=torch.float64)
        if torch.allclose(product, torch.eye(3).double(), rtol=0, atol=1e-7):
            return replace(self, rotation=IDENTITY)
        rows = [(float(z), float(y), float(x)) for z, y, x in product.tolist()]
        return replace(self, rotation=(rows[0], rows[1], rows[2]))

    def flipped(self) -> Wedge:
        """The wedge with all tilts negated, for software that uses the other sign of the tilt angle."""
        angles = tuple(-angle for angle in reversed(self.angles))
        return replace(self, tilt_min=-self.tilt_max, tilt_max=-self.tilt_min, angles=angles)

    def own_axes(self, kz: Tensor, ky: Tensor, kx: Tensor) -> tuple[Tensor, Tensor]:
        """Frequencies `(kz, kx)` along the wedge's own axes: a component's tilt is `atan(kz / kx)`."""
        if not self.is_rotated:
            return kz, kx
        z, y, x = self.rotation  # the columns of the matrix are the wedge's axes; its transpose is its inverse
        return z[0] * kz + y[0] * ky + x[0] * kx, z[2] * kz + y[2] * ky + x[2] * kx

    def value(self, kz: Tensor, ky: Tensor, kx: Tensor) -> Tensor:
        """Weight of each component, from 0 (not measured) to 1 (measured).

        Parameters
        ----------
        kz, ky, kx
            Frequencies in cycles per voxel, of any shapes that broadcast.

        Returns
        -------
        value
            float32, of the shape to which they broadcast, without ky if the wedge is not rotated. It is 1 on the line
            `kz = kx = 0` of the wedge's own axes, which every tilt measures.
        """
        z, x = self.own_axes(kz, ky, kx)
        # components on an edge, and those at 0 / 0, are measured: rounding must not decide
        slack = 1e-12 if z.dtype == torch.float64 else 1e-6
        if self.angles:
            return _slabs(z, x, self.angles, self.thickness * (1 + slack) / 2)
        square = z * z + x * x
        if self.edge == 0 or self.tilt_max - self.tilt_min == 180:
            # sin(a - low) sin(a - high) is negative between the two tilts, whether k or -k has the angle a
            product = _distance(z, x, self.tilt_min) * _distance(z, x, self.tilt_max)
            return (product <= slack * square).float()
        low, high = math.radians(self.tilt_min), math.radians(self.tilt_max)
        middle, half = (low + high) / 2, (high - low) / 2
        along, across = x * math.cos(middle) + z * math.sin(middle), z * math.cos(middle) - x * math.sin(middle)
        beyond = (torch.atan2(across.abs(), along.abs()) - half) / math.radians(self.edge)
        value = 0.5 - 0.5 * torch.sin(math.pi * beyond.clamp(-0.5, 0.5))
        return torch.where(square <= slack**2, 1.0, value).float()

    def missing(self, kz: Tensor, ky: Tensor, kx: Tensor, margin: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Components well inside the missing wedge; soft edges and single tilts count by their range.

        Parameters
        ----------
        kz, ky, kx
            Frequencies in cycles per voxel, of any shapes that broadcast.
        margin
            Half axes `(z, x)` of an ellipse about the component, along the wedge's own axes, in cycles per voxel: it
            must not contain any measured component. A window on the volume spreads its spectrum that far.

        Returns
        -------
        missing
            bool, of the shape to which they broadcast, without ky if the wedge is not rotated.
        """
        z, x = self.own_axes(kz, ky, kx)
        found = Wedge.binary(self.tilt_min, self.tilt_max).value(z, z, x) == 0
        for tilt in (self.tilt_min, self.tilt_max):
            along_z, along_x = margin[0] * math.cos(math.radians(tilt)), margin[1] * math.sin(math.radians(tilt))
            # a circle has its radius in all directions: rounding must not decide on components at that distance
            reach = margin[0] if margin[0] == margin[1] else math.hypot(along_z, along_x)
            found &= _distance(z, x, tilt).abs() > reach
        return found

    def mask(self, shape: Sequence[int], device: Device = "cpu") -> Tensor:
        """The wedge on the half spectrum of a volume.

        Parameters
        ----------
        shape
            `(z, y, x)` of the real volume, in voxels.
        device
            Device of the mask.

        Returns
        -------
        mask
            `(z, y, x // 2 + 1)` float32, unshifted rfft layout. A Nyquist component represents both signs of its
            frequency, and counts as measured as far as both are. Otherwise a mask would not be Hermitian, and applying
            it twice would differ from applying it once. Do not write to the mask: it is kept for the next call, and
            the mask of a wedge that is not rotated is a view that repeats `mask_plane` along y.
        """
        z, y, x = (int(n) for n in shape)
        if not self.is_rotated:
            return self.mask_plane((z, x), device)[:, None].expand(z, y, x // 2 + 1)
        return _kept_mask(self, (z, y, x), torch.device(device))

    def mask_plane(self, shape: Sequence[int], device: Device = "cpu") -> Tensor:
        """`(z, x // 2 + 1)` float32: the mask for every ky, for a wedge that is not rotated.

        Parameters
        ----------
        shape
            `(z, x)` of the real volume.
        """
        if self.is_rotated:
            raise ValueError("the mask of a rotated wedge depends on ky: use mask or mask_rows")
        z, x = (int(n) for n in shape)
        return _kept_mask(self, (z, 1, x), torch.device(device))[:, 0]

    def mask_rows(self, shape: Sequence[int], rows: slice, device: Device = "cpu") -> Tensor:
        """`mask(shape)[:, rows]` without the memory for the rest of it: for volumes that do not fit into memory."""
        z, y, x = (int(n) for n in shape)
        if not self.is_rotated:
            return self.mask_plane((z, x), device)[:, None].expand(z, len(range(*rows.indices(y))), x // 2 + 1)
        return hermitian_mask(self.value, (z, y, x), torch.device(device), rows)

    def apply(self, volume: Tensor) -> Tensor:
        """Remove the components that are not measured, with periodic boundaries.

        Parameters
        ----------
        volume
            `(..., z, y, x)` real. The result near a face depends on the volume beyond it: apply the wedge to a larger
            volume, and cut the subtomogram out of it afterwards.

        Returns
        -------
        measured
            The same shape, type and device.
        """
        data = volume if volume.dtype in (torch.float32, torch.float64) else volume.float()
        z, y, x = data.shape[-3:]
        if self.is_rotated:
            spectrum = torch.fft.rfftn(data, dim=(-3, -2, -1)) * self.mask((z, y, x), data.device)
            measured: Tensor = torch.fft.irfftn(spectrum, s=(z, y, x), dim=(-3, -2, -1))
        else:  # the mask does not depend on ky: no transform along y
            spectrum = torch.fft.rfftn(data, dim=(-3, -1)) * self.mask_plane((z, x), data.device)[:, None]
            measured = torch.fft.irfftn(spectrum, s=(z, x), dim=(-3, -1))
        return measured.to(volume.dtype)


@cached(mask_cache(2**28), lock=Lock())
def _kept_mask(wedge: Wedge, shape: tuple[int, int, int], device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a mask made in inference mode could not be used in training
        return hermitian_mask(wedge.value, shape, device)


def _distance(z: Tensor, x: Tensor, tilt: float) -> Tensor:
    """Signed distance of components from the plane that a tilt measures."""
    return z * math.cos(math.radians(tilt)) - x * math.sin(math.radians(tilt))


def _slabs(z: Tensor, x: Tensor, tilts: tuple[float, ...], reach: float) -> Tensor:
    measured = torch.zeros(torch.broadcast_shapes(z.shape, x.shape), dtype=torch.bool, device=z.device)
    for tilt in tilts:
        measured |= _distance(z, x, tilt).abs() <= reach
    return measured.float()
