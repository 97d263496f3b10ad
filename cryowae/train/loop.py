"""The training loop, read from top to bottom.

`torchrun --nproc-per-node N -m cryowae train CONFIG` trains on several GPUs; one process needs nothing.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from cryowae.config import TrainConfig
from cryowae.data.synthetic import Batch, SyntheticPairs
from cryowae.errors import CheckpointError, OutputError
from cryowae.fourier.wedge import Wedge
from cryowae.models.autoencoder import Autoencoder
from cryowae.models.weights import write_weights
from cryowae.objectives.match import prior_codes
from cryowae.objectives.restoration import fidelity, gradient, supervised
from cryowae.progress import SILENT, Progress
from cryowae.train.parallel import Team
from cryowae.train.record import Record
from cryowae.train.state import TrainingState


def train(
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Train an autoencoder on simulated subtomograms.

    Parameters
    ----------
    config
        What to train, on what, how long.
    output
        Folder for `weights.safetensors` (what `restore --model` takes), `last.safetensors` (what `resume` takes),
        `log.csv`, `curves.png`, `prior.png` and `interpolation.png`.
    resume
        Go on from `last.safetensors`; on the CPU the weights end as if there had been no break.
    overwrite
        Start anew in a folder that holds a run.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Told every step.

    Returns
    -------
    weights
        Path of the averaged weights.

    Raises
    ------
    OutputError
        If the folder holds a run and neither `resume` nor `overwrite` was asked for.
    CheckpointError
        If there is nothing to resume.
    """
    last, weights = output / "last.safetensors", output / "weights.safetensors"
    if last.exists() and not (resume or overwrite):
        raise OutputError(f"{output} holds a run already; give --resume to go on with it, or --overwrite to lose it")
    if resume and not last.exists():
        raise CheckpointError(f"nothing to resume in {output}: no {last.name}; start without --resume")
    output.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    with Team(device) as team:
        state = TrainingState.fresh(config, team.device)
        if resume:
            state.load(last)
        model = team.share(_WithCodes(state.network))
        record = Record(output, state, keep=resume)
        progress.begin(f"training {config.name}", config.steps - state.step, "steps")
        with SyntheticPairs(config.data, config.seed, str(team.device), team.rank) as pairs:
            try:
                while state.step < config.steps:
                    began = time.perf_counter()
                    values = _step(state, model, pairs.batch(state.step))
                    state.step += 1
                    state.update_average()
                    if team.leads:
                        record.add(state, values, time.perf_counter() - began)
                        if state.step % config.save_every == 0 or state.step == config.steps:
                            state.save(last)
                            record.draw(state)
                            write_weights(weights, state.average, config, state.step)
                    progress.advance()
            except KeyboardInterrupt:
                if team.leads:
                    state.save(last)
                raise
        progress.end()
    return weights


def _step(state: TrainingState, model: nn.Module, batch: Batch) -> dict[str, float]:
    config = state.config
    observation = batch.observation.contiguous(memory_format=torch.channels_last_3d)
    with _precision(config, observation.device):
        restored, codes = model(observation)
        clean = _clean_codes(state, batch) if config.match.prior == "structure" else None
    prior, own = prior_codes(config.match, codes, clean, state.generator)
    terms = {"supervised": config.supervised * supervised(restored, batch.truth, batch.scale)}
    if config.gradient:
        terms["gradient"] = config.gradient * gradient(restored, batch.truth, batch.scale)
    if config.fidelity:
        masks = [Wedge.binary(*t).mask(observation.shape[-3:], str(observation.device)) for t in batch.tilts]
        measured = torch.stack(masks)[:, None]
        terms["fidelity"] = config.fidelity * fidelity(restored, batch.other, measured)
    match = state.match(own, prior, state.generator)
    loss = torch.stack([*terms.values(), match.loss]).sum()
    state.optimiser.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    if torch.isfinite(norm):
        state.optimiser.step(_schedule(state.step, config))
    if state.opponent is not None:
        state.opponent.zero_grad(set_to_none=True)
        state.match.discriminate(own, prior).backward()
        state.opponent.step()
    values = {"loss": float(loss.detach()), "gradient_norm": float(norm)}
    values |= {name: float(term.detach()) for name, term in terms.items()}
    values |= {f"match_{2 ** (i + 1)}": d for i, d in enumerate(match.distances)}
    if match.kernels and (state.step + 1) % config.log_every == 0:
        generator = torch.Generator().manual_seed(state.step)
        values |= {f"null95_{2 ** (i + 1)}": q for i, q in enumerate(state.match.null_quantiles(match, generator))}
    return values


class _WithCodes(nn.Module):
    """One forward pass that returns the density and the codes, for data-parallel training."""

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        codes = self.network.encode(observation)
        return self.network.decode(codes), codes


@torch.no_grad()
def _clean_codes(state: TrainingState, batch: Batch) -> list[torch.Tensor]:
    return state.average.encode(batch.truth.contiguous(memory_format=torch.channels_last_3d))


def _schedule(step: int, config: TrainConfig) -> float:
    # warm-up, then a straight line to zero
    return min((step + 1) / max(config.warmup, 1), 1.0) * max(1.0 - step / config.steps, 0.01)


def _precision(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
