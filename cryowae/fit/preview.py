"""Slices of the tomogram as weights restore them, so that one can watch a fit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryowae.config.options import RestoreOptions
from cryowae.models.weights import RestorationModel
from cryowae.report.fitting import draw_fit
from cryowae.report.style import WIDTH
from cryowae.restore import restore_region
from cryowae.tomogram.item import Item
from cryowae.tomogram.volumes import Region

_WIDE = 128  # voxels of the shown part along y and x
_DEEP = 64


class Preview:
    """The centre of a tomogram: the input, restored by the weights at the start, and by the newest ones.

    Parameters
    ----------
    item
        The tomogram.
    start
        Weights at the start; None for random ones.
    """

    def __init__(self, item: Item, start: RestorationModel | None) -> None:
        self.item, self.start = item, start
        self._last: tuple[RestorationModel, NDArray[np.float32]] | None = None

    def draw(
        self,
        path: Path,
        scores: Mapping[int, float],
        model: RestorationModel | None,
        question: str,
        width: float = WIDTH,
    ) -> None:
        """Draw the scores so far and the slices.

        Parameters
        ----------
        path
            The picture; an existing one is replaced.
        scores
            Score by step.
        model
            The newest weights, if any.
        question
            What the score tests.
        width
            Inches.
        """
        volumes = {"input": self._input}
        volumes |= {} if self._before is None else {"weights at the start": self._before}
        volumes |= {} if model is None else {"adapted weights": self._newest(model)}
        draw_fit(path, scores, volumes, self.item.tomogram.voxel_size, question, width)

    @cached_property
    def _region(self) -> Region:
        sizes = [min(n, most) for n, most in zip(self.item.tomogram.shape, (_DEEP, _WIDE, _WIDE), strict=True)]
        starts = [(n - size) // 2 for n, size in zip(self.item.tomogram.shape, sizes, strict=True)]
        z, y, x = (slice(a, a + size) for a, size in zip(starts, sizes, strict=True))
        return z, y, x

    @cached_property
    def _input(self) -> NDArray[np.float32]:
        return np.asarray(self.item.volume[self._region], np.float32)

    @cached_property
    def _before(self) -> NDArray[np.float32] | None:
        return None if self.start is None else self._restored(self.start)

    def _newest(self, model: RestorationModel) -> NDArray[np.float32]:
        """What these weights restore; once, if two pictures of the same weights are drawn."""
        if self._last is None or self._last[0] is not model:
            self._last = model, self._restored(model)
        return self._last[1]

    def _restored(self, model: RestorationModel) -> NDArray[np.float32]:
        return restore_region(self.item, self._region, model=model, options=RestoreOptions(fast=True))
