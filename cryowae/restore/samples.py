"""Samples of a restoration: what the data leave open, as a mean, a standard deviation, and single volumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowae.io.memory import scratch_array
from cryowae.models.draws import Draw
from cryowae.progress import SILENT, Progress
from cryowae.restore.core import Restored, restore_array
from cryowae.restore.moments import Moments
from cryowae.tomogram.volumes import Volume

_IN_MEMORY = 2**28  # bytes of one sample


def sample_array(
    volume: Volume,
    moments: Moments,
    count: int,
    *,
    seed: int = 0,
    each: Callable[[int, NDArray[np.float32]], None] | None = None,
    scratch: Path | None = None,
    progress: Progress = SILENT,
    **how: Any,
) -> Restored | None:
    """Draw samples of a restored volume, one pass of the network each, and add them to their moments.

    The memory does not grow with the volume or the number of samples.

    Parameters
    ----------
    volume
        `(z, y, x)`, as for `restore_array`.
    moments
        Receive the samples; those that they have already are not drawn again.
    count
        Number of samples in the end.
    seed
        Seed of the codes. Sample `k` of a seed is the same in every run.
    each
        Is called with the number of a sample, from 0, and its `(z, y, x)` values, before they are added.
    scratch
        Folder for scratch files; the system's folder for temporary files if not given.
    progress
        Receives the progress of every window.
    how
        The other arguments of `restore_array`.

    Returns
    -------
    last
        The last sample that was drawn, for its notes; its data are gone. None if the moments had all samples.

    Raises
    ------
    CheckpointError
        If the weights have no random codes. The other errors are those of `restore_array`.
    """
    done = None
    with scratch_array(moments.shape, np.float32, scratch, max_bytes=_IN_MEMORY) as values:
        for number in range(moments.count, count):
            progress.say(f"sample {number + 1} of {count}")
            draw = Draw(seed, number)
            done = restore_array(volume, draw=draw, out=values, scratch=scratch, progress=progress, **how)
            if each is not None:
                each(number, values)
            moments.add(values)
    return done
