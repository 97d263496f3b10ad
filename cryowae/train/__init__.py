"""Training of the 3-D autoencoder on simulated subtomograms: from a configuration to weights and pictures.

`torchrun --nproc-per-node N -m cryowae train CONFIG` trains on several GPUs; a single process does not need `torchrun`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, Unpack

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cryowae.config import TrainConfig
from cryowae.data import SyntheticPairs
from cryowae.errors import CheckpointError
from cryowae.io.memory import require_memory
from cryowae.models import Autoencoder, interpolate_codes
from cryowae.models.weights import find_weights, pick_device, read_network, write_weights
from cryowae.objectives import Batch, BatchSource, KernelOptimiser, Objective, load_class, rise_and_fall
from cryowae.objectives.autoencoder import AutoencoderObjective
from cryowae.objectives.term import make_terms
from cryowae.progress import SILENT, Progress
from cryowae.report import SheetEntry, draw_contact_sheet, draw_training_curves
from cryowae.train.loop import RunOptions, run_training
from cryowae.train.state import Plan, check_run

_COPIES = 6  # of all weights: the network, its average, gradients, and what the optimisers keep


def train(config: TrainConfig, output: Path, **options: Unpack[RunOptions]) -> Path:
    """Train an autoencoder on simulated subtomograms.

    Parameters
    ----------
    config
        Network, data, objective and length of the training.
    output
        Folder for `weights.safetensors` (for `restore --model`), `last.safetensors` (for `resume`),
        `config.yaml`, `log.csv`, `curves.png`, `prior.png` and `interpolation.png`.
    options
        `resume` and `overwrite` (False), `device` ("auto") and `progress`, as in `cryowae.train.loop.RunOptions`. When
        a run is resumed, `steps` may be larger; all other values of `config` must be the same.

    Returns
    -------
    weights
        Path of the averaged weights; an objective from outside the package writes its own, if any.

    Raises
    ------
    OutputError
        If the folder holds a run and neither `resume` nor `overwrite` is set.
    CheckpointError
        If there is nothing to resume, or it is a run of another configuration.
    """
    check_run(output, options.get("resume", False), options.get("overwrite", False))
    if config.threads:
        torch.set_num_threads(config.threads)
    progress = options.get("progress", SILENT)
    with Team(options.get("device", "auto")) as team:
        objective, source = make_objective(config, team), make_source(config, team, progress)
        if not config.source:
            progress.say(f"{config.name}: the first step waits for {config.data.pool} simulated scenes")
        schedule = partial(rise_and_fall, steps=config.steps, warmup=config.warmup)
        plan = Plan(
            f"training {config.name}",
            config,
            config.steps,
            schedule,
            config.log_every,
            config.save_every,
            notes=lambda done: {"lr": config.rate * schedule(done - 1)},
            finish=_Gallery(config, objective, source, output),
            writes=team.leads,
        )
        run_training(plan, source, objective, output, **options)
    return output / "weights.safetensors"


class Team:
    """The processes that train one network; a single one without `torchrun`, which numbers them.

    Attributes
    ----------
    rank
        Number of this process.
    leads
        Whether this process writes the files.
    device
        Device of this process.
    """

    def __init__(self, device: str = "auto") -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self._size = int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(pick_device(device))
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
            # all steps have the same shapes, so the fastest convolutions are searched once
            torch.backends.cudnn.benchmark = True
        self.leads = self.rank == 0

    def __enter__(self) -> Self:
        if self._size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(self, *error: object) -> None:
        if self._size > 1:
            if error[0] is None:  # end together: no process may end while another one still needs it
                dist.barrier()
            dist.destroy_process_group()

    def share(self, model: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over all processes."""
        return DistributedDataParallel(model) if self._size > 1 else model


def make_source(config: TrainConfig, team: Team, progress: Progress = SILENT) -> BatchSource:
    """The source of batches in a configuration; simulated subtomograms by default."""
    if config.source:
        source: BatchSource = load_class(config.source)(config, team)
        return source
    return SyntheticPairs(config.data, config.seed, str(team.device), team.rank, progress=progress)


def make_objective(config: TrainConfig, team: Team) -> Objective:
    """The objective of a configuration; its weights are drawn from the seed or read from `start_from`."""
    if isinstance(config.objective, str):
        torch.manual_seed(config.seed)
        objective: Objective = load_class(config.objective)(config, team)
        return objective
    with torch.device("meta"):  # shapes alone
        weights = sum(p.numel() for p in Autoencoder(config.model).parameters())
    require_memory(_COPIES * 4 * weights, f"a network of {weights:.3g} weights", "make model.widths smaller")
    torch.manual_seed(config.seed)
    network, average = (Autoencoder(config.model).placed(team.device) for _ in range(2))
    if config.start_from:
        start_from(network, find_weights(config.start_from))
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False)
    terms, generator = make_terms(config.objective), torch.Generator().manual_seed(config.seed + 1)
    optimiser = KernelOptimiser(network, config.rate, config.kernel_rate, config.decay)
    precision = partial(torch.autocast, team.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    return AutoencoderObjective(
        network, terms, optimiser, generator, average, config.ema, config.clip, precision, share=team.share
    )


def start_from(network: Autoencoder, path: Path) -> None:
    """Set a network to weights of a file; random codes may start from weights without them.

    Raises
    ------
    CheckpointError
        If the file holds a different network.
    """
    try:
        lacks = network.load_state_dict(read_network(path)[0], strict=False)
        if lacks.unexpected_keys or any(not name.startswith("to_spread.") for name in lacks.missing_keys):
            raise RuntimeError
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} holds a different network from the configuration; change `model` or `start_from`"
        ) from error


class _Gallery:
    """Writes the weights of a run, and draws its curves and decoded samples."""

    def __init__(self, config: TrainConfig, objective: Objective, source: BatchSource, folder: Path) -> None:
        self._config, self._objective, self._source, self._folder = config, objective, source, folder

    @torch.no_grad()
    def __call__(self, done: int) -> None:
        if (self._folder / "log.csv").exists():
            draw_training_curves(self._folder / "log.csv", self._folder / "curves.png")
        network = getattr(self._objective, "average", None)
        if isinstance(network, Autoencoder):
            write_weights(self._folder / "weights.safetensors", network, self._config, done)
            self._draw(network, done)

    def _draw(self, network: Autoencoder, done: int) -> None:
        """Draw decoded samples of the prior, and an interpolation between the codes of two volumes."""
        batch, generator = self._examples, torch.Generator().manual_seed(self._config.seed + 2)
        device = next(network.parameters()).device
        codes = [c[:2] for c in network.encode(batch.observation[:2].to(device))]
        prior = [torch.randn(4, *c.shape[1:], generator=generator).to(device) for c in codes]
        terms: Mapping[str, Any] = getattr(self._objective, "terms", {})
        if batch.truth is not None and any(getattr(term, "prior", "") == "structure" for term in terms.values()):
            prior = network.encode(batch.truth.to(device))
        made = [SheetEntry("sample of the prior", volume[0].float().cpu()) for volume in network.decode(prior)]
        after = f"after {done} of {self._config.steps} steps"
        title = f"{self._config.name}: samples of the prior {after}"
        draw_contact_sheet(self._folder / "prior.png", made, normalise=False, title=title)
        if len(codes[0]) == 2:
            path = interpolate_codes([c[:1] for c in codes], [c[1:] for c in codes], 5)
            steps = [network.decode(step)[0, 0].float().cpu() for step in path]
            shown = [f"{share:.0%}" for share in torch.linspace(0, 1, 5).tolist()]
            entries = [SheetEntry(title, one) for title, one in zip(shown, steps, strict=True)]
            title = f"{self._config.name}: from the codes of one subtomogram to those of another, {after}"
            draw_contact_sheet(self._folder / "interpolation.png", entries, normalise=False, title=title)

    @cached_property
    def _examples(self) -> Batch:
        if self._config.source:
            batch: Batch = self._source.batch(0)
            return batch
        small = self._config.data.model_copy(update={"workers": 0, "pool": 1})
        with SyntheticPairs(small, self._config.seed + 1) as pairs:
            return pairs.batch(0)
