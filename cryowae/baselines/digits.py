"""The 3-D method in two dimensions: the pyramid-code autoencoder restores digits from noise and a missing wedge.

The network, the terms of its objective and the loop are those of `cryowae train`, with `spatial_dims=2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Unpack, get_args

import torch
from torch import Tensor
from torch.optim import AdamW

from cryowae.baselines.wedged import Wedged, WedgedDigits, fit_affine, fit_wiener, scores
from cryowae.config import ModelConfig
from cryowae.config.files import Frozen
from cryowae.config.values import Length, Seed
from cryowae.data.images import ImageSet
from cryowae.models import Autoencoder
from cryowae.models.weights import pick_device
from cryowae.objectives import Optimiser, rise_and_fall
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.objectives.term import make_terms
from cryowae.train.loop import RunOptions, run_training
from cryowae.train.state import Plan, Rows

Kind = Literal["none", "mmd", "adversarial"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHAPE = ModelConfig(widths=(32, 64, 96), codes=(2, 8, 32))
"""The codes have 1.5 numbers per pixel in all, about as many as those of the 3-D model per voxel."""
MATCHES: dict[Kind, dict[str, dict[str, float]]] = {
    "none": {},
    "mmd": {"mmd": {"weight": 0.01, "positions": 16, "neighbourhood": 2}},
    "adversarial": {"adversary": {"weight": 0.01, "neighbourhood": 2}},
}
"""The latent term of each kind of match; the squared error beside it is in units of the variance of digits."""
FILTERS = 20_000
"""Digits to which the filters are fitted."""
BATCH = 32
RATE = 2e-3


class RestorerConfig(Frozen):
    """The training of one network.

    `match` is the latent term for the normal prior: `none`, `mmd`, or `adversarial` with a discriminator.
    `wedged` is the observation model, by default +-60 degrees and a signal-to-noise ratio of .5. `seed` is that of
    weights, order and noise.
    """

    match: Kind
    wedged: Wedged = Wedged()
    steps: Length = 2000
    seed: Seed = 0


@dataclass(frozen=True, eq=False)
class RestoredDigits:
    """Digits that were restored, and their scores.

    Attributes
    ----------
    scores
        By method (`input`, `wiener`, `affine`, and each kind of match), of `cryowae.baselines.wedged.scores`, and
        `noise`: the standard deviation of restored noise over that of restored digits.
    images
        By method, and `truth`: `(n, 1, WINDOW, WINDOW)` held-out digits.
    samples
        By kind, decoded codes of the normal prior.
    """

    scores: dict[str, dict[str, float]]
    images: dict[str, Tensor]
    samples: dict[str, Tensor]


def restore_digits(
    digits: ImageSet, held: ImageSet, output: Path, runs: Sequence[RestorerConfig], **options: Unpack[RunOptions]
) -> RestoredDigits:
    """Train one network for each kind of match, and compare them with the input, a Wiener filter and an affine map.

    Parameters
    ----------
    digits, held
        Digits for training; digits for scores, of which the first 1000 are used.
    output
        Folder for `scores.csv` and the files of `train_restorer` for each training.
    runs
        The trainings: all with the same observation, steps and seed, each with its own match.
    options
        As in `cryowae.train.loop.RunOptions`; `resume` continues the runs in the folder.
    """
    place, first = torch.device(pick_device(options.get("device", "auto"))), runs[0]
    wedged, generator = first.wedged, torch.Generator().manual_seed(first.seed + 1)
    digits, held = digits.to(place), held.part(0, 1000).to(place)
    truth = wedged.truth(held.images)
    seen, noise = wedged.observe(truth, generator), wedged.observe(torch.zeros_like(truth), generator)
    known = wedged.pairs(digits.images[:FILTERS], generator)
    images, answers, samples = {"truth": truth, "input": seen}, {"input": noise}, dict[str, Tensor]()
    for name, answer in (("wiener", fit_wiener(*known, wedged)), ("affine", fit_affine(*known))):
        images[name], answers[name] = answer(seen), answer(noise)
    for config in runs:
        kind, network = config.match, train_restorer(config, digits, output, **options)
        with torch.inference_mode():
            images[kind], answers[kind] = (network(observed) for observed in (seen, noise))
            codes = [torch.randn(10, *c.shape[1:], generator=generator) for c in network.encode(seen[:1])]
            samples[kind] = network.decode([c.to(place) for c in codes])
    found = {}
    rows = Rows(output / "scores.csv")
    for number, (method, restored) in enumerate(answers.items()):
        ratio = float(restored.std() / images[method].std())
        found[method] = {**scores(truth, images[method], wedged), "noise": ratio}
        settings = {"method": method, "steps": first.steps, "seed": first.seed, "snr": wedged.snr}
        rows.write(number, {**settings, **found[method]})
    return RestoredDigits(found, images, samples)


def train_restorer(
    config: RestorerConfig, digits: ImageSet, output: Path, **options: Unpack[RunOptions]
) -> Autoencoder:
    """One network, trained to restore the digit from an observation; in evaluation mode.

    It writes `log_KIND.csv`, `last_KIND.safetensors` and `config_KIND.yaml` in the folder `output`. With `resume` it
    starts from the beginning if there is no run in the folder.
    """
    kind, device = config.match, digits.images.device
    torch.manual_seed(config.seed)
    network = Autoencoder(SHAPE, spatial_dims=2).to(device)
    terms, generator = make_terms({"supervised": 1.0, **MATCHES[kind]}), torch.Generator().manual_seed(config.seed)
    optimiser = Optimiser(optimiser=AdamW(network.parameters(), lr=RATE, weight_decay=1e-4, betas=(0.9, 0.99)))
    precision = partial(torch.autocast, device.type, torch.bfloat16)
    objective = AutoencoderObjective(network, terms, optimiser, generator, precision=precision)
    schedule = partial(rise_and_fall, steps=config.steps, warmup=100)
    plan = Plan(f"restoring digits, match {kind}", config, config.steps, schedule, suffix=f"_{kind}")
    source = WedgedDigits(digits.images, config.wedged, BATCH, config.seed)
    options["resume"] = options.get("resume", False) and (output / f"last_{kind}.safetensors").exists()
    run_training(plan, source, objective, output, **options)
    return network.eval().requires_grad_(False)
