"""The configuration of a training run of the 3-D model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cryowae.config.files import Frozen, assign, check, read_values
from cryowae.config.values import (
    Angles,
    Gains,
    Length,
    Name,
    Paths,
    Range,
    Rate,
    Ratios,
    Seed,
    Share,
    Tilts,
    VoxelSize,
    VoxelSizes,
    same_lengths,
)
from cryowae.errors import ConfigError

Width = Annotated[int, Field(ge=1, le=1024)]
Blocks = Annotated[int, Field(ge=0, le=32)]
Extent = Annotated[int, Field(ge=16, le=2000)]


class ModelConfig(Frozen):
    """Channels and residual blocks per scale, fine (1/2) to coarse (1/8).

    `random`: the encoder gives a mean and a deviation for each code, so that samples can be drawn.
    """

    widths: tuple[Width, ...] = Field((48, 96, 128), min_length=1, max_length=6)
    codes: tuple[Width, ...] = (8, 16, 32)
    down: tuple[Blocks, ...] = (1, 1, 2)
    up: tuple[Blocks, ...] = (1, 1)
    decode: tuple[Blocks, ...] = (1, 1, 1)
    random: bool = False

    @model_validator(mode="after")
    def _one_value_a_scale(self) -> ModelConfig:
        same_lengths("widths", self.model_dump(include={"widths", "codes", "down", "up", "decode"}), less=["up"])
        return self


class DataConfig(Frozen):
    """Simulated subtomograms: their content, and how batches are drawn from them.

    `structures` names files in the folder of real data; `procedural` is the share of artificial structures.
    `snr` is the range of the variance of the noise-free projections over the variance of the noise added to them.
    Structures with a contrast below `faint` standard deviations of the tomogram have less weight in the objective.
    `plain` is the share of scenes with `voxel_size`, `tilts` and no low-pass; in the others these vary. `angles`, if
    given, are the tilts of the plain scenes in place of `tilts`, and `gains` their transfer in place of a random filter
    (see `ImagingConfig` and `ReconstructionConfig`). Of the others, `ctf` is the share with a contrast transfer
    function (half of them with corrected phases), `ice` and `beads` are the shares with uneven ice and with gold.
    `plain_ctf` is the share of plain scenes with a contrast transfer function, `background` that of all scenes with
    uneven background that is part of the truth. `empty` is the share of samples that are only noise, `vacant` that of
    scenes without molecules; `membranes`, `vesicles` and `filaments` are the shares of scenes with some.
    """

    structures: Paths = ()
    procedural: Share = 0.5
    voxel_size: VoxelSize = 10.0
    voxel_sizes: VoxelSizes = (8.0, 20.0)
    tilts: Tilts = (-60.0, 60.0, 3.0)
    angles: Angles | None = None
    gains: Gains | None = None
    noise_gains: Gains | None = None
    snr: Ratios = (0.02, 2.0)
    faint: float = Field(0.15, ge=0, le=100)
    plain: Share = 0.5
    empty: Share = 0.1
    vacant: Share = 0.0
    membranes: Share = 0.3
    vesicles: Share = 0.0
    filaments: Share = 0.2
    ctf: Share = 0.0
    plain_ctf: Share = 0.0
    ice: Share = 0.0
    beads: Share = 0.0
    background: Share = 0.0
    occupancy: Range = (0.01, 0.25)
    scene: tuple[Extent, Extent, Extent] = (80, 128, 160)
    crop: int = Field(64, gt=0, multiple_of=8)
    batch: int = Field(4, ge=1, le=10_000)
    pool: int = Field(16, ge=1, le=10_000)
    crops_per_scene: int = Field(24, ge=1, le=10**6)
    workers: int = Field(1, ge=0, le=256)

    @model_validator(mode="after")
    def _crop_and_occupancy_fit(self) -> DataConfig:
        if self.crop > min(self.scene):
            got = f"got subtomograms of {self.crop} voxels from scenes of {self.scene}"
            raise ValueError(f"{got}; expected a crop that fits: make data.crop smaller or data.scene larger")
        if not 0 < self.occupancy[0] <= self.occupancy[1] <= 1:
            raise ValueError(f"got the occupancy {self.occupancy}, expected shares of the volume above 0, up to 1")
        return self


Terms = dict[str, float | dict[str, Any]]
_DEFAULT: Terms = {"supervised": 1.0, "mmd": 1e-3}
_MATCHES = {"mmd": "mmd", "adversarial": "adversary"}  # `match.kind` of version 0.3, and the name of the term


def _translated(values: dict[str, Any]) -> dict[str, Any]:
    """Turn the keys of version 0.3 into terms of the objective, and remove terms that are null."""
    values = _with_preset(values)
    terms = values.get("objective", _DEFAULT)
    if not isinstance(terms, dict):
        return values
    terms, values = dict(terms), dict(values)
    for name in ("supervised", "gradient", "fidelity"):
        if name in values:
            terms[name] = values.pop(name) or None
    if isinstance(values.get("match"), dict):
        match = values.pop("match")
        now = next((name for name in _MATCHES.values() if name in terms), "mmd")
        options = terms.pop(now, {})
        options = {**(options if isinstance(options, dict) else {"weight": options}), **match}
        kind, rate = str(options.pop("kind", now)), options.pop("discriminator_rate", None)
        term = _MATCHES.get(kind, kind)
        if term == "adversary":
            options.pop("positions", None)
            options |= {} if rate is None else {"rate": rate}
        if term != "none":
            terms[term] = options
    return {**values, "objective": {name: options for name, options in terms.items() if options is not None}}


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """The terms of `objective: NAME`, from `configs/objectives/NAME.yaml`."""
    name, model = values.get("objective"), values.get("model", {})
    if not isinstance(name, str) or ":" in name:
        return values
    preset, source = read_values(name, "objectives")
    if not isinstance(preset.get("objective"), dict) or not set(preset) <= {"objective", "random"}:
        raise ConfigError(f"{source}: expected `objective` with its terms, and `random: true` for random codes")
    changes: dict[str, Any] = {"objective": preset["objective"]}
    if preset.get("random") and isinstance(model, dict):
        changes["model"] = {**model, "random": True}
    return {**values, **changes}


class TrainConfig(Frozen):
    """One training run.

    `rate` is that of AdamW, `kernel_rate` that of Muon; 0 uses AdamW for all. `objective` has one line per term,
    `NAME: WEIGHT` or `NAME: {weight: WEIGHT, ...}` with its options; `NAME: null` leaves a term out. A NAME is a file
    in `cryowae/objectives`, or `package.module:Class`. `objective: NAME` takes the terms of a file in
    `configs/objectives`, such as `wae-mmd`, `vae` or `energy`. `objective: package.module:Class` is an objective from
    outside the package, `source: package.module:Class` a source of batches instead of simulated subtomograms. Both get
    this configuration and the `Team` of processes; `options` are free for them to use.

    The keys of version 0.3, `supervised`, `gradient`, `fidelity` and `match`, are read as terms of `objective`.
    """

    name: Name
    seed: Seed = 0
    steps: Length = 4000
    rate: Rate = 2e-3
    kernel_rate: float = Field(0.006, ge=0, le=100)
    warmup: int = Field(100, ge=0, le=10**9)
    decay: float = Field(1e-4, ge=0, le=100)
    clip: float = Field(1.0, gt=0, le=1e9)
    ema: float = Field(0.998, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    threads: int = Field(0, ge=0, le=1024)
    objective: Terms | str = _DEFAULT
    source: str = ""
    options: dict[str, Any] = Field({})
    start_from: str = ""
    log_every: Length = 20
    save_every: Length = 250
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()

    @model_validator(mode="after")
    def _network_halves_the_crop(self) -> TrainConfig:
        stride = 2 ** len(self.model.widths)
        if not self.source and self.data.crop % stride:
            got = f"got data.crop {self.data.crop} for a network of {len(self.model.widths)} scales"
            raise ValueError(f"{got}; expected a multiple of {stride}")
        return self

    _translate = model_validator(mode="before")(_translated)


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a training configuration from a file, or a shipped one by its name.

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
    values, source = read_values(name_or_path, "")
    values = _translated(values)  # first, so that overrides by old and by new names change the terms of the file
    for override in overrides:
        assign(values, override)
    return check(TrainConfig, values, source)
