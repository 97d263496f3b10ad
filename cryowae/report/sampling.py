"""Picture of samples: their mean, one of them, and their standard deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryowae.report.slices import Volume, central_slices, draw_slices, fit_slices
from cryowae.report.style import FAINT, WIDTH, house_style, new_figure, to_png, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGE, _GAP, _HEAD, _FOOT = 0.12, 0.1, 0.36, 0.3  # inches
_TALLEST = 6.0


@house_style()
def samples_figure(
    mean: Volume, sample: Volume, deviation: Volume, *, count: int, voxel_size: float, title: str = ""
) -> Figure:
    """Central slices of the mean of some samples, of the first one, and of their standard deviation.

    Mean and sample have the same grey limits, those of the sample. The standard deviation is white where it is large;
    its limits are stated.

    Parameters
    ----------
    mean, sample, deviation
        `(z, y, x)`, in memory or mapped. Three slices of each are read.
    count
        Number of samples.
    voxel_size
        Angstrom.
    title
        Heading, e.g. the name of the file.
    """
    shown = [central_slices(volume) for volume in (mean, sample, deviation)]
    low, high = (float(value) for value in np.percentile(shown[1].voxels(), (0.5, 99.5)))
    most = float(np.percentile(shown[2].voxels(), 99.8))
    greys = (low, high if high > low else low + 1)
    column = (WIDTH - 2 * _EDGE - 2 * _GAP) / 3
    scale, _, tall = fit_slices(shown[0].extent, column, _TALLEST)
    figure = new_figure(WIDTH, _HEAD + tall + _FOOT)
    write(figure, _EDGE, _EDGE, title[:85], size=11, weight="bold")
    names = (f"mean of {count} samples", "one sample", "standard deviation")
    for i, (name, one) in enumerate(zip(names, shown, strict=True)):
        limits = greys if i < 2 else (0.0, most or 1.0)
        draw_slices(figure, one, (_EDGE + i * (column + _GAP), _HEAD), scale, limits, name, voxel_size)
    share = most / (greys[1] - greys[0])
    words = (
        f"standard deviation: black 0, white {most:.3g} ({share:.0%} of the grey range of the sample); white: unsure"
    )
    write(figure, _EDGE, _HEAD + tall + 0.08, words, size=8, color=FAINT)
    return figure


draw_samples = to_png(samples_figure)
