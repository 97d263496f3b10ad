"""Half sets, on arrays: does one half, restored, agree with the other half, which it was not made from?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cryowae.config.options import Consistency, Contrast, RestoreOptions
from cryowae.errors import TomogramError
from cryowae.fourier.grids import frequency_grid, radius
from cryowae.fourier.wedge import Wedge
from cryowae.metrics.regions import inside
from cryowae.metrics.rings import BANDS, Agreement, curve_edges, outlier_pixels, replace_outliers
from cryowae.models.weights import load_model
from cryowae.progress import SILENT, Progress
from cryowae.restore import Restored, change_consistency, restore_array
from cryowae.restore.network import Model
from cryowae.tomogram.content import OnContent, content_of
from cryowae.tomogram.contrast import estimate_contrast
from cryowae.tomogram.volumes import MeanOf, Volume
from cryowae.validate.evidence import GAUSSIAN, GAUSSIAN_SIGMA, INPUT, Control, Evidence, restored_name

Block = tuple[slice, slice, slice]
Values = NDArray[np.float64]

_EDGE = (48, 160)  # voxels along y and x of a block, at least and at most
_ACROSS = 3  # blocks along y and x, if the volume is not too small or too large
_LEAST_DEPTH = 16
_COARSE = (BANDS[0], 0.10)
_THIN, _SHELLS = 0.01, 50  # cycles per voxel
_ORDERS = 8


def score_halves(
    half1: Volume,
    half2: Volume,
    *,
    wedge: Wedge,
    voxel_size: float,
    model: Model | str | Path = "default",
    settings: Sequence[Consistency] = ("off", "soft"),
    options: RestoreOptions | None = None,
    contrast: Contrast = "auto",
    keep_beads: bool = False,
    progress: Progress = SILENT,
) -> Evidence:
    """Restore each half alone, and correlate it with the other half, which is not restored.

    The noise of the halves is independent, so that noise that a restoration kept or invented lowers the correlation.
    Only the measured components count: nothing is known of the others. The mean of both directions is taken.

    A perfect restoration `x` would correlate with the other half `y2 = x + n2` by `sqrt(FSC(y1, y2))`, since
    `FSC(y1, y2) = S / (S + N)` and `corr(x, y2) = S / sqrt(S (S + N))` with `S` and `N` the power of signal and noise
    (Rosenthal and Henderson 2003, J. Mol. Biol. 333, 721, section on C_ref). This is the ceiling.

    Parameters
    ----------
    half1, half2
        `(z, y, x)` of one shape, with independent noise.
    wedge
        The measured region.
    voxel_size, model, settings, options, contrast, keep_beads
        As in `score_held_out`. `soft` takes its weights from the one half alone.

    Returns
    -------
    evidence
        One unit for each block of the volume; blocks lie side by side along y and x.

    Raises
    ------
    TomogramError
        If the halves differ in shape, are too small, or cannot be restored.
    """
    if tuple(half1.shape) != tuple(half2.shape):
        got = " and ".join(" x ".join(map(str, half.shape)) for half in (half1, half2))
        raise TomogramError(f"the halves have {got} voxels (z, y, x); expected one shape: are they of one tomogram?")
    options = replace(options or RestoreOptions(), consistency="off")
    network = load_model(model, options.device) if isinstance(model, str | Path) else model
    halves = tuple(np.array(half[:], dtype=np.float32) for half in (half1, half2))
    mean = MeanOf(*halves)
    protein = estimate_contrast(mean, voxel_size).require("the halves") if contrast == "auto" else contrast
    other: Literal["dark", "bright"] = "bright" if protein == "dark" else "dark"
    blocks = volume_blocks(halves[0].shape)
    parts: list[dict[str, Any]] = []
    masked: list[float] = []
    for own, unseen in (halves, halves[::-1]):

        def restored(look: Contrast, fast: bool = options.fast, own: NDArray[np.float32] = own) -> Restored:
            how = replace(options, fast=fast)
            facts: dict[str, Any] = {"wedge": wedge, "voxel_size": voxel_size, "contrast": look, "name": "the half"}
            return restore_array(own, model=network, options=how, progress=progress, **facts)

        compare = _Comparison(unseen, wedge, blocks, keep_beads)
        done = restored(protein)
        found = {INPUT: compare(own), GAUSSIAN: compare(gaussian_filter(content_of(own)[:], GAUSSIAN_SIGMA))}
        for setting in settings:
            made = change_consistency(done.data, own, setting, wedge=wedge, contrast=protein, progress=progress)
            found[restored_name(setting)] = compare(made)
        once = done if options.fast else restored(protein, True)
        turned = restored(other, True)
        masked.append(float(compare.outliers.mean()))
        parts.append({"found": found, "used": compare.bands(once.data), "turned": compare.bands(turned.data)})
    names = list(parts[0]["found"])
    agreements = tuple(_mean(name, [part["found"][name] for part in parts]) for name in names)
    used, turned_bands = (np.mean([part[key] for part in parts], 0) for key in ("used", "turned"))
    return Evidence(
        agreements=agreements,
        controls=(Control("contrast", protein, other, used, turned_bands),),
        contrast=protein,
        field=tuple(part.stop - part.start for part in blocks[0]),
        masked=float(np.mean(masked)),
        ceiling=_ceiling(agreements[0].bands),
        ceiling_curve=_ceiling(agreements[0].curve),
        network_voxels_per_voxel=done.network_voxels_per_voxel,
        notes=done.notes,
    )


def volume_blocks(shape: tuple[int, ...]) -> list[Block]:
    """Blocks that divide a volume along y and x, all of one size; a rest at the edges is left out evenly.

    Raises
    ------
    TomogramError
        If there would be fewer than two.
    """
    z, *plane = shape
    sizes = [max(_EDGE[0], min(_EDGE[1], n // _ACROSS)) for n in plane]
    counts = [n // size for n, size in zip(plane, sizes, strict=True)]
    if z < _LEAST_DEPTH or counts[0] * counts[1] < 2:
        raise TomogramError(
            f"the halves have {' x '.join(map(str, shape))} voxels (z, y, x); expected {_LEAST_DEPTH} or more along z "
            f"and two blocks of {_EDGE[0]} along y or x: a spread needs two"
        )
    starts = [
        [(n - size * count) // 2 + size * i for i in range(count)]
        for n, size, count in zip(plane, sizes, counts, strict=True)
    ]
    return [(slice(0, z), slice(y, y + sizes[0]), slice(x, x + sizes[1])) for y, x in product(*starts)]


class _Comparison:
    """Shell correlation over the measured components, block by block, with a volume that was not used.

    Sums are taken over thin shells, of which the shells of bands and curve consist.
    """

    def __init__(self, unseen: NDArray[np.float32], wedge: Wedge, blocks: Sequence[Block], keep_beads: bool) -> None:
        self.blocks, self.wedge = blocks, wedge
        shape = tuple(part.stop - part.start for part in blocks[0])
        grid = frequency_grid(shape, dtype=torch.float64)
        shell = (radius(shape, dtype=torch.float64) / _THIN + 1e-9).long()
        self.used = (inside("measured", wedge, grid, 0.0) & (shell < _SHELLS)).flatten().nonzero()[:, 0]
        self.shell = shell.flatten()[self.used]
        self.windows = [torch.hann_window(n + 2, periodic=False)[1:-1] for n in shape]
        self.outliers = np.zeros(unseen.shape, bool) if keep_beads else outlier_pixels(unseen)
        self.content = content_of(unseen, "the half")
        self.unseen = self._spectra(unseen)
        self.power = np.array([self._sums(one, one) for one in self.unseen])

    def __call__(self, volume: NDArray[np.float32]) -> Agreement:
        spectra = self._spectra(volume)
        power, n = np.array([self._sums(one, one) for one in spectra]), len(spectra)
        cross = self._cross(spectra, power, 0)
        # in another order, no block meets its own partner
        orders = range(1, n, max(1, (n - 1) // _ORDERS))
        chance = np.array([_joined(*self._cross(spectra, power, by), BANDS).mean(0) for by in orders])
        bands, curve, coarse = (_joined(*cross, edges) for edges in (BANDS, curve_edges(), _COARSE))
        return Agreement("", bands, curve, coarse[:, 0], chance, chance.mean(0))

    def bands(self, volume: NDArray[np.float32]) -> Values:
        """`(blocks, 3)` correlation in the bands."""
        spectra = self._spectra(volume)
        return _joined(*self._cross(spectra, np.array([self._sums(one, one) for one in spectra]), 0), BANDS)

    def _cross(self, spectra: list[Tensor], power: Values, by: int) -> tuple[Values, Values, Values]:
        partners = [*self.unseen[by:], *self.unseen[:by]]
        cross = np.array([self._sums(*pair) for pair in zip(spectra, partners, strict=True)])
        return cross, power, np.roll(self.power, -by, 0)

    def _spectra(self, volume: NDArray[np.float32]) -> list[Tensor]:
        # the wedge of the whole volume is emptied first: the window on a block would smear it over the measured part
        filled = OnContent(volume, self.content)[:]
        clean = self.wedge.apply(torch.from_numpy(replace_outliers(filled[None], self.outliers[None])[0])).numpy()
        return [self._spectrum(clean[block]) for block in self.blocks]

    def _spectrum(self, block: NDArray[np.float32]) -> Tensor:
        z, y, x = self.windows
        data = torch.from_numpy(np.ascontiguousarray(block))
        weight = z[:, None, None] * y[:, None] * x
        centred = (data - (data * weight).sum(dtype=torch.float64) / weight.sum(dtype=torch.float64)) * weight
        spectrum: Tensor = torch.fft.rfftn(centred.float()).flatten()[self.used]
        return spectrum

    def _sums(self, first: Tensor, second: Tensor) -> Values:
        product = (first * second.conj()).real.double()
        sums: Values = torch.bincount(self.shell, product, _SHELLS).numpy()
        return sums


def _joined(cross: Values, power: Values, other_power: Values, edges: Sequence[float] | Values) -> Values:
    """`(blocks, shells)` correlation in wider shells from sums over thin ones; NaN where there is nothing."""
    limits = np.round(np.asarray(edges) / _THIN).astype(int)
    parts = [np.stack([sums[:, a:b].sum(1) for a, b in pairwise(limits)], 1) for sums in (cross, power, other_power)]
    norm = np.sqrt(parts[1] * parts[2])
    found: Values = np.divide(parts[0], norm, out=np.full_like(norm, np.nan), where=norm > 0)
    return found


def _mean(name: str, both: Sequence[Agreement]) -> Agreement:
    """The mean of both directions."""
    means = (
        np.mean([getattr(one, key) for one in both], 0) for key in ("bands", "curve", "smooth", "chance", "swapped")
    )
    return Agreement(name, *means)


def _ceiling(correlation: Values) -> Values:
    """Root of the mean correlation of the halves, 0 where it is negative."""
    known = np.isfinite(correlation).any(0)
    mean = np.full(correlation.shape[1], np.nan)
    mean[known] = np.nanmean(correlation[:, known], 0)
    root: Values = np.sqrt(mean.clip(min=0))
    return root
