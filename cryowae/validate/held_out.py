"""Held-out tilts, on arrays: does a restored tomogram predict images that it was not made from?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import cos, radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cryowae.config.options import Consistency, Contrast, RestoreOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import TomogramError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.tomography import project_volume, reconstruct_volume
from cryowae.metrics.rings import (
    BANDS,
    Agreement,
    curve_edges,
    outlier_pixels,
    replace_outliers,
    ring_correlation,
    ring_spectra,
    smooth_correlation,
)
from cryowae.models.weights import load_model, pick_device
from cryowae.progress import SILENT, Progress
from cryowae.restore import Restored, change_consistency, restore_array
from cryowae.restore.network import Model
from cryowae.validate.dropping import require_split
from cryowae.validate.evidence import GAUSSIAN, GAUSSIAN_SIGMA, INPUT, Control, Evidence, restored_name

Spectra = NDArray[np.complex128]

_LEAST = 32  # pixels along an edge of the part that is compared
_SHIFTS = 40


def score_held_out(
    images: Tensor,
    angles: Sequence[float],
    dropped: Sequence[int],
    *,
    voxel_size: float,
    depth: int,
    model: Model | str | Path = "default",
    settings: Sequence[Consistency] = ("off", "soft"),
    options: RestoreOptions | None = None,
    contrast: Contrast = "auto",
    field: tuple[int, int] | None = None,
    keep_beads: bool = False,
    config: ReconstructionConfig | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Evidence:
    """Reconstruct a tilt series without some images, restore the result, and compare its projections with them.

    The restored volume is projected to the angles of the images that were left out. Both are cut to the central part
    of the images. Beads of the real image are replaced by the local mean in both. The Fourier ring correlation under a
    Hann window compares them.

    Parameters
    ----------
    images
        `(tilts, y, x)` aligned, mean 0, with the tilt axis y in the middle.
    angles
        Degrees, increasing, with the sign of `kz = +tan(t) kx`.
    dropped
        Positions of the images that are left out.
    voxel_size
        Angstrom.
    depth
        Voxels of the tomogram along z.
    model
        Weights by name or path, or what `load_model` returns.
    settings
        Settings of `--consistency`; they share the passes of the network.
    options
        Passes, device and windows of the restoration.
    contrast
        Is protein dark or bright in the images? `auto` decides from the grey values of the tomogram.
    field
        `(rows, columns)` about the middle that every image covers; all by default. The columns that are compared are
        at most `x cos(t)` for the highest tilt `t` that was left out: the middle plane of the specimen that it shows
        there is also in the images without tilt.
    keep_beads
        Compare beads and contaminants too.
    config
        Filter of the reconstruction; Hann by default.
    seed
        Of the random shifts that give the level of chance.

    Returns
    -------
    evidence
        One unit for each image that was left out, in increasing order of the angles.

    Raises
    ------
    TiltError
        If fewer than two images are dropped or kept, or more are dropped than kept.
    TomogramError
        If the part that can be compared is too small, or the volume cannot be restored.
    """
    require_split(dropped, angles, "the list")
    options = replace(options or RestoreOptions(), consistency="off")
    place = pick_device(options.device).replace("mps", "cpu")  # MPS has no sparse matrices
    out = sorted(dropped)
    kept = [i for i in range(len(angles)) if i not in out]
    tilts = tuple(angles[i] for i in out)
    seen = _Images(images[out].numpy(), _compared_field(images, tilts, field), keep_beads, seed)
    volume = reconstruct_volume(
        images[kept], [angles[i] for i in kept], depth, config or ReconstructionConfig(), place, progress
    )
    wedge = Wedge.binary(angles[kept[0]], angles[kept[-1]])
    network = load_model(model, options.device) if isinstance(model, str | Path) else model

    def restored(protein: Contrast, *, fast: bool = options.fast) -> Restored:
        how = replace(options, fast=fast)
        return restore_array(
            volume,
            wedge=wedge,
            voxel_size=voxel_size,
            model=network,
            options=how,
            contrast=protein,
            name="the tomogram",
            progress=progress,
        )

    def predicted(of: NDArray[np.float32], at: tuple[float, ...] = tilts) -> NDArray[np.float32]:
        centred = of - of.mean(dtype=np.float64).astype(np.float32)
        return seen.cut(project_volume(centred, at, place, progress).numpy())

    done = restored(contrast)
    predictions = {INPUT: predicted(volume), GAUSSIAN: predicted(gaussian_filter(volume, GAUSSIAN_SIGMA))}
    negated = predictions[INPUT]
    for setting in settings:
        made = change_consistency(done.data, volume, setting, wedge=wedge, contrast=done.contrast, progress=progress)
        predictions[restored_name(setting)] = predicted(made)
        if setting == settings[0]:
            negated = predicted(made, tuple(-t for t in reversed(tilts)))[::-1]
    agreements = seen.score(predictions)
    first = restored_name(settings[0])
    sign = Control("tilt sign", "as given", "negated", agreements[2].bands, seen.bands(negated))
    other: Contrast = "bright" if done.contrast == "dark" else "dark"
    one_pass = done if options.fast else restored(done.contrast, fast=True)
    turned = restored(other, fast=True)
    protein = Control(
        "contrast", done.contrast, other, *(seen.bands(predicted(one.data)) for one in (one_pass, turned))
    )
    example = int(np.argmin(np.abs(np.abs(tilts) - np.median(np.abs(tilts)))))
    shown = (seen.real[example], predictions[INPUT][example], predictions[first][example])
    return Evidence(
        agreements=agreements,
        controls=(sign, protein),
        contrast=done.contrast,
        field=seen.field,
        masked=float(seen.outliers.mean()),
        example=shown,
        example_unit=example,
        network_voxels_per_voxel=done.network_voxels_per_voxel,
        notes=done.notes,
    )


def compared_columns(columns: int, tilts: Sequence[float]) -> int:
    """Pixels about the tilt axis in which the highest of the tilts shows the middle plane of the others' field."""
    return int(columns * min(cos(radians(t)) for t in tilts)) // 2 * 2


def _compared_field(images: Tensor, tilts: Sequence[float], field: tuple[int, int] | None) -> tuple[int, int]:
    """Even `(rows, columns)`: the part that every image covers, and at most `x cos(t)` columns."""
    rows, columns = field or (int(images.shape[1]), int(images.shape[2]))
    columns = min(columns, compared_columns(int(images.shape[2]), tilts))
    rows, columns = rows // 2 * 2, columns // 2 * 2
    if min(rows, columns) < _LEAST:
        raise TomogramError(
            f"only {columns} x {rows} pixels are in all images up to a tilt of {max(map(abs, tilts)):.0f} degrees; "
            f"expected {_LEAST} or more along both edges: use a smaller --bin, or hold out lower tilts"
        )
    return rows, columns


class _Images:
    """The real images that were left out, cut and without beads, and the comparison of predictions with them."""

    def __init__(self, images: NDArray[np.float32], field: tuple[int, int], keep_beads: bool, seed: int) -> None:
        self.field, generator = field, np.random.default_rng(seed)
        raw = self._central(images)
        self.outliers = np.stack([np.zeros(field, bool) if keep_beads else outlier_pixels(image) for image in raw])
        self.real = replace_outliers(raw, self.outliers)
        self.spectra = ring_spectra(self.real)
        self.shifts = [[int(generator.integers(n // 4, n - n // 4 + 1)) for n in field] for _ in range(_SHIFTS)]

    def cut(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same part of predicted images, with the same pixels replaced."""
        return replace_outliers(self._central(predicted), self.outliers)

    def score(self, predictions: Mapping[str, NDArray[np.float32]]) -> tuple[Agreement, ...]:
        """Compare images that `cut` returned with the real ones, shifted real ones, and those of the other tilts."""
        spectra = {name: ring_spectra(one) for name, one in predictions.items()}
        chance: dict[str, list[NDArray[np.float64]]] = {name: [] for name in spectra}
        for by in self.shifts:  # one after another: the spectra of all of them might not fit into the memory
            shifted = ring_spectra(np.roll(self.real, by, (1, 2)))
            for name, one in spectra.items():
                chance[name].append(self._rings(one, shifted, BANDS).mean(0))
        found = []
        for name, one in spectra.items():
            bands, curve = (self._rings(one, self.spectra, edges) for edges in (BANDS, curve_edges()))
            swapped = [self._rings(one, np.roll(self.spectra, by, 0), BANDS) for by in range(1, len(one))]
            smooth = smooth_correlation(predictions[name], self.real)
            found.append(Agreement(name, bands, curve, smooth, np.array(chance[name]), np.mean(swapped, (0, 1))))
        return tuple(found)

    def bands(self, predicted: NDArray[np.float32]) -> NDArray[np.float64]:
        """`(n, 3)` correlation of images that `cut` returned with the real ones, in the bands alone."""
        return self._rings(ring_spectra(predicted), self.spectra, BANDS)

    def _rings(self, first: Spectra, second: Spectra, edges: Sequence[float] | NDArray[np.float64]) -> NDArray[Any]:
        return ring_correlation(first, second, edges, self.field[1])

    def _central(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = self.field
        top, left = (images.shape[1] - rows) // 2, (images.shape[2] - columns) // 2
        return images[:, top : top + rows, left : left + columns]
