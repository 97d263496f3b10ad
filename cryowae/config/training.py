"""What a training run may choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cryowae.config.files import Frozen, check, read_values


class ModelConfig(Frozen):
    """Channels and residual blocks per scale, fine (1/2) to coarse (1/8)."""

    widths: tuple[int, ...] = (48, 96, 128)
    codes: tuple[int, ...] = (8, 16, 32)
    down: tuple[int, ...] = (1, 1, 2)
    up: tuple[int, ...] = (1, 1)
    decode: tuple[int, ...] = (1, 1, 1)


class DataConfig(Frozen):
    """Simulated subtomograms: how they look and how they are served.

    `structures` names files below the folder of real data; `procedural` is the share of invented structures.
    `snr` is the range of the variance of the noise-free projections over the variance of the noise added to them.
    `faint` is the contrast, in standard deviations of the tomogram, below which structures count less in the objective.
    `plain` is the share of scenes at `voxel_size`, `tilts` and no low-pass; the others vary. `ctf` is the share of
    those others that a microscope with a contrast transfer function sees, half of them with its phases corrected;
    `ice` and `beads` the shares of them with uneven ice and with gold. `empty` is the share of samples that are noise
    alone, `vacant` that of scenes without molecules, `membranes`, `vesicles` and `filaments` those of scenes with some.
    """

    structures: tuple[str, ...] = ()
    procedural: float = Field(0.5, ge=0, le=1)
    voxel_size: float = Field(10.0, gt=0)
    voxel_sizes: tuple[float, float] = (8.0, 20.0)
    tilts: tuple[float, float, float] = (-60.0, 60.0, 3.0)
    snr: tuple[float, float] = (0.02, 2.0)
    faint: float = Field(0.15, ge=0)
    plain: float = Field(0.5, ge=0, le=1)
    empty: float = Field(0.1, ge=0, le=1)
    vacant: float = Field(0.0, ge=0, le=1)
    membranes: float = Field(0.3, ge=0, le=1)
    vesicles: float = Field(0.0, ge=0, le=1)
    filaments: float = Field(0.2, ge=0, le=1)
    ctf: float = Field(0.0, ge=0, le=1)
    ice: float = Field(0.0, ge=0, le=1)
    beads: float = Field(0.0, ge=0, le=1)
    occupancy: tuple[float, float] = (0.01, 0.25)
    scene: tuple[int, int, int] = (80, 128, 160)
    crop: int = Field(64, gt=0, multiple_of=8)
    batch: int = Field(4, ge=1)
    pool: int = Field(16, ge=1)
    crops_per_scene: int = Field(24, ge=1)
    workers: int = Field(1, ge=0)


class MatchConfig(Frozen):
    """How the codes are matched to a prior."""

    kind: Literal["none", "mmd", "adversarial"] = "mmd"
    prior: Literal["normal", "structure"] = "normal"
    weight: float = Field(1e-3, ge=0)
    positions: int = Field(64, ge=1)
    neighbourhood: int = Field(1, ge=1, le=4)
    discriminator_rate: float = Field(5e-4, gt=0)


class TrainConfig(Frozen):
    """One training run; `kernel_rate` is that of Muon, 0 leaves everything to AdamW, whose rate is `rate`."""

    name: str
    seed: int = 0
    steps: int = Field(4000, ge=1)
    rate: float = Field(2e-3, gt=0)
    kernel_rate: float = Field(0.006, ge=0)
    warmup: int = Field(100, ge=0)
    decay: float = Field(1e-4, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    threads: int = Field(0, ge=0)
    supervised: float = Field(1.0, ge=0)
    gradient: float = Field(0.0, ge=0)
    fidelity: float = Field(0.0, ge=0)
    start_from: str = ""
    log_every: int = Field(20, ge=1)
    save_every: int = Field(250, ge=1)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    match: MatchConfig = MatchConfig()


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a training configuration, by its file or by the name of one that ships with the package.

    Parameters
    ----------
    name_or_path
        A YAML file, or NAME of `configs/NAME.yaml`.
    overrides
        Assignments such as `data.batch=8`, whose values are YAML.

    Raises
    ------
    ConfigError
        If there is no such file, it is not YAML, or a name or value in it is not known.
    """
    values, source = read_values(name_or_path, "", overrides)
    return parse_config(values, source)


def parse_config(values: dict[str, Any], source: str) -> TrainConfig:
    """Check plain values, as read from YAML or from a checkpoint, and say in one line what is wrong with them."""
    return check(TrainConfig, values, source)
