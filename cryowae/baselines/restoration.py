"""The 3-D method in two dimensions: the pyramid-code autoencoder restores digits from noise and a missing wedge.

The network, the match of its codes and its cost are those of `cryowae train`, with `spatial_dims=2`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cryowae.baselines.filters import Affine, Wiener
from cryowae.baselines.rows import Rows
from cryowae.baselines.wedged import Wedged, scores
from cryowae.config import MatchConfig
from cryowae.data.images import ImageSet
from cryowae.models.autoencoder import Autoencoder, AutoencoderShape
from cryowae.models.discriminator import LatentDiscriminator
from cryowae.models.weights import pick_device
from cryowae.objectives.match import LatentMatch, prior_codes
from cryowae.objectives.restoration import supervised
from cryowae.progress import SILENT, Progress

Kind = Literal["none", "mmd", "adversarial"]
KINDS: tuple[Kind, ...] = ("none", "mmd", "adversarial")
SHAPE = AutoencoderShape(
    spatial_dims=2, widths=(32, 64, 96), codes=(2, 8, 32), down=(1, 1, 2), up=(1, 1), decode=(1, 1, 1)
)
"""Codes of 1.5 numbers a pixel in all, about as many as the 3-D model has a voxel."""
WEIGHTS: dict[Kind, float] = {"none": 0.0, "mmd": 0.01, "adversarial": 0.01}
"""Lambda beside a squared error in units of the digits' variance, a mean over pixels."""
FILTERS = 20_000
"""Digits from which the filters beside the networks are made."""
BATCH = 32
RATE = 2e-3


@dataclass(frozen=True, eq=False)
class Restored:
    """What came out.

    Attributes
    ----------
    scores
        By method (`input`, `wiener`, `affine`, and each kind of match), of `cryowae.baselines.wedged.scores`, and
        `noise`: the standard deviation of the answer to noise alone over that of the answer to digits.
    images
        By method, and `truth`: `(n, 1, WINDOW, WINDOW)` held-out digits.
    samples
        By kind, decoded codes of the normal prior.
    """

    scores: dict[str, dict[str, float]]
    images: dict[str, Tensor]
    samples: dict[str, Tensor]


def restore_digits(
    digits: ImageSet,
    held: ImageSet,
    output: Path,
    *,
    kinds: Sequence[Kind] = KINDS,
    wedged: Wedged | None = None,
    steps: int = 2000,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Restored:
    """Train one network for each kind of match, and hold all to the input and to a Wiener filter.

    Parameters
    ----------
    digits, held
        To train on, and to score on: its first 1000.
    output
        Folder for `scores.csv`, and `log_KIND.csv` of each training.
    kinds
        How the codes are matched to the normal prior: not, by MMD, by a discriminator.
    wedged
        What is seen of a digit; +-60 degrees at a signal-to-noise ratio of .5 if not given.
    steps, seed
        Length of each training, and the seed of weights, order and noise.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Told every step.
    """
    place, wedged = torch.device(pick_device(device)), wedged or Wedged()
    digits, held = digits.to(place), held.part(0, 1000).to(place)
    generator = torch.Generator().manual_seed(seed + 1)
    truth = wedged.truth(held.images)
    seen, noise = wedged.observe(truth, generator), wedged.observe(torch.zeros_like(truth), generator)
    known = wedged.pairs(digits.images[:FILTERS], generator)
    filters: dict[str, Callable[[Tensor], Tensor]] = {
        "wiener": Wiener.fit(*known, wedged),
        "affine": Affine.fit(*known),
    }
    images = {"truth": truth, "input": seen} | {name: answer(seen) for name, answer in filters.items()}
    answers = {"input": noise} | {name: answer(noise) for name, answer in filters.items()}
    samples: dict[str, Tensor] = {}
    for kind in kinds:
        network = train_restorer(
            digits, wedged, kind, output / f"log_{kind}.csv", steps=steps, seed=seed, device=place, progress=progress
        )
        with torch.inference_mode():
            images[kind], answers[kind] = (network(observed) for observed in (seen, noise))
            codes = [torch.randn(10, *c.shape[1:], generator=generator) for c in network.encode(seen[:1])]
            samples[kind] = network.decode([c.to(place) for c in codes])
    found = {}
    rows = Rows(output / "scores.csv")
    for number, (method, answer) in enumerate(answers.items()):
        ratio = float(answer.std() / images[method].std())
        found[method] = {**scores(truth, images[method], wedged), "noise": ratio}
        rows.write(number, {"method": method, "steps": steps, "seed": seed, "snr": wedged.snr, **found[method]})
    return Restored(found, images, samples)


def train_restorer(
    digits: ImageSet,
    wedged: Wedged,
    kind: Kind,
    log: Path,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    progress: Progress = SILENT,
) -> Autoencoder:
    """One network, trained to give the digit behind an observation; in evaluation mode."""
    torch.manual_seed(seed)
    network = Autoencoder(SHAPE).to(device)
    config = MatchConfig(kind=kind, weight=WEIGHTS[kind], positions=16, neighbourhood=2)
    discriminator = LatentDiscriminator(2, SHAPE.codes).to(device) if kind == "adversarial" else None
    match = LatentMatch(config, discriminator)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    opponent = None
    if discriminator is not None:
        opponent = torch.optim.AdamW(discriminator.parameters(), lr=config.discriminator_rate, betas=(0.5, 0.9))
    generator = torch.Generator().manual_seed(seed)
    unit = torch.ones(BATCH, device=device)
    rows = Rows(log)
    progress.begin(f"restoring digits, match {kind}", steps, "steps")
    for number in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = RATE * min(number / 100, 1) * max(1 - (number - 1) / steps, 0.01)
        chosen = torch.randint(len(digits), (BATCH,), generator=generator).to(device)
        truth, seen = wedged.pairs(digits.images[chosen], generator)
        with torch.autocast(device.type, torch.bfloat16):
            codes = network.encode(seen)
            restored = network.decode(codes)
        prior, own = prior_codes(config, codes, None, generator)
        error, matched = supervised(restored, truth, unit), match(own, prior, generator)
        optimiser.zero_grad(set_to_none=True)
        (error + matched.loss).backward()
        optimiser.step()
        if opponent is not None:
            opponent.zero_grad(set_to_none=True)
            match.discriminate(own, prior).backward()
            opponent.step()
        named = {f"match_{2 ** (i + 1)}": distance for i, distance in enumerate(matched.distances)}
        rows.add({"supervised": float(error.detach()), **named})
        if number % 50 == 0 or number == steps:
            rows.write_means(number, {})
        progress.advance()
    progress.end()
    return network.eval().requires_grad_(False)
