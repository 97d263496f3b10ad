"""Tilt series of a volume, and the weighted back-projection of a tilt series.

The tilt axis is y, so each y row of a volume is an independent slice. Projection at tilt `t` sums the slice along the
beam onto the detector coordinate `u = x cos t + z sin t`. By the projection-slice theorem its Fourier transform is the
central line `(kz, kx) = ku (sin t, cos t)`, hence `kz = +tan(t) kx`. The two directions are a sparse matrix and its
transpose, applied to all rows of all volumes of a batch at once. Both are differentiable.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from scipy.sparse import csr_array
from torch import Tensor

from cryowae.config.scene import ImagingConfig, ReconstructionConfig
from cryowae.errors import TiltError

RAMP = ReconstructionConfig(filter="ramp")
"""A ramp without any window."""

_WINDOWS = {"hann": 0.5, "hamming": 0.46}  # share `a` of the cosine window `1 - a + a cos(2 pi k)`
_RELAXATION = 0.03  # cycles per voxel


@dataclass(frozen=True, eq=False)
class TiltGeometry:
    """Single-axis geometry of a tilt series.

    Attributes
    ----------
    angles
        Tilts in degrees, in increasing order.
    depth, width
        Extent of the volume along z and x, in voxels.
    detector
        Pixels of a detector row; by default wide enough for `width` at no tilt.
    device
        Device of the matrices.
    centre
        Position of the middle of the volume along x, in voxels from the tilt axis: for a part of a wide volume.

    Raises
    ------
    TiltError
        If there are fewer than two angles, or any is beyond 90 degrees.
    """

    angles: tuple[float, ...]
    depth: int
    width: int
    detector: int = 0
    device: str = "cpu"
    centre: float = 0.0

    def __post_init__(self) -> None:
        if len(self.angles) < 2 or max(abs(a) for a in self.angles) > 90:
            raise TiltError(f"got tilts {self.angles}, expected at least two within -90..90 degrees")
        if self.detector == 0:
            object.__setattr__(self, "detector", self.width)

    @cached_property
    def projection(self) -> Tensor:
        """Sparse `(tilts * detector, z * x)` in CSR form."""
        return _csr(self._transpose.T.tocsr(), self.device)

    @cached_property
    def back_projection(self) -> Tensor:
        """Its transpose, in CSR form too."""
        return _csr(self._transpose, self.device)

    @cached_property
    def _transpose(self) -> csr_array[Any]:
        # entries are created voxel by voxel, so they are already sorted by column
        z = torch.arange(self.depth, dtype=torch.float64) - (self.depth - 1) / 2
        x = torch.arange(self.width, dtype=torch.float64) - (self.width - 1) / 2 + self.centre
        t = torch.deg2rad(torch.tensor(self.angles, dtype=torch.float64))
        u = x[None, :, None] * t.cos() + z[:, None, None] * t.sin() + (self.detector - 1) / 2
        low = u.floor()
        weight = _cubic((u - low).float())
        pixel = low.int()[..., None] + torch.arange(-1, 3, dtype=torch.int32)
        hit = (pixel >= 0) & (pixel < self.detector)
        column = pixel + torch.arange(len(t), dtype=torch.int32)[:, None] * self.detector
        starts = torch.zeros(self.depth * self.width + 1, dtype=torch.int32)
        starts[1:] = hit.flatten(2).sum(2).flatten().cumsum(0)
        size = (self.depth * self.width, len(t) * self.detector)
        return csr_array((weight[hit].numpy(), column[hit].numpy(), starts.numpy()), shape=size)


def project(volume: Tensor, geometry: TiltGeometry) -> Tensor:
    """Projections of a volume along the beam.

    Parameters
    ----------
    volume
        `(..., z, y, x)` float32.
    geometry
        Its `depth` and `width` are the volume's z and x.

    Returns
    -------
    series
        `(..., tilts, y, detector)`; every pixel is the sum of the volume along its ray, in voxels. The footprint of
        a voxel, a cubic B-spline, is deconvolved (divided by `sinc(k)^4`, down to 0.25), so that the
        projection-slice theorem holds to 2 % up to half of Nyquist.
    """
    series = _product(volume.reshape(-1, *volume.shape[-3:]), geometry, back=False)
    return _filter_rows(series, _sharpen(geometry.detector)).reshape(*volume.shape[:-3], *series.shape[1:])


def back_project(series: Tensor, geometry: TiltGeometry, weighting: ReconstructionConfig = RAMP) -> Tensor:
    """Weighted back-projection.

    Parameters
    ----------
    series
        `(..., tilts, y, detector)` float32.
    geometry
        The tilts and the box that is reconstructed.
    weighting
        Filter of the projections, a ramp by default; its CTF correction is not applied.

    Returns
    -------
    volume
        `(..., z, y, x)`, scaled so that `back_project(project(v))` has unit gain on the measured components.
    """
    weights = projection_weights(weighting, geometry.angles, geometry.depth, 2 * geometry.detector)
    rows = _filter_rows(series.reshape(-1, *series.shape[-3:]), (weights * _sharpen(geometry.detector))[:, None])
    volume = _product(rows, geometry, back=True)
    return volume.reshape(*series.shape[:-3], *volume.shape[1:])


def projection_weights(config: ReconstructionConfig, angles: Sequence[float], depth: int, width: int) -> Tensor:
    """Factors of every tilt before it is back-projected.

    A ramp counts a tilt with the angle that it represents, in radians: half the gap to the next tilt on either side
    (trapezoidal rule, the outermost with their only gap twice). `hann` and `hamming` are cosine windows on the ramp. A
    SIRT-like filter is the ramp times `1 - (1 - s / |k|)^n` for `n` iterations, with the relaxation `s` = 0.03 cycles
    per voxel (the form of IMOD's `-FakeSIRTiterations`).

    Exact weights follow Harauz & van Heel (Optik 73, 146, 1986). They are right for irregular tilts too. A specimen of
    thickness `D` turns the plane of Fourier space that a tilt measures into a slab of thickness `1 / D`; the slab of
    tilt `j` overlaps the component `k` of tilt `i`, which lies `|k sin(t_i - t_j)|` from its middle, by the triangle
    `1 - D |k sin(t_i - t_j)|`. The weight is `1 / D` over the sum of the overlaps. For dense and even tilts this is the
    ramp times their angle; where tilts are missing, isolated tilts do not get too much weight.

    Parameters
    ----------
    config
        Its filter, iterations and fall-off.
    angles
        Degrees, in increasing order, two or more.
    depth
        Thickness `D` of the specimen in voxels.
    width
        Pixels of a padded detector row.

    Returns
    -------
    weights
        `(tilts, width // 2 + 1)` float32 per rfft frequency, on the CPU.
    """
    t = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
    k = torch.fft.rfftfreq(width, dtype=torch.float64)
    if config.filter == "exact":
        overlaps = [(1 - depth * k * (one - t).sin().abs()[:, None]).clamp(min=0).sum(0) for one in t]
        weights = 1 / torch.stack(overlaps) / depth
    else:
        weights = torch.gradient(t)[0][:, None] * _ramp(width)  # the angle that each tilt represents
    window = _WINDOWS.get(config.filter, 0.0)
    gain = torch.exp(-0.5 * (k / (config.falloff or torch.inf)) ** 2)
    gain = gain * (1 - window + window * torch.cos(2 * torch.pi * k))
    if config.filter == "sirt":
        share = (_RELAXATION / k.clamp(min=1 / width)).clamp(max=1.0)
        gain = gain * (1 - (1 - share) ** config.sirt)
    return (weights * gain).float()


def even_tilts(tilt_min: float, tilt_max: float, step: float) -> tuple[float, ...]:
    """Angles from `tilt_min` to `tilt_max` in steps of `step` degrees, `tilt_max` included if the steps reach it."""
    return tuple(tilt_min + step * i for i in range(int((tilt_max - tilt_min) / step + 1e-6) + 1))


def tilt_angles(imaging: ImagingConfig) -> tuple[float, ...]:
    """The tilts of a series in degrees, ascending."""
    return even_tilts(*imaging.tilts) if imaging.angles is None else imaging.angles


class _Product(torch.autograd.Function):
    """A sparse matrix of a geometry times a dense one; the gradient uses the stored transpose, which is much faster."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, geometry: TiltGeometry, back: bool) -> Tensor:
        ctx.geometry, ctx.back = geometry, back
        return (geometry.back_projection if back else geometry.projection) @ dense

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradients[0], ctx.geometry, not ctx.back), None, None  # type: ignore[no-untyped-call]


def _product(volume: Tensor, geometry: TiltGeometry, back: bool) -> Tensor:
    """`(n, z, y, x)` volumes to `(n, tilts, y, detector)` sums along rays, or back; y stays."""
    n, outer, y, inner = volume.shape
    columns = volume.permute(1, 3, 0, 2).reshape(outer * inner, n * y)
    rows: Tensor = _Product.apply(columns, geometry, back)  # type: ignore[no-untyped-call]
    size = (geometry.depth, geometry.width) if back else (len(geometry.angles), geometry.detector)
    return rows.view(*size, n, y).permute(2, 0, 3, 1)


def _sharpen(detector: int) -> Tensor:
    k = torch.fft.rfftfreq(2 * detector)
    return 1 / torch.sinc(k).pow(4).clamp(min=0.25)


def _cubic(past: Tensor) -> Tensor:
    """`(..., 4)`: the cubic B-spline at the pixels -1, 0, 1 and 2, for a point `past` the pixel 0."""
    # its aliases around the sampling frequency are much weaker than those of linear interpolation
    far, near = 1 - past, past
    return torch.stack([far**3, 4 - 3 * near**2 * (2 - near), 4 - 3 * far**2 * (2 - far), near**3], -1) / 6


def _filter_rows(series: Tensor, response: Tensor) -> Tensor:
    width = series.shape[-1]
    spectrum = torch.fft.rfft(series, n=2 * width, dim=-1) * response.to(series.device)
    filtered: Tensor = torch.fft.irfft(spectrum, n=2 * width, dim=-1)
    return filtered[..., :width]


def _csr(matrix: csr_array[Any], device: str) -> Tensor:
    starts, columns, weights = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(starts, columns, weights, size=matrix.shape, check_invariants=False).to(device)


def _ramp(width: int) -> Tensor:
    # the band-limited ramp sampled in real space gives the correct mean (Kak & Slaney 1988, eq. 3.61)
    n = torch.arange(width, dtype=torch.float64)
    n = torch.minimum(n, width - n)
    taps = torch.where(n % 2 == 1, -1.0 / (torch.pi * n.clamp(min=1)) ** 2, torch.zeros_like(n))
    taps[0] = 0.25
    ramp: Tensor = torch.fft.rfft(taps).real
    return ramp
