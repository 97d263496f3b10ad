"""Angles and axes that a user claims for a tomogram, compared with the ones that its spectrum shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryowae.config.options import TomogramOptions
from cryowae.fourier.wedge import Wedge
from cryowae.tomogram.measured_range import MeasuredRange

_NOTED, _CLEAR = 3.0, 5.0  # degrees: a smaller deviation is none, a larger one a contradiction
_ERRORS, _CLEAR_ERRORS = 3.0, 4.0  # the same in standard errors
_SHARPEST = 2.5  # degrees: the standard error of edges that can contradict

_FILE_AXES = {"zyx": (0, 1, 2), "xzy": (1, 0, 2), "zxy": (0, 2, 1)}  # file's axes that are z, y and x of the array


@dataclass(frozen=True)
class Verdict:
    """How a claim agrees with the spectrum.

    Attributes
    ----------
    kind
        `agrees`; `doubtful`, if they differ by less than a clear contradiction, or by an uncertain amount;
        `contradicts`; `unknown`, if the spectrum does not tell.
    text
        The finding, and how to correct a contradiction.
    """

    kind: Literal["agrees", "doubtful", "contradicts", "unknown"]
    text: str


def judge_claim(measured: MeasuredRange, wedge: Wedge, options: TomogramOptions, source: str) -> Verdict:
    """Compare angles and axes with the spectrum.

    Parameters
    ----------
    measured
        Of the volume as it was opened.
    wedge
        As claimed.
    options
        With which the volume was opened; a correction is an option in addition to them, or one to leave out.
    source
        Where the angles come from, for the message.
    """
    wrong_axes = _axes(measured, options.axes)
    if wrong_axes:
        return Verdict("contradicts", wrong_axes)
    low, high = measured.low, measured.high
    claim = f"the angles are {wedge.tilt_min:g} to {wedge.tilt_max:g} degrees ({source})"
    if low is None or high is None:
        return Verdict("unknown", "the spectrum does not tell whether the angles are right")
    errors = low.error, high.error
    below, above = low.tilt - wedge.tilt_min, high.tilt - wedge.tilt_max
    if _same(below, low.error) and _same(above, high.error):
        return Verdict("agrees", "it agrees with the angles")
    found = f"the spectrum shows {measured}, and {claim}"
    clear = any(abs(d) > max(_CLEAR, _CLEAR_ERRORS * e) for d, e in zip((below, above), errors, strict=True))
    if not clear or measured.order is None or max(errors) > _SHARPEST:
        return Verdict("doubtful", f"{found}: check them")
    given = f"--tilt-range {low.tilt:.0f} {high.tilt:.0f}"
    if _same(low.tilt + wedge.tilt_max, low.error) and _same(high.tilt + wedge.tilt_min, high.error):
        mend = "leave out --flip-tilt" if options.flip_tilt else "give --flip-tilt"
        return Verdict("contradicts", f"{found}: they look negated; {mend}")
    if _same(above - below, max(errors)):
        offset = options.tilt_offset + (below + above) / 2
        shift = "they are shifted, as those of a tilted or levelled sample are"
        return Verdict("contradicts", f"{found}: {shift}; give --tilt-offset {offset:.0f} or {given}")
    wide = max(below, -above) >= max(-below, above)
    why = "tilts of the list were not used, or it is of another series" if wide else "the list is not complete"
    return Verdict("contradicts", f"{found}: {why}; give {given}")


def _same(difference: float, error: float) -> bool:
    return abs(difference) <= max(_NOTED, _ERRORS * error)


def _axes(measured: MeasuredRange, axes: str) -> str:
    """How the axes contradict the spectrum, and what to do; empty if they do not, or the spectrum does not tell."""
    beam, tilt_axis = measured.beam, measured.tilt_axis
    if beam is None or tilt_axis is None or measured.order == "zyx" or measured.range is None:
        return ""
    names = "z", "y", "x"
    found = (
        f"the spectrum shows the beam along {names[beam]} and the tilt axis along {names[tilt_axis]}, expected z and y"
    )
    file_beam, file_tilt = _FILE_AXES[axes][beam], _FILE_AXES[axes][tilt_axis]
    for order, (first, second, _) in _FILE_AXES.items():
        if (first, second) == (file_beam, file_tilt):
            return f"{found}: {'leave out --axes' if order == 'zyx' else f'give --axes {order}'}"
    return f"{found}: rotate the volume, for example with IMOD's rotatevol, or reconstruct it again"
