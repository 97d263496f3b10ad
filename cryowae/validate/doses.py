"""Images of a tilt series whose exposure differs from that of their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryowae.tomogram.series import TiltSeries

_REACH = 2  # neighbours on either side
_MOST = 1.35  # ratio to the median of the neighbours, or its inverse


def unusual_doses(series: TiltSeries) -> tuple[str, ...]:
    """A note for each image whose mean or standard deviation is far from the median of its neighbours by angle.

    The mean counts only where images are electron counts: where it is above 0 in all, and above their standard
    deviation in most.
    """
    raw = (np.asarray(series.stack.data[i], np.float32) for i in series.alignment.sections.tolist())
    level = np.array([(image.mean(dtype=np.float64), image.std(dtype=np.float64)) for image in raw])
    means, deviations = level.T
    kinds = {"standard deviation": deviations}
    if (means > 0).all() and np.median(means / np.maximum(deviations, 1e-30)) > 1:
        kinds = {"mean": means, **kinds}
    notes = []
    for i, (angle, section) in enumerate(zip(series.listed, series.alignment.sections.tolist(), strict=True)):
        far = [f"{kind} {ratio:.2f}" for kind, values in kinds.items() if _is_far(ratio := _ratio(values, i))]
        if far:
            found = f"image {section} at {angle:+.1f} degrees has {' and '.join(far)} times that of its neighbours"
            notes.append(f"{found}: another dose?")
    return tuple(notes)


def _ratio(values: NDArray[np.float64], i: int) -> float:
    around = [values[j] for j in range(max(0, i - _REACH), min(len(values), i + _REACH + 1)) if j != i]
    middle = float(np.median(around))
    return float(values[i]) / middle if middle > 0 else 1.0


def _is_far(ratio: float) -> bool:
    return not 1 / _MOST < ratio < _MOST
