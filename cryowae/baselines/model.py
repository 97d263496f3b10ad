"""The models of the 2-D baselines, whose codes are vectors: a table of shapes, and the networks built from it.

The shapes give exactly the parameter counts of the report's Table 1; the tests check all six. The trunk
is DCGAN's (Radford et al. 2016): convolutions of four pixels and stride 2, batch normalisation, ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import convert_conv2d_weight_memory_format

from cryowae.config import BaselineConfig
from cryowae.config.files import check
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models.filling import filled
from cryowae.models.weights import pick_device
from cryowae.objectives.term import draw_codes

CLASSES = 10


@dataclass(frozen=True)
class Trunk:
    """Widths of one row of the report's Table 1.

    Attributes
    ----------
    channels, size
        Channels of the images, 1 or 3, and their edge in pixels.
    code
        Length of a code.
    down
        Channels after each convolution that halves the size, in the encoder or the critic.
    start
        Channels of the output of the decoder's first Linear, at twice the final size of `down`.
    up
        Channels after each transposed convolution that doubles the size.
    discriminator
        Hidden widths of the latent discriminator.
    """

    channels: int
    size: int
    code: int
    down: tuple[int, ...]
    start: int
    up: tuple[int, ...]
    discriminator: tuple[int, ...] = ()

    @property
    def flat(self) -> int:
        """Number of values after `down`."""
        return self.down[-1] * (self.size >> len(self.down)) ** 2


_SMALL, _LARGE = (32, 32, 64, 64), (128, 256, 512, 1024)
TRUNKS = {
    ("mnist", "vae"): Trunk(1, 32, 32, _SMALL, 64, (64, 32, 32)),
    ("mnist", "wae"): Trunk(1, 32, 8, _SMALL, 64, (64, 32, 32), (64,) * 4),
    ("mnist", "wgan-gp"): Trunk(1, 32, 128, (128, 256, 512), 512, (256, 128)),
    ("celeba", "vae"): Trunk(3, 64, 32, _SMALL, 64, (64, 32, 32)),
    ("celeba", "wae"): Trunk(3, 64, 64, _LARGE, 1024, (512, 256, 128), (512,) * 4),
    ("celeba", "wgan-gp"): Trunk(3, 64, 128, _LARGE, 1024, (512, 256, 128)),
}
"""By data set and family; `ae`, `wae-mmd`, `wae-gan` and `aae` are of the family `wae`."""
_HEADS = {"vae": ("mean", "log_variance"), "wgan-gp": ()}  # outputs of the encoder; of all other models, `style`
_OPPONENTS = {"wae-gan": "style", "aae": "style", "wgan-gp": "critic"}

_Layer = Callable[[int, int], nn.Module]  # creates a block from its input and output channels
_HALVE: _Layer = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
_DOUBLE: _Layer = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
_NORMALISE, _RELU = (lambda a, b: nn.BatchNorm2d(b)), (lambda a, b: nn.ReLU())


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
    random
        Whether the code is drawn from a Gaussian of the encoder, as in a VAE.
    classes
        Length of the part before it, whose prior is a class: 10 for an AAE with labels, otherwise 0.
    """

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config
        half, opponent = config.precision == "bfloat16", _OPPONENTS.get(config.model)
        trunk: Trunk = TRUNKS[config.data, config.model if config.model in ("vae", "wgan-gp") else "wae"]
        self.style = config.code or trunk.code
        self.classes = CLASSES if config.labels else 0
        self.channels, self.size = trunk.channels, trunk.size
        heads = dict.fromkeys(_HEADS.get(config.model, ("style",)), self.style)
        heads |= {"label": self.classes} if self.classes else {}
        self.random = "mean" in heads
        self.encoder = Encoder(trunk, heads, half) if heads else None
        self.opponents = nn.ModuleDict()
        if opponent == "critic":
            self.opponents["critic"] = critic(trunk, half)
        elif opponent:
            self.opponents["style"] = discriminator(self.classes + self.style, trunk.discriminator)
            if self.classes:
                self.opponents["label"] = discriminator(self.classes, trunk.discriminator)
        self.decoder = Decoder(trunk, self.classes + self.style, opponent == "critic", half)
        self.decoder.first.requires_grad_(config.train_first)
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # a quarter faster on CPUs

    def encode(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`(n, c, size, size)` in [-1, 1] to `(n, classes + style)`, class probabilities first.

        For a VAE, the mean; with a generator (on the CPU), a code drawn from its posterior.
        """
        assert self.encoder is not None
        found: dict[str, Tensor] = self.encoder(images)
        if self.random:
            mean, spread = found["mean"], found["log_variance"]
            return mean if generator is None else draw_codes([(mean, spread)], generator)[0]
        return torch.cat([found["label"].softmax(1), found["style"]], 1) if self.classes else found["style"]

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
        """Device of the model."""
        return self.decoder.first.weight.device


@dataclass(frozen=True, eq=False)
class SavedBaseline:
    """A trained baseline: the model, held-out images for pictures, and the metadata of its file."""

    model: Baseline
    examples: Tensor
    metadata: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it without optimisers."""
        tensors = {f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.state_dict().items()}
        tensors["examples"] = self.examples.cpu().numpy()
        write_checkpoint(path, tensors, {"kind": "baseline", **self.metadata})


def read_baseline(path: Path, device: str = "auto") -> SavedBaseline:
    """A trained baseline from `weights.safetensors` or `last.safetensors` of its run, in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file holds no baseline.
    """
    tensors, metadata = read_checkpoint(path / "weights.safetensors" if path.is_dir() else path)
    if not str(metadata.get("kind", "")).startswith("baseline"):
        raise CheckpointError(f"{path} holds no 2-D baseline; expected a file of `cryowae baseline mnist` or celeba")
    values = metadata.get("config")
    config = check(BaselineConfig, values if isinstance(values, dict) else {}, str(path))
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    model = filled(lambda: Baseline(config), weights, path)
    if "examples" not in tensors:
        raise CheckpointError(f"{path} has no held-out examples; expected a file of `cryowae baseline`")
    model.to(pick_device(device)).eval().requires_grad_(False)
    return SavedBaseline(model, torch.from_numpy(tensors["examples"]), metadata)


class Halved(nn.Sequential):
    """Layers whose convolutions are computed in bfloat16 in training, if `half`; input and output are float32.

    Weights, batch statistics and all other layers stay in float32, and evaluation is in float32.
    """

    def __init__(self, half: bool, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.half_precision = half

    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, torch.bfloat16, enabled=self.half_precision and self.training):
            for layer in self:
                values = layer(values)
        return values.float()


class Encoder(nn.Module):
    """Images to one or several vectors.

    Parameters
    ----------
    trunk
        Widths.
    heads
        Length of each vector, by name: `style`, or `style` and `label`, or `mean` and `log_variance`.
    half
        Convolutions in bfloat16 while training.
    """

    def __init__(self, trunk: Trunk, heads: dict[str, int], half: bool = False) -> None:
        super().__init__()
        self.trunk = Halved(half, *_chain((trunk.channels, *trunk.down), _HALVE, _NORMALISE, _RELU), nn.Flatten())
        self.heads = nn.ModuleDict({name: nn.Linear(trunk.flat, length) for name, length in heads.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """`(n, channels, size, size)` in [-1, 1] to `(n, length)` for each head."""
        seen = self.trunk(images)
        return {name: head(seen) for name, head in self.heads.items()}


class Decoder(nn.Module):
    """Codes to images; with `normalised_start` it is the generator of the WGAN.

    Parameters
    ----------
    trunk
        Widths.
    code
        Length of the code.
    normalised_start
        Batch normalisation and ReLU after the first Linear.
    half
        Convolutions in bfloat16 while training.
    """

    def __init__(self, trunk: Trunk, code: int, normalised_start: bool = False, half: bool = False) -> None:
        super().__init__()
        edge = trunk.size >> len(trunk.up)
        features = trunk.start * edge**2
        self.first = nn.Linear(code, features)
        layers: list[nn.Module] = [nn.BatchNorm1d(features), nn.ReLU()] if normalised_start else []
        layers.append(nn.Unflatten(1, (trunk.start, edge, edge)))
        layers += _chain((trunk.start, *trunk.up), _DOUBLE, _NORMALISE, _RELU)
        self.rest = Halved(half, *layers, nn.Conv2d(trunk.up[-1], trunk.channels, 3, padding=1))

    def forward(self, code: Tensor) -> Tensor:
        """`(n, code)` to `(n, channels, size, size)`, not bounded; the range [-1, 1] is learned."""
        images: Tensor = self.rest(self.first(code))
        return images


def critic(trunk: Trunk, half: bool = False) -> nn.Sequential:
    """`(n, channels, size, size)` to `(n, 1)`, without any normalisation over the batch (Gulrajani et al. 2017, 4)."""
    layers = _chain((trunk.channels, *trunk.down), _HALVE, lambda a, b: nn.LeakyReLU(0.2))
    return Halved(half, *layers, nn.Flatten(), nn.Linear(trunk.flat, 1))


def discriminator(code: int, hidden: Sequence[int]) -> nn.Sequential:
    """`(n, code)` to `(n, 1)` logits, positive where a code resembles the prior."""
    return nn.Sequential(*_chain((code, *hidden), nn.Linear, _RELU), nn.Linear(hidden[-1], 1))


def _chain(widths: Sequence[int], *block: _Layer) -> list[nn.Module]:
    """The layers of a block for each pair of successive widths."""
    return [layer(a, b) for a, b in pairwise(widths) for layer in block]
