"""Batches for fitting: scenes simulated like each tomogram, and subtomograms of the tomograms themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryowae.config import TrainConfig
from cryowae.data import SyntheticPairs
from cryowae.fit.own import OwnSubtomograms, held_out_region, real_noise
from cryowae.fit.physics import Physics
from cryowae.objectives import Batch, BatchSource
from cryowae.tomogram.item import Item

_NEEDS_TRUTH = {"supervised", "gradient"}
_NEEDS_OWN = {"fidelity", "equivariance", "observation_adversary", "observation_transport"}


class Rehearsal(BatchSource):
    """Simulated subtomograms with truth, and beside them subtomograms of the user's data, as the objective needs them.

    Step `i` belongs to tomogram `i` modulo their number.

    Parameters
    ----------
    config
        Its objective says which of the two are needed; `data` is the content of the scenes.
    items, physics
        The tomograms, and what was estimated from each.
    device
        Device of the batches.
    """

    def __init__(self, config: TrainConfig, items: Sequence[Item], physics: Sequence[Physics], device: str) -> None:
        self.config, self.device = config, device
        self.own: list[OwnSubtomograms] = []
        for item, one in zip(items, physics, strict=True) if needs_own(config) else ():
            noise = one.noise(config.data.scene, config.seed) if item.halves is None else None
            held_out = held_out_region(item.tomogram.shape)
            self.own.append(OwnSubtomograms(item, config.data.crop, config.seed, held_out, noise))
        self.scenes = [
            SyntheticPairs(
                one.rehearsal(config.data), config.seed + 101 * i, device, noise=real_noise(item, config.data.crop)
            )
            for i, (item, one) in enumerate(zip(items, physics, strict=True) if needs_truth(config) else ())
        ]

    def __exit__(self, *error: object) -> None:
        for scenes in self.scenes:
            scenes.__exit__(*error)

    def batch(self, step: int) -> Batch:
        turn, number = divmod(step, max(len(self.own), len(self.scenes)))
        own = self.own[number].batch(step, self.config.data.batch) if self.own else None
        if own is not None:
            own = _moved(own, self.device)
            if not self.scenes:
                return own
        return replace(self.scenes[number].batch(turn), own=own)


def needs_truth(config: TrainConfig) -> bool:
    """Whether the objective needs simulated scenes; terms from outside the package may."""
    return _has(config, _NEEDS_TRUTH)


def needs_own(config: TrainConfig) -> bool:
    """Whether the objective needs subtomograms of the user's data; terms from outside the package may."""
    return _has(config, _NEEDS_OWN) or not needs_truth(config)


def _has(config: TrainConfig, names: set[str]) -> bool:
    terms = config.objective
    return isinstance(terms, str) or any(name in names or ":" in name for name in terms)


def _moved(batch: Batch, device: str) -> Batch:
    other = None if batch.other is None else batch.other.to(device)
    noise = None if batch.noise is None else batch.noise.to(device)
    return replace(batch, observation=batch.observation.to(device), other=other, noise=noise)
