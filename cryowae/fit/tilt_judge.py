"""The judge that has the tilt series: images that were left out must be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cryowae.config.options import FitOptions, RestoreOptions, SeriesOptions
from cryowae.config.scene import ReconstructionConfig
from cryowae.errors import ConfigError, TiltError
from cryowae.fourier.wedge import Wedge
from cryowae.imaging.tomography import project_volume, reconstruct_volume
from cryowae.metrics.rings import BANDS, outlier_pixels, replace_outliers, ring_correlation, ring_spectra
from cryowae.restore import restore_array
from cryowae.restore.network import Model
from cryowae.tomogram.item import Item
from cryowae.tomogram.series import TiltSeries, open_series

_ROWS = 128  # rows of the part that is judged; the rows of a tilt series are independent
_EVERY = 5
_OUTER = 0.07  # share of the tilts at each end that is left out
_FEWEST = 10  # tilts


@dataclass(frozen=True, eq=False)
class TiltJudge:
    """Reconstructs the tilt series without some images, restores it, and predicts these images.

    Left out are the outermost tilts at both ends, which test the wedge, and every fifth of the others, which tests the
    denoising. The score is the Fourier ring correlation, the mean over the bands of `cryowae validate` and the images.

    Attributes
    ----------
    item
        The tomogram, for its contrast.
    series
        The tilt series, open.
    factor
        Raw pixels along the edge of a voxel.

    Raises
    ------
    TiltError
        If there are too few tilts to leave some out.
    """

    item: Item
    series: TiltSeries
    factor: int

    def __post_init__(self) -> None:
        if len(self.series.angles) < _FEWEST:
            got = f"{self.series.path} has {len(self.series.angles)} tilts"
            raise TiltError(f"{got}; expected {_FEWEST} or more, so that some can be left out")

    @property
    def question(self) -> str:
        out = [f"{self.series.listed[i]:.0f}" for i in self.dropped]
        return f"Fourier ring correlation with images that were left out, at {', '.join(out)} degrees"

    @cached_property
    def dropped(self) -> tuple[int, ...]:
        """Positions of the tilts that are left out, in increasing order of the angles."""
        count = len(self.series.angles)
        outer = max(1, round(_OUTER * count))
        inner = range(outer + _EVERY // 2, count - outer, _EVERY)
        return (*range(outer), *inner, *range(count - outer, count))

    def score(self, model: Model) -> float:
        kept = [i for i in range(len(self.series.angles)) if i not in self.dropped]
        angles = [self.series.angles[i] for i in kept]
        made = restore_array(
            self._volume,
            wedge=Wedge.binary(angles[0], angles[-1]),
            voxel_size=self.series.voxel_size * self.factor,
            model=model,
            options=RestoreOptions(fast=True),
            contrast=self.item.protein,
        ).data
        out = [self.series.angles[i] for i in self.dropped]
        predicted = project_volume(made - made.mean(dtype=np.float64).astype(np.float32), out).numpy()
        spectra = ring_spectra(replace_outliers(self._cut(predicted), self._beads))
        real = ring_spectra(replace_outliers(self._real, self._beads))
        found = ring_correlation(spectra, real, BANDS, self._real.shape[-1])
        return float(np.nan_to_num(found).mean())  # a constant volume predicts nothing

    @cached_property
    def _images(self) -> Tensor:
        images = self.series.images(self.factor)
        first = max(0, (images.shape[1] - _ROWS) // 2)
        return images[:, first : first + _ROWS]

    @cached_property
    def _volume(self) -> NDArray[np.float32]:
        kept = [i for i in range(len(self.series.angles)) if i not in self.dropped]
        angles = [self.series.angles[i] for i in kept]
        return reconstruct_volume(self._images[kept], angles, self.item.tomogram.shape[0], ReconstructionConfig())

    @cached_property
    def _real(self) -> NDArray[np.float32]:
        return self._cut(self._images[list(self.dropped)].numpy())

    @cached_property
    def _beads(self) -> NDArray[np.bool_]:
        return np.stack([outlier_pixels(image) for image in self._real])

    def _cut(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The middle columns, which every tilt shows."""
        steepest = max(abs(self.series.angles[i]) for i in self.dropped)
        columns = int(images.shape[2] * np.cos(np.deg2rad(steepest))) // 2 * 2
        left = (images.shape[2] - columns) // 2
        return images[:, :, left : left + columns]


def tilt_judge(item: Item, options: FitOptions) -> TiltJudge:
    """The judge of the tilt series that belongs to a tomogram.

    Raises
    ------
    ConfigError
        If there is no series, or its pixels do not fit the tomogram's voxels.
    TomogramError, TiltError
        If the series or its angles cannot be read, or do not belong together.
    """
    if options.series is None:
        raise ConfigError("got no tilt series; give one with --series")
    series = open_series(options.series, options.series_tilts, SeriesOptions(alignment=options.alignment))
    ratio = item.tomogram.voxel_size / series.voxel_size
    factor = max(1, round(ratio))
    if abs(ratio - factor) > 0.02 * factor:
        raise ConfigError(
            f"{item.tomogram.path} has voxels of {item.tomogram.voxel_size:g} Å and {series.path} pixels of "
            f"{series.voxel_size:g} Å; expected a whole multiple: are they of one data set?"
        )
    return TiltJudge(item, series, factor)
