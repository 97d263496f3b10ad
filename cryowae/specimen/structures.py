"""Structures: the density of one molecule in a cubic box, on one scale for all sources.

Solvent is 0 and the interior of a protein about 1. Density maps are brought to that scale here; atomic models and
artificial molecules are drawn from points, whose contrast is in those units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import irfftn, next_fast_len, rfftn
from torch import Tensor

Array = NDArray[np.float32]
Floats = NDArray[np.floating]

EDGE = 0.1
"""Density above which a voxel belongs to the molecule when its extent is measured."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Density of one molecule.

    Attributes
    ----------
    name
        Its name in lists and pictures.
    density
        `(n, n, n)` float32 on the CPU, the molecule about the centre `(n - 1) / 2`: solvent 0, protein about 1.
        The inscribed sphere holds the molecule, so that every rotation fits.
    voxel_size
        Angstrom.
    """

    name: str
    density: Tensor
    voxel_size: float
    _cache: dict[float, Structure] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(self.density.shape)
        if len(shape) != 3 or len(set(shape)) != 1:
            raise ValueError(f"got a density of shape {shape}, expected a cube (n, n, n): see Structure.from_density")
        if not self.voxel_size > 0:
            raise ValueError(f"got a voxel size of {self.voxel_size}, expected a positive length in angstrom")

    @classmethod
    def from_density(cls, name: str, density: Array, voxel_size: float, *, keep_centre: bool = False) -> Structure:
        """Structure in the tightest cube that holds it in every orientation.

        Parameters
        ----------
        name
            Its name.
        density
            `(z, y, x)`, solvent 0 and protein about 1.
        voxel_size
            Angstrom.
        keep_centre
            The centre of rotation is voxel `n // 2` of each axis (the middle of a membrane, the origin of a subunit)
            and not the middle of the molecule.
        """
        return cls(name, torch.from_numpy(_tight(density, keep_centre)), float(voxel_size))

    @property
    def diameter(self) -> float:
        """Twice the largest distance from the box centre at which there is density, in angstrom."""
        where = np.argwhere(self.density.numpy() > EDGE) - (len(self.density) - 1) / 2
        return float(2 * self.voxel_size * np.sqrt((where**2).sum(1).max(initial=0)))

    @property
    def volume(self) -> float:
        """Volume in cubic angstrom of the voxels that are denser than half a protein's interior."""
        return float((self.density > 0.5).sum()) * self.voxel_size**3

    def resampled(self, voxel_size: float) -> Structure:
        """The same molecule at another sampling, by cropping or padding its Fourier transform.

        Parameters
        ----------
        voxel_size
            Angstrom. Frequencies beyond the new Nyquist frequency are removed with a soft spherical edge.

        Returns
        -------
        structure
            From a cache, if it is one of the last four samplings.
        """
        key = round(float(voxel_size), 4)
        if abs(key - self.voxel_size) < 1e-3 * self.voxel_size:
            return self
        if key not in self._cache:
            if len(self._cache) > 3:
                del self._cache[next(iter(self._cache))]
            density = _magnified(self.density.numpy(), self.voxel_size / key)
            self._cache[key] = Structure.from_density(self.name, density, key, keep_centre=True)
        return self._cache[key]


def normalised(density: Array, voxel_size: float) -> Array:
    """A map on the common scale: solvent 0, the mean over the inside of the molecule 1.

    The solvent level is the median over the faces of the box. The molecule is where the map, smoothed to about 20
    angstrom, exceeds a third of its level inside. Voxels farther outside are masked with a soft edge, small fragments
    included.

    Parameters
    ----------
    density
        `(z, y, x)`, protein bright.
    voxel_size
        Angstrom.
    """
    faces = np.concatenate([density.take(i, axis).ravel() for axis in range(3) for i in (0, -1)])
    positive = np.maximum(density - np.median(faces), 0)
    smooth = ndimage.gaussian_filter(positive, 0.225 * 20 / voxel_size, mode="constant")
    inside = smooth > 0.35 * float(np.quantile(smooth[smooth > 0.1 * smooth.max()], 0.8))
    parts, count = ndimage.label(inside)
    sizes = ndimage.sum_labels(inside, parts, np.arange(1, count + 1))
    inside = np.isin(parts, 1 + np.flatnonzero(sizes > 0.03 * sizes.max()))
    distance = ndimage.distance_transform_edt(~inside) * voxel_size
    soft = 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - 10) / 15, 0, 1))
    return np.asarray(positive * soft / positive[inside].mean(), dtype=np.float32)


def density_of_points(points: Floats, weights: Floats, voxel_size: float, resolution: float | None = None) -> Array:
    """Density of Gaussian points, alias-free: drawn at twice the sampling, smoothed and cropped in Fourier space.

    Parameters
    ----------
    points
        `(n, 3)` positions `(z, y, x)` in angstrom, about the origin.
    weights
        `(n,)` integral of each point's density, in cubic angstrom of protein.
    voxel_size
        Angstrom.
    resolution
        Angstrom, two voxels by default; the Gaussian has the sigma `0.225 * resolution` that ChimeraX `molmap` takes.

    Returns
    -------
    density
        `(n, n, n)`, n odd, the origin at its centre.
    """
    sigma = 0.225 * (2 * voxel_size if resolution is None else resolution)
    reach = (np.abs(points).max(initial=0.0) + 4 * sigma) / voxel_size
    n = 2 * int(np.ceil(reach)) + 3
    while next_fast_len(n, real=True) != n:
        n += 2
    fine = 2 * n
    # coarse voxel i lies on fine voxel 2 i, so the coarse centre (n - 1) / 2 is the fine voxel n - 1
    at = np.asarray(points, dtype=np.float32) * (2 / voxel_size) + (n - 1)
    low = np.floor(at).astype(np.int64)
    part = at - low
    canvas = np.zeros(fine**3, dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(corner, part, 1 - part), axis=1) * weights
        index = np.ravel_multi_index(tuple((low + corner).T), (fine, fine, fine))
        canvas += np.bincount(index, share, minlength=fine**3).astype(np.float32)
    canvas *= (2 / voxel_size) ** 3
    spectrum = rfftn(canvas.reshape(fine, fine, fine))
    keep = np.r_[0 : (n + 1) // 2, fine - n // 2 : fine]
    spectrum = spectrum[keep][:, keep][:, :, : n // 2 + 1]
    k = np.fft.fftfreq(n).astype(np.float32)  # cycles per coarse voxel; the linear splat is divided out
    gain = np.exp(-2 * (np.pi * sigma / voxel_size * k) ** 2) / np.sinc(k / 2) ** 2
    spectrum = spectrum * gain[:, None, None] * gain[:, None] * gain[: n // 2 + 1]
    return np.asarray(irfftn(spectrum, (n, n, n)) / 8, dtype=np.float32)


def _tight(density: Array, keep_centre: bool, margin: float = 1.5) -> Array:
    """Smallest odd cube about the molecule whose inscribed sphere holds it with a margin in voxels."""
    where = np.argwhere(density > EDGE)
    if len(where) == 0:
        raise ValueError("got a density without a molecule, expected values near 1 inside it")
    centre = (where.min(0) + where.max(0)) / 2
    for step in range(1, 20):  # towards the smallest enclosing sphere (Badoiu & Clarkson 2003)
        centre = centre + (where[((where - centre) ** 2).sum(1).argmax()] - centre) / (step + 3)
    centre = np.array(density.shape) // 2 if keep_centre else np.rint(centre).astype(int)
    half = int(np.ceil(np.sqrt(((where - centre) ** 2).sum(1).max()) + margin))
    z, y, x = (slice(c, c + 2 * half + 1) for c in centre)
    return np.ascontiguousarray(np.pad(density, half)[z, y, x], dtype=np.float32)


def _magnified(density: Array, ratio: float) -> Array:
    """A cube magnified by `ratio` about voxel `n // 2`, which stays there, by cropping or padding its transform.

    It differs from `fourier_resample`, where the faces of the box stay: here the box is padded until it is a whole
    number of voxels in both samplings, and the edge at the new Nyquist frequency is soft. The transform is that of
    SciPy: another FFT would change scenes by rounding errors.
    """
    n = density.shape[0]
    # odd to be magnified: no Nyquist planes to lose
    sizes = np.arange(n + 5 - n % 2, n + 84, 2) if ratio > 1 else np.arange(n + 4, n + 84)
    error = np.abs(sizes * ratio / np.rint(sizes * ratio) - 1)
    size = int(sizes[np.flatnonzero(error < 1e-3)[0]] if (error < 1e-3).any() else sizes[error.argmin()])
    target = round(size * ratio)
    before = (size - n) // 2
    spectrum = rfftn(np.pad(density, (before, size - n - before)))
    half = (min(size, target) + 1) // 2
    result = np.zeros((target, target, target // 2 + 1), dtype=spectrum.dtype)
    old, new = (np.r_[0:half, side - half + 1 : side] for side in (size, target))
    result[np.ix_(new, new, np.arange(half))] = spectrum[np.ix_(old, old, np.arange(half))]
    k = np.fft.fftfreq(target).astype(np.float32)
    kz, ky, kx = k[:, None, None], k[None, :, None], np.abs(k[None, None, : target // 2 + 1])
    # the centre voxel comes to lie at `centre * target / size` and belongs on voxel `target // 2`
    shift = target // 2 - (before + n // 2) * target / size
    phase = np.exp(-2j * np.pi * shift * (kz + ky + kx))
    if target < size:
        radius = np.sqrt(kz**2 + ky**2 + kx**2)
        result *= 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 0.42) / 0.08, 0, 1))
    return np.asarray(irfftn(result * phase, (target,) * 3) * (target / size) ** 3, dtype=np.float32)
