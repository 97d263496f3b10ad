"""The configuration of a training run of a 2-D baseline, with two presets of every model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from cryowae.config.files import Frozen, assign, check, read_values
from cryowae.config.values import Factor, Length, Rate
from cryowae.errors import ConfigError

DataName = Literal["mnist", "celeba"]
ModelName = Literal["ae", "vae", "wae-mmd", "wae-gan", "aae", "wgan-gp"]
Preset = Literal["faithful", "fixed"]
Betas = tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]


class BaselineConfig(Frozen):
    """One run of a 2-D baseline.

    `reduction`: the squared error is the `mean` or the `sum` over the values of an image, and the mean over the batch.
    With `output` clipped, values beyond [-1, 1] are not penalised where the image is at that limit, since images are
    clipped when they are written. `weight` multiplies the latent term: the KL divergence (VAE), the squared MMD, or the
    cross-entropy of the discriminators. The `kernel` of the MMD is a sum over `scales`: its widths, divided by
    the expected squared distance of two samples of the prior. `code` is the length of the code, 0 for that of the
    report's Table 1; with `labels` it is the length of the style. `labels` is the number of training images whose class
    is given to an AAE, 0 for none. They are shifted randomly by up to `shift` pixels along both axes in every step, and
    `supervision` is the weight of their cross-entropy. `critic_steps`, `penalty` and `one_sided` belong to the WGAN.
    `cosine` lets the rates fall to zero. With `precision` bfloat16 the convolutions use it in training, which halves
    the time on processors that support it; everything else is float32.

    Two errors of the report can be repeated: `train_first` false does not train the first Linear of the decoder, and
    `reconstruct` train measures reconstructions with the statistics of their batch.

    `images` is the number of images to use, 0 for all; the first four fifths are for training, the rest is held out.
    """

    data: DataName
    model: ModelName
    preset: Preset
    seed: int = Field(0, ge=0, le=2**31)
    images: int = Field(0, ge=0, le=10**7)
    epochs: int = Field(100, ge=1, le=10**6)
    batch: int = Field(64, ge=2, le=10**5)
    rate: Rate
    betas: Betas = (0.9, 0.999)
    cosine: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    code: int = Field(0, ge=0, le=10_000)
    output: Literal["linear", "clipped"] = "linear"
    reduction: Literal["mean", "sum"] = "mean"
    weight: Factor = 1.0
    kernel: Literal["imq", "gaussian"] = "imq"
    scales: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] = Field(
        (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), min_length=1, max_length=100
    )
    discriminator_rate: Rate = 1e-3
    discriminator_betas: Betas = (0.9, 0.999)
    labels: int = Field(0, ge=0, le=10**6)
    supervision: Factor = 1.0
    shift: int = Field(0, ge=0, le=8)
    critic_steps: int = Field(5, ge=1, le=1000)
    penalty: Factor = 10.0
    one_sided: bool = True
    train_first: bool = True
    reconstruct: Literal["train", "eval"] = "eval"
    evaluate_every: Length = 10

    def changed(self) -> str:
        """Settings that differ from the preset, such as `kernel=gaussian`, without those that have a table column."""
        named = {"seed", "images", "epochs", "evaluate_every", "weight", "code", "labels"}
        preset = baseline_config(self.data, self.model, self.preset).model_dump(mode="json", exclude=named)
        own = self.model_dump(mode="json", exclude=named)
        return " ".join(f"{name}={value}" for name, value in own.items() if value != preset[name])

    @model_validator(mode="after")
    def _labels_fit(self) -> BaselineConfig:
        if self.labels and (self.model, self.data) != ("aae", "mnist"):
            raise ValueError("labels are for the model aae on mnist; expected 0 for all others")
        if self.labels % 10:
            raise ValueError("expected a multiple of 10, the same number of labels for each digit")
        return self


def baseline_config(data: str, model: str, preset: str, overrides: Sequence[str] = ()) -> BaselineConfig:
    """The configuration of a model under a preset, from `configs/baselines/PRESET.yaml`.

    Parameters
    ----------
    data, model, preset
        Names.
    overrides
        Assignments such as `weight=3`, whose values are YAML.

    Raises
    ------
    ConfigError
        If a name or a value is not known.
    """
    for got, known in ((data, DataName), (model, ModelName), (preset, Preset)):
        if got not in get_args(known):
            raise ConfigError(f"got {got!r}, expected one of: {', '.join(get_args(known))}")
    values, source = read_values(preset, "baselines")
    chosen = {**values["all"], **values[model], "data": data, "model": model, "preset": preset}
    for override in overrides:
        if override.partition("=")[0] in ("data", "model", "preset"):
            raise ConfigError(f"got {override!r}, which selects the preset; give it as an option, not by --set")
        assign(chosen, override)
    return check(BaselineConfig, chosen, source)
