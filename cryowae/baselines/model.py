"""A baseline: encoder, decoder, discriminators or critic, and the prior of its codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import convert_conv2d_weight_memory_format

from cryowae.baselines.networks import TRUNKS, Decoder, Encoder, Trunk, critic, discriminator
from cryowae.config import BaselineConfig, parse_baseline
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models.weights import pick_device

CLASSES = 10


@dataclass(frozen=True)
class Composition:
    """The parts of a model.

    Attributes
    ----------
    family
        Its row in `TRUNKS`.
    heads
        Outputs of the encoder, each as long as the style; none for a model without an encoder.
    discriminated
        Whether it has discriminators of its codes.
    critic
        Whether it has a critic of its images.
    """

    family: str
    heads: tuple[str, ...] = ("style",)
    discriminated: bool = False
    critic: bool = False


COMPOSITIONS = {
    "ae": Composition("wae"),
    "vae": Composition("vae", ("mean", "log_variance")),
    "wae-mmd": Composition("wae"),
    "wae-gan": Composition("wae", discriminated=True),
    "aae": Composition("wae", discriminated=True),
    "wgan-gp": Composition("wgan-gp", (), critic=True),
}


class Baseline(nn.Module):
    """The networks of one configuration.

    Attributes
    ----------
    encoder
        None for the WGAN.
    decoder
        The WGAN's generator.
    opponents
        `style` and `label` discriminators of codes, or the WGAN's `critic` of images; empty for the others.
    style
        Length of the part of the code whose prior is normal.
    classes
        Length of the part whose prior is a class, before it: 10 for an AAE with labels, else 0.
    """

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config
        half, made_of = config.precision == "bfloat16", COMPOSITIONS[config.model]
        trunk: Trunk = TRUNKS[config.data, made_of.family]
        self.style = config.code or trunk.code
        self.classes = CLASSES if config.labels else 0
        self.channels, self.size = trunk.channels, trunk.size
        heads = dict.fromkeys(made_of.heads, self.style) | ({"label": self.classes} if self.classes else {})
        self.encoder = Encoder(trunk, heads, half) if heads else None
        self.opponents = nn.ModuleDict()
        if made_of.critic:
            self.opponents["critic"] = critic(trunk, half)
        if made_of.discriminated:
            self.opponents["style"] = discriminator(self.classes + self.style, trunk.discriminator)
            if self.classes:
                self.opponents["label"] = discriminator(self.classes, trunk.discriminator)
        self.decoder = Decoder(trunk, self.classes + self.style, made_of.critic, half)
        self.decoder.first.requires_grad_(config.train_first)
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # a quarter faster on CPUs

    def encode(self, images: Tensor) -> Tensor:
        """`(n, c, size, size)` in [-1, 1] to `(n, classes + style)`, class probabilities first; of a VAE, the mean."""
        assert self.encoder is not None
        found = self.encoder(images)
        if "label" in found:
            return torch.cat([found["label"].softmax(1), found["style"]], 1)
        code: Tensor = found["mean"] if "mean" in found else found["style"]
        return code

    def drawn_code(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """As `encode`, but a VAE's code is drawn from its posterior; the generator is on the CPU."""
        assert self.encoder is not None
        if "mean" not in self.encoder.heads:
            return self.encode(images)
        found = self.encoder(images)
        return draw_posterior(found["mean"], found["log_variance"], generator)

    def prior(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, classes + style)` samples of the prior: a class with equal probabilities, and normal numbers."""
        style = torch.randn(count, self.style, generator=generator)
        if self.classes:
            label = torch.randint(self.classes, (count,), generator=generator)
            style = torch.cat([one_hot(label, self.classes).float(), style], 1)
        return style.to(self.device)

    def decode(self, code: Tensor) -> Tensor:
        """Codes to `(n, c, size, size)`, about [-1, 1]."""
        images: Tensor = self.decoder(code)
        return images

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.decoder.first.weight.device


def draw_posterior(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of each Gaussian (Kingma & Welling 2014, 2.4)."""
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    return mean + (0.5 * log_variance).exp() * noise


@dataclass(frozen=True, eq=False)
class SavedBaseline:
    """A trained baseline: the model, held-out images for pictures, and the metadata of its file."""

    model: Baseline
    examples: Tensor
    metadata: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it without optimisers."""
        tensors = {f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.state_dict().items()}
        write_checkpoint(
            path, {**tensors, "examples": self.examples.cpu().numpy()}, {"kind": "baseline", **self.metadata}
        )


def read_baseline(path: Path, device: str = "auto") -> SavedBaseline:
    """A trained baseline from `weights.safetensors` or `last.safetensors` of its run, in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file holds no baseline.
    """
    tensors, metadata = read_checkpoint(path / "weights.safetensors" if path.is_dir() else path)
    if not str(metadata.get("kind", "")).startswith("baseline"):
        raise CheckpointError(f"{path} holds no 2-D baseline; expected what `cryowae baseline mnist` or celeba wrote")
    model = Baseline(parse_baseline(metadata["config"], str(path)))
    weights = {k.removeprefix("model."): torch.from_numpy(v) for k, v in tensors.items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} holds a network that does not fit its metadata; train it again") from error
    model.to(pick_device(device)).eval().requires_grad_(False)
    return SavedBaseline(model, torch.from_numpy(tensors["examples"]), metadata)
