"""All that a run of a baseline must remember, and its checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from cryowae.baselines.model import Baseline
from cryowae.config import BaselineConfig, parse_baseline
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.train.packing import pack, unpack


@dataclass
class BaselineState:
    """Networks, optimisers, the random stream and the step.

    Every trained parameter is moved by exactly one optimiser: `model` moves encoder and decoder, `opponents` the
    discriminators or the critic.
    """

    model: Baseline
    optimisers: dict[str, Optimizer]
    generator: torch.Generator
    step: int = 0

    @classmethod
    def fresh(cls, config: BaselineConfig, device: torch.device) -> BaselineState:
        """A new run, its weights drawn from the config's seed."""
        torch.manual_seed(config.seed)
        model = Baseline(config).to(device)
        theirs = list(model.opponents.parameters())
        known = {id(p) for p in theirs}
        own = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        optimisers: dict[str, Optimizer] = {"model": Adam(own, lr=config.rate, betas=config.betas)}
        if theirs:
            wgan = config.model == "wgan-gp"
            rate = config.rate if wgan else config.discriminator_rate
            betas = config.betas if wgan else config.discriminator_betas
            optimisers["opponents"] = Adam(theirs, lr=rate, betas=betas)
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["full"] = group["lr"]
        return cls(model, optimisers, torch.Generator().manual_seed(config.seed + 1))

    def set_rates(self, steps: int) -> None:
        """Rates of the next step, of `steps` in all."""
        share = 0.5 * (1 + math.cos(math.pi * self.step / steps)) if self.model.config.cosine else 1.0
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["full"] * share

    def save(self, path: Path, examples: Tensor) -> None:
        """Write all of it, with the images that pictures of this run show."""
        arrays, plain = pack(self._parts())
        arrays |= {"generator": self.generator.get_state().numpy(), "examples": examples.cpu().numpy()}
        config = self.model.config.model_dump(mode="json")
        write_checkpoint(path, arrays, {"kind": "baseline-run", "step": self.step, "config": config, "plain": plain})

    def load(self, path: Path) -> None:
        """Take over where `save` left off.

        Raises
        ------
        CheckpointError
            If the file is not the checkpoint of a run, or is that of another configuration.
        """
        arrays, metadata = read_checkpoint(path)
        if metadata.get("kind") != "baseline-run":
            raise CheckpointError(f"{path} is not the checkpoint of a baseline's run; expected its last.safetensors")
        config, stored = self.model.config, parse_baseline(metadata["config"], str(path))
        if stored.cosine and stored.epochs != config.epochs:
            raise CheckpointError(
                f"{path} is of a run of {stored.epochs} epochs, over which its rates fall to 0; got {config.epochs}: "
                f"resume with --epochs {stored.epochs}, or start anew"
            )
        if stored.model_copy(update={"epochs": config.epochs}) != config:
            raise CheckpointError(f"{path} was written under another configuration; resume with its own, or start anew")
        self.step = int(metadata["step"])
        self.generator.set_state(torch.from_numpy(arrays["generator"]))
        unpack(self._parts(), arrays, metadata["plain"])

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, **{f"optimiser_{name}": part for name, part in self.optimisers.items()}}
