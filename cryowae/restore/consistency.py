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

from cryowae.fourier.grids import axis_slabs
from cryowae.fourier.wedge import Wedge
from cryowae.io.memory import scratch_array
from cryowae.progress import SILENT, Progress
from cryowae.tomogram.spectrum import SHELLS, half_spectra, shell_distance, shell_power
from cryowae.tomogram.volumes import Volume

_FEW = 20  # components; shells with fewer take the weight of the next shell


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
            shell = (shell_distance((nz, ny, nx), y, device) * (2 * SHELLS)).long().clamp(max=SHELLS - 1)
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
    sums = half_spectra(half1, half2, wedge)
    fsc = sums.correlation
    significant = fsc > 2 / np.sqrt(np.maximum(sums.count, 1))
    return _continued(np.where(significant, 2 * fsc / (1 + np.maximum(fsc, 0)), 0).clip(0, 1), sums.count)


def weights_from_noise(observed: NDArray[Any], wedge: Wedge) -> NDArray[np.float64]:
    """Weight of an observation in each shell when there are no halves: `max(0, 1 - N / P)`.

    `P` is the power of the shell's measured components and `N` that of the noise among them, see `shell_power`. If a
    tomogram was low-passed, the weights mean little: give the halves.

    Parameters
    ----------
    observed
        `(z, y, x)`, a block of the observation.

    Returns
    -------
    weights
        `(32,)`, from 0 to 1.
    """
    found = shell_power(observed, wedge)
    total, noise = found.power, found.noise
    return _continued(np.where(total > noise, 1 - noise / np.where(total > 0, total, 1), 0), found.count)


def _continued(weights: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shells with too few components, such as the innermost, take the weight of the next shell outside."""
    for i in reversed(range(SHELLS - 1)):
        if count[i] < _FEW:
            weights[i] = weights[i + 1]
    return weights
