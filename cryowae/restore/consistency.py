"""Data consistency: measured components of the input are put back into the restored volume.

A restored volume `Y` and the observation `X` are combined component by component,

    Z = M w X + M (1 - w) Y + (1 - M) v Y

with `M` the wedge's mask (1 = measured), `w` the weight of the observation in each Fourier shell (0 off, 1 hard, from
the signal-to-noise ratio soft) and `v` 1 to fill the wedge and 0 to leave it empty. This needs Fourier transforms of
the whole volume. If they do not fit into the memory allowed, they go through a scratch file in two passes: along y and
x for slabs of z, then along z for slabs of y, and back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryowae.fourier.grids import Device, axis_slabs, hermitian_weights
from cryowae.fourier.shells import cross_sums, shell_edges, shell_sums
from cryowae.fourier.wedge import Wedge
from cryowae.io.memory import scratch_array
from cryowae.progress import SILENT, Progress
from cryowae.tomogram.volumes import Volume

SHELLS = 32
"""Fourier shells from 0 to 0.5 cycles per voxel; frequencies beyond, in the corners, belong to the last."""

_EDGES = shell_edges(0.5 / SHELLS)
_EDGES[-1] *= 1 + 2**-23  # the next float32: the last shell includes 0.5 cycles per voxel
_FEW = 20  # components; shells with fewer take the weight of the next shell
_FAR_ALONG_Y = 0.35  # cycles per voxel
_RING = (0.3, 0.5)


def mix_measured(
    restored: NDArray[np.float32],
    observed: Volume | None,
    wedge: Wedge,
    weights: float | NDArray[np.float64],
    *,
    fill: bool = True,
    scratch_folder: Path | None = None,
    max_bytes: int = 2**30,
    slab_bytes: int = 2**27,
    device: torch.device | str = "cpu",
    progress: Progress = SILENT,
) -> None:
    """Combine a restored volume with its observation, in place.

    Parameters
    ----------
    restored
        `(z, y, x)`, overwritten; an array or a mapped file.
    observed
        `(z, y, x)` on the same scale, read in slabs of z. None stands for zeros: with weights of 1, the measured
        components are removed, and the inferred ones stay.
    wedge
        The measured region.
    weights
        `w`: one number, or one per shell, as `weights_from_halves` and `weights_from_noise` give it.
    fill
        Keep the components of the restored volume in the wedge; otherwise the wedge is emptied.
    scratch_folder
        Folder for a scratch file; the system's folder for temporary files if not given.
    max_bytes
        Transforms that need more than this go through the scratch file.
    slab_bytes
        Memory for the slabs that are processed at a time.

    Raises
    ------
    OutputError
        If there is no room for the scratch file.
    """
    if observed is not None and tuple(observed.shape) != restored.shape:
        raise ValueError(f"observed {tuple(observed.shape)} and restored {restored.shape} differ in shape")
    w = np.broadcast_to(np.asarray(weights, dtype=np.float32), SHELLS)
    if fill and not w.any():
        return
    sources: list[Volume] = []  # only volumes that contribute to the result are transformed
    if w.any() and observed is not None:
        sources.append(observed)
    if fill or (w < 1).any():
        sources.append(restored)
    nz, ny, nx = restored.shape
    shape = (len(sources), nz, ny, nx // 2 + 1)
    rows = max(1, slab_bytes // (shape[3] * 8 * len(sources) * 3))
    z_slabs, y_slabs = axis_slabs(nz, rows // ny), axis_slabs(ny, rows // nz)
    progress.begin("data consistency", len(z_slabs) * 2 + len(y_slabs), "slabs")
    with scratch_array(shape, np.complex64, scratch_folder, max_bytes=max_bytes) as spectrum:
        for z in z_slabs:
            for i, source in enumerate(sources):
                block = torch.from_numpy(np.array(source[z], dtype=np.float32)).to(device)
                spectrum[i, z] = torch.fft.rfft2(block).cpu().numpy()
            progress.advance()
        shell_weights = torch.from_numpy(w.copy()).to(device)
        for y in y_slabs:
            columns = torch.fft.fft(torch.from_numpy(spectrum[:, :, y].copy()).to(device), dim=1)
            mask = wedge.mask_rows((nz, ny, nx), y, device)
            shell = (_radius((nz, ny, nx), y, device) * (2 * SHELLS)).long().clamp(max=SHELLS - 1)
            share = mask * shell_weights[shell]
            rest = (1 - share) if fill else (mask - share)
            parts = {id(observed): share, id(restored): rest}
            mixed = sum(parts[id(source)] * columns[i] for i, source in enumerate(sources))
            spectrum[0, :, y] = torch.fft.ifft(mixed, dim=0).cpu().numpy()
            progress.advance()
        for z in z_slabs:
            block = torch.from_numpy(np.array(spectrum[0, z])).to(device)
            restored[z] = torch.fft.irfft2(block, s=(ny, nx)).cpu().numpy()
            progress.advance()
    progress.end()


def weights_from_halves(half1: NDArray[Any], half2: NDArray[Any], wedge: Wedge) -> NDArray[np.float64]:
    """Weight of the mean of two halves in each shell, by their Fourier shell correlation `F` over measured components.

    The mean has the spectral signal-to-noise ratio `2 F / (1 - F)` and therefore the Wiener weight `2 F / (1 + F)`
    (Rosenthal and Henderson 2003, J. Mol. Biol. 333, 721). Shells in which `F` is below twice its standard error for
    pure noise, `2 / sqrt(n)` for `n` components (van Heel and Schatz 2005), get no weight.

    Parameters
    ----------
    half1, half2
        `(z, y, x)`, the same block of both halves.

    Returns
    -------
    weights
        `(32,)`, from 0 to 1.
    """
    sums = cross_sums(_spectrum(half1), _spectrum(half2), _measured(half1.shape, wedge), _radius(half1.shape), _EDGES)
    fsc = sums.correlation
    significant = fsc > 2 / np.sqrt(np.maximum(sums.count, 1))
    return _continued(np.where(significant, 2 * fsc / (1 + np.maximum(fsc, 0)), 0).clip(0, 1), sums.count)


def weights_from_noise(observed: NDArray[Any], wedge: Wedge) -> NDArray[np.float64]:
    """Weight of an observation in each shell when there are no halves: `max(0, 1 - N / P)`.

    `P` is the power of the shell's measured components and `N` that of the noise among them. The noise of a tilt
    series passes the detector and interpolation along y, and the filter of the reconstruction in the plane of z and x,
    so that its power is a product, `n(kz, kx) m(ky)`. `n` is measured where `|ky|` is at least 0.35 cycles per voxel,
    and `m` where the radius in the plane of kz and kx is 0.3 to 0.5: there is hardly any signal there. The signal that
    remains counts as noise, so that the weights are too low rather than too high. If a tomogram was low-passed, the
    weights mean little: give the halves.

    Parameters
    ----------
    observed
        `(z, y, x)`, a block of the observation.

    Returns
    -------
    weights
        `(32,)`, from 0 to 1.
    """
    measured, distance = _measured(observed.shape, wedge), _radius(observed.shape)
    power = _spectrum(observed).abs().square()
    values = (measured, measured * power, measured * _noise(power, observed.shape, wedge))
    count, total, noise = (shell_sums(value, distance, _EDGES).numpy() for value in values)
    return _continued(np.where(total > noise, 1 - noise / np.where(total > 0, total, 1), 0), count)


def _noise(power: Tensor, shape: tuple[int, ...], wedge: Wedge) -> Tensor:
    """Power of the noise, `n(kz, kx) m(ky)`, from the components without signal."""
    nz, ny, nx = shape
    far = torch.fft.fftfreq(ny).abs() >= _FAR_ALONG_Y
    radius = (torch.fft.fftfreq(nz)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
    ring = (wedge.mask_plane((nz, nx)) > 0.5) & (radius >= _RING[0]) & (radius < _RING[1])
    if not far.any() or not ring.any():  # a volume of one or two voxels is all noise
        return power
    along = power.permute(1, 0, 2)[:, ring].mean(1)
    plane = power[:, far].mean(1) / along[far].mean().clamp(min=torch.finfo(power.dtype).tiny)
    noise: Tensor = plane[:, None] * along[:, None]
    return noise


def _radius(shape: tuple[int, ...], rows: slice = slice(None), device: Device = "cpu") -> Tensor:
    """Distance from zero frequency, in some rows of ky."""
    # Frequencies are computed in float32, and not rounded to float32 as in fourier.grids. Otherwise a few components
    # on the border of two shells would move to the other shell, and results would differ from those of version 0.3.
    kz, ky = (torch.fft.fftfreq(n, device=device) for n in shape[:2])
    kx = torch.fft.rfftfreq(shape[2], device=device)
    radius: Tensor = (kz[:, None, None].square() + ky[rows, None].square() + kx.square()).sqrt()
    return radius


def _measured(shape: tuple[int, ...], wedge: Wedge) -> Tensor:
    """Weight of each component: 0 if not measured, otherwise 1, or 2 if it also represents its conjugate."""
    return wedge.mask(shape) * hermitian_weights(shape[2])


def _continued(weights: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shells with too few components, such as the innermost, take the weight of the next shell outside."""
    for i in reversed(range(SHELLS - 1)):
        if count[i] < _FEW:
            weights[i] = weights[i + 1]
    return weights


def _spectrum(volume: NDArray[Any]) -> Tensor:
    # a Hann window on every axis: without it, the faces of the block leak into all shells
    block = torch.from_numpy(np.array(volume, dtype=np.float32))
    block = block - block.mean()
    for axis, n in enumerate(block.shape):
        window = torch.hann_window(n + 2, periodic=False)[1:-1]
        block = block * window.reshape([-1 if a == axis else 1 for a in range(3)])
    spectrum: Tensor = torch.fft.rfftn(block)
    return spectrum
