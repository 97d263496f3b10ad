"""The model as applied to the windows of one tomogram: clipping, half turns, resampling to a known voxel size."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Protocol, cast

import torch
from torch import Tensor

from cryowae.errors import CheckpointError
from cryowae.fourier.resampling import resample, resampling_ratio
from cryowae.fourier.rotation import HALF_TURNS
from cryowae.io.memory import free_memory
from cryowae.models.draws import Draw
from cryowae.progress import SILENT, Progress
from cryowae.restore.windows import Shape, Tiling, plan_windows
from cryowae.tomogram.statistics import OUTLIER

_MOST_VOXELS = {"cpu": 2**24, "cuda": 2**26}
_BYTES_PER_VOXEL = {"cpu": 160, "cuda": 320}  # of a window, at the peak inside the network
MARGINS = (48, 40, 32, 24, 16)  # voxels; for the seam that each of them leaves see docs/model-card.md
_DEAR = 2.0  # network voxels per voxel; if a margin needs more, the next narrower one is tried


class Model(Protocol):
    """The result of `load_model`, or any callable with the same attributes."""

    @property
    def stride(self) -> int: ...

    @property
    def receptive_field(self) -> int: ...

    @property
    def voxel_sizes(self) -> tuple[float, float]: ...

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, window: Tensor, /) -> Tensor: ...


class RandomModel(Model, Protocol):
    """A model with random codes; `RestorationModel.sample` describes its call."""

    @property
    def random(self) -> bool: ...

    def sample(self, window: Tensor, draw: Draw, origin: Sequence[int], /) -> Tensor: ...


class WindowNetwork:
    """Restores a window of a standardised tomogram, in the same units.

    Parameters
    ----------
    model
        The weights.
    voxel_size
        Voxel size of the tomogram, angstrom.
    sample
        `(z, y, x)` block of the standardised tomogram. Resampling changes the standard deviation; the change is
        measured on the block.
    turns
        Passes through the network: the window unchanged, and rotated by 180 degrees about z, y and x. A rotated
        specimen is as likely, and its wedge is the same or that of the negated tilts. The result is the mean of the
        results, rotated back.
    progress
        Is called before each pass, so that a user can cancel between passes: a window can take a minute.
    draw
        Draw this sample of the random codes, in one pass: a mean over half turns with different codes would have too
        little spread.

    Attributes
    ----------
    ratio
        Voxels of the network's input per voxel of the tomogram, along an axis.
    stride
        In voxels of the tomogram.
    origin
        `(z, y, x)` of the volume whose windows are given, in the whole tomogram.
    notes
        Messages for the user.

    Raises
    ------
    TomogramError
        If the voxel size is too far from those of the training.
    CheckpointError
        If a sample is wanted, and the model has no random codes.
    """

    def __init__(
        self,
        model: Model,
        voxel_size: float,
        sample: Tensor,
        turns: int = len(HALF_TURNS),
        progress: Progress = SILENT,
        draw: Draw | None = None,
    ) -> None:
        self.model, self.turns, self.progress = model, turns, progress
        if draw is not None:
            self._random, self.turns = _random(model), 1
        self.draw, self.origin = draw, (0, 0, 0)
        self.ratio = resampling_ratio(voxel_size, model.voxel_sizes)
        self.stride = self.ratio.denominator * model.stride // gcd(self.ratio.numerator, model.stride)
        self.scale = 1.0
        self.notes: tuple[str, ...] = ()
        if self.ratio != 1:
            low, high = model.voxel_sizes
            self.scale = _spread(self._resampled(sample)) / _spread(sample)
            self.notes = (
                f"the model knows {low:g} to {high:g} Å per voxel: windows are resampled from {voxel_size:g} to "
                f"{voxel_size / float(self.ratio):.4g} Å and back",
            )

    def __call__(self, window: Tensor, start: Shape) -> Tensor:
        shown = (self._resampled(window) / self.scale).clamp(-OUTLIER, OUTLIER)
        z, y, x = window.shape[-3:]
        if self.draw is not None:
            self.progress.advance(0)
            place = [int((n + first) * self.ratio) for n, first in zip(start, self.origin, strict=True)]
            made = self._random.sample(shown, self.draw, place)
            return resample(made.float() * self.scale, (z, y, x))
        total = torch.zeros_like(shown)
        for axes in HALF_TURNS[: self.turns]:
            self.progress.advance(0)
            total += self.model(shown.flip(axes)).float().flip(axes)
        return resample(total * (self.scale / self.turns), (z, y, x))

    def max_voxels(self) -> int:
        """Voxels of the tomogram in the largest window that the memory of the device allows."""
        kind = self.model.device.type
        most = _MOST_VOXELS.get(kind, 2**22)
        if kind in _BYTES_PER_VOXEL:
            most = min(most, _free_bytes(self.model.device) // _BYTES_PER_VOXEL[kind])
        return max(int(most / self.ratio**3), self.stride**3)

    def tiling(self, shape: Shape) -> Tiling:
        """The windows of a tomogram: the widest margin, in its voxels, with at most two network voxels per voxel."""
        for widest in MARGINS:
            margin = int(min(widest, self.model.receptive_field) / self.ratio)
            tiling = Tiling(self.stride, margin, self.max_voxels())
            if plan_windows(shape, tiling).network_voxels_per_voxel <= _DEAR:
                break
        return tiling

    def _resampled(self, volume: Tensor) -> Tensor:
        z, y, x = (max(1, int(n * self.ratio)) for n in volume.shape[-3:])
        return resample(volume, (z, y, x))


def _random(model: Model) -> RandomModel:
    if not getattr(model, "random", False):
        raise CheckpointError(
            f"the weights {model.name} have no random codes, so no samples can be drawn: leave out --model, or give "
            "weights that were trained with them"
        )
    return cast(RandomModel, model)


def _spread(volume: Tensor) -> float:
    """Standard deviation from the median absolute deviation; the plain one if half of the voxels are equal."""
    middle = volume.median()
    return 1.4826 * float((volume - middle).abs().median()) or float(volume.std()) or 1.0


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(min(free_memory(), _MOST_VOXELS["cpu"] * _BYTES_PER_VOXEL["cpu"]))
