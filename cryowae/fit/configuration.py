"""The configuration of a fit: an objective from a file, and everything that the tomograms tell, checked first."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from cryowae.config import TrainConfig
from cryowae.config.files import check, read_values
from cryowae.config.options import FitOptions
from cryowae.errors import ConfigError
from cryowae.fit.own import OwnSubtomograms, held_out_region
from cryowae.fit.physics import measure_physics
from cryowae.fit.source import needs_own
from cryowae.fourier.resampling import resampling_ratio
from cryowae.io.outputs import check_output
from cryowae.models.weights import find_weights, is_fast_in_half, load_model, pick_device
from cryowae.objectives.term import make_terms
from cryowae.progress import Progress
from cryowae.specimen.library import known_structures
from cryowae.tomogram.item import Item

_ROTATING = {"equivariance", "observation_adversary", "observation_transport"}


def configure_fit(
    items: Sequence[Item], options: FitOptions, model: str | Path, path: Path, progress: Progress
) -> TrainConfig:
    """The configuration of a fit, with the physics of every tomogram; its length is not planned yet.

    Parameters
    ----------
    items, options, model
        As for `fit_weights`.
    path
        The weights to write.
    progress
        Receives the progress and the physics.

    Raises
    ------
    CheckpointError
        If the weights cannot be used.
    ConfigError
        If the objective is unknown or cannot be used with these data.
    OutputError
        If the weights would overwrite those at the start.
    TomogramError, TiltError
        If a tomogram is too small, too far from the voxel sizes of the weights, or has no signal.
    """
    start = None if options.from_scratch else find_weights(model).resolve()
    if start is not None:
        check_output(path, overwrite=True, inputs=[start])
    config = _checked(items, options, start, path)
    physics = [measure_physics(item, config.data, options.seed, progress) for item in items]
    for item, one in zip(items, physics, strict=True):
        progress.say(f"{item.tomogram.path.name}: {one.summary}")
    if config.data.structures:
        progress.say(f"scenes have {len(config.data.structures)} known structures, and invented ones")
    else:
        progress.say("scenes have invented structures alone; known ones are used if CRYOWAE_DATA names their folder")
    if config.data.plain_ctf == 0:
        progress.say('scenes have no CTF; a tomogram without CTF correction needs pip install "cryowae[simulate]"')
    facts = {"physics": [asdict(one) for one in physics], "tomograms": tomograms_of(items), "minutes": options.minutes}
    # through plain values, so that it is equal to what the file will hold
    return TrainConfig.model_validate(json.loads(config.model_copy(update={"options": facts}).model_dump_json()))


def tomograms_of(items: Sequence[Item]) -> list[str]:
    """The files of the tomograms, by which a run knows them."""
    return [str(item.tomogram.path.resolve()) for item in items]


def _checked(items: Sequence[Item], options: FitOptions, start: Path | None, path: Path) -> TrainConfig:
    """The configuration without the physics. All that can be wrong is found here, before the long work."""
    values, source = read_values(options.objective, "fit")
    given = values.get("data") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{source}: got {given!r} for data, expected names with values")
    data: dict[str, Any] = {"workers": min(1, (os.cpu_count() or 1) - 1), **given}
    sizes = [item.tomogram.voxel_size for item in items]
    if start is not None:
        known = load_model(start, "cpu")
        for size in sizes:
            resampling_ratio(size, known.voxel_sizes)
        trained = known.metadata["config"]
        values["model"] = trained["model"]
        learned = trained["data"]
        structures = known_structures([str(name) for name in learned.get("structures") or ()])
        if structures and "structures" not in data:
            data |= {"structures": structures, "procedural": learned.get("procedural", 1.0)}
        sizes += known.voxel_sizes  # the weights learn at the size of the tomogram, so that they are used at it
    if find_spec("torch_ctf") is None:
        data["plain_ctf"] = 0.0
    half = is_fast_in_half(torch.device(pick_device(options.device)))
    values |= {
        "name": path.stem,
        "seed": options.seed,
        "start_from": "" if start is None else str(start),
        "precision": "bfloat16" if half else "float32",
        "data": {**data, "voxel_sizes": (min(sizes), max(sizes))},
    }
    config = _with_rotations(check(TrainConfig, values, source), options.rotations, source)
    make_terms(config.objective if isinstance(config.objective, dict) else {})
    if "fidelity" in config.objective and any(item.halves is None for item in items):
        raise ConfigError(f"the objective {options.objective} compares two halves; give --half1 and --half2")
    for item in items if needs_own(config) else ():
        OwnSubtomograms(item, config.data.crop, options.seed, held_out_region(item.tomogram.shape))
    return config


def _with_rotations(config: TrainConfig, rotations: str, source: str) -> TrainConfig:
    """The rotations of the user in every term that has some, unless the configuration names them."""
    if isinstance(config.objective, str):
        got = f"{source}: got the objective {config.objective!r}"
        raise ConfigError(f"{got}, which may have another network; expected terms, such as `supervised: 1.0`")
    terms: dict[str, Any] = dict(config.objective)
    for name in _ROTATING & terms.keys():
        given = terms[name] if isinstance(terms[name], dict) else {"weight": terms[name]}
        terms[name] = {"rotations": rotations, **given}
    return config.model_copy(update={"objective": terms})
