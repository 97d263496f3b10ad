"""All that a training run must remember, and its checkpoints.

A checkpoint holds the network, its running average, the optimisers and the position of every random stream, so that
a run that was interrupted ends with the weights of one that was not (on the CPU to the bit).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cryowae.config import TrainConfig, parse_config
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models.autoencoder import Autoencoder, AutoencoderShape
from cryowae.models.discriminator import LatentDiscriminator
from cryowae.models.weights import find_weights
from cryowae.objectives.match import LatentMatch
from cryowae.train.optimiser import Optimiser
from cryowae.train.packing import pack, unpack


@dataclass
class TrainingState:
    """Network, average, matching, optimisers and step.

    Every parameter is moved by exactly one: the autoencoder's by `optimiser`, the discriminator's, where there is one,
    by `opponent`.
    """

    config: TrainConfig
    network: Autoencoder
    average: Autoencoder
    match: LatentMatch
    optimiser: Optimiser
    opponent: torch.optim.Optimizer | None
    generator: torch.Generator
    step: int = 0
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)

    @classmethod
    def fresh(cls, config: TrainConfig, device: torch.device) -> TrainingState:
        """A new run, its weights drawn from the config's seed or read from `start_from`."""
        torch.manual_seed(config.seed)
        shape = AutoencoderShape(spatial_dims=3, **config.model.model_dump())
        network, average = (Autoencoder(shape).placed(device) for _ in range(2))
        if config.start_from:
            _start(network, find_weights(config.start_from))
        average.load_state_dict(network.state_dict())
        average.requires_grad_(False)
        discriminator = None
        if config.match.kind == "adversarial":
            codes, seen = config.model.codes, config.match.neighbourhood
            discriminator = LatentDiscriminator(3, codes, neighbourhood=seen).to(device)
        optimiser = Optimiser(network, config)
        opponent = None
        if discriminator is not None:
            rate = config.match.discriminator_rate
            opponent = torch.optim.AdamW(discriminator.parameters(), lr=rate, betas=(0.5, 0.9))
        generator = torch.Generator().manual_seed(config.seed + 1)
        match = LatentMatch(config.match, discriminator)
        return cls(config, network, average, match, optimiser, opponent, generator)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the running average of the weights; it follows faster in the first steps."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    def save(self, path: Path) -> None:
        """Write all of it."""
        arrays, plain = pack(self._parts())
        metadata = {
            "kind": "training",
            "step": self.step,
            "config": self.config.model_dump(mode="json"),
            "plain": plain,
        }
        write_checkpoint(path, {"generator": self.generator.get_state().numpy(), **arrays}, metadata)

    def load(self, path: Path) -> None:
        """Take over where `save` left off.

        Raises
        ------
        CheckpointError
            If the file is not a training checkpoint, or of another network or another configuration.
        """
        tensors, metadata = read_checkpoint(path)
        if metadata.get("kind") != "training":
            raise CheckpointError(f"{path} holds weights alone, expected the checkpoint of a run (last.safetensors)")
        stored = parse_config(metadata["config"], str(path))
        same = stored.model_copy(update={"steps": self.config.steps}) == self.config
        if not same or metadata["plain"].keys() != self._parts().keys():  # runs of version 0.2 had one optimiser
            raise CheckpointError(f"{path} was written under another configuration; resume with its own, or start anew")
        self.step = int(metadata["step"])
        self.generator.set_state(torch.from_numpy(tensors.pop("generator")))
        unpack(self._parts(), tensors, metadata["plain"])

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"network": self.network, "ema": self.average, **self.optimiser.parts}
        if self.match.discriminator is not None and self.opponent is not None:
            parts |= {"discriminator": self.match.discriminator, "opponent": self.opponent}
        return parts


def _start(network: Autoencoder, path: Path) -> None:
    tensors, _ = read_checkpoint(path)
    prefix = "ema." if any(k.startswith("ema.") for k in tensors) else "network."
    weights = {k.removeprefix(prefix): torch.from_numpy(v).float() for k, v in tensors.items() if k.startswith(prefix)}
    own = network.state_dict()
    if weights.keys() != own.keys() or any(weights[k].shape != own[k].shape for k in own):
        raise CheckpointError(f"{path} holds another network than the configuration's; mend `model` or `start_from`")
    network.load_state_dict(weights)
