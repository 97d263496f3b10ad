"""Features in which images are compared, and the fast ones for digits: those of a LeNet-5."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cryowae.data.images import ImageSet, signed
from cryowae.errors import CheckpointError, ImagesError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Progress

ACCURACY = 0.97
"""Share of test digits that a LeNet must classify correctly to be used without a warning."""


class LeNet(nn.Sequential):
    """LeNet-5 (LeCun et al. 1998, fig. 2) with ReLU and max pooling: 84 features of a digit, and 10 classes.

    From `(n, 1, 32, 32)` in [-1, 1] to `(n, 10)` logits; `features` gives `(n, 84)`.
    """

    features: nn.Sequential

    def __init__(self) -> None:
        features = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten(), nn.Linear(120, 84), nn.ReLU()),
        )
        super().__init__(OrderedDict(features=features, classes=nn.Linear(84, 10)))


class Extractor(Protocol):
    """Features of images.

    Attributes
    ----------
    name
        Kind and the first digits of the hash of its file. Distances are comparable only with the same extractor.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, images: Tensor) -> Tensor:
        """`(n, c, size, size)` uint8 to `(n, d)` float32, on the device of the images."""


@dataclass(frozen=True, eq=False)
class LeNetFeatures:
    """The 84 features of a trained LeNet.

    Attributes
    ----------
    network
        In evaluation mode.
    name
        As of every `Extractor`.
    accuracy
        Share of test digits that it classified correctly after its training.
    """

    network: LeNet
    name: str
    accuracy: float = 1.0

    @classmethod
    def read(cls, path: Path, device: str = "auto") -> LeNetFeatures:
        """Read a file that `train_lenet` wrote.

        Raises
        ------
        CheckpointError
            If there is no file, or it holds something else.
        """
        if not path.is_file():
            raise CheckpointError(f"no LeNet in {path}; train one by `cryowae baseline lenet`, or give --lenet FILE")
        tensors, metadata = read_checkpoint(path)
        if metadata.get("kind") != "lenet":
            raise CheckpointError(f"{path} holds no LeNet; expected a file of `cryowae baseline lenet`")
        network = LeNet()
        network.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
        network.to(pick_device(device)).eval().requires_grad_(False)
        return cls(network, f"lenet-{short_hash(path.read_bytes())}", float(metadata.get("accuracy", 1.0)))

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self.network.features(signed(some)) for some in images.split(1000)])

    @torch.inference_mode()
    def classify(self, images: Tensor) -> Tensor:
        """`(n, 1, 32, 32)` uint8 to `(n,)` classes."""
        return torch.cat([self.network(signed(some)).argmax(1) for some in images.split(1000)])


def accuracy_warning(accuracy: float) -> str:
    """One line if a LeNet classifies too few test digits correctly for its distances to mean much, else empty."""
    if accuracy >= ACCURACY:
        return ""
    return (
        f"warning: the LeNet classifies {accuracy:.1%} of the test digits correctly, expected at least {ACCURACY:.0%}: "
        "its distances mean little; train it on all digits, or for more epochs, by `cryowae baseline lenet`"
    )


def train_lenet(
    digits: ImageSet,
    test: ImageSet,
    path: Path,
    *,
    epochs: int = 6,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = SILENT,
) -> tuple[str, float]:
    """Train a LeNet and write its weights.

    Parameters
    ----------
    digits, test
        Images to train on, and images on which errors are counted.
    path
        File for the weights; an existing file is replaced.
    epochs, seed
        Length of the training, and the seed of the weights and of the order of images.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Advances with every step.

    Returns
    -------
    hash, accuracy
        First 12 digits of the SHA-256 of the file, and the share of `test` that is classified correctly.

    Raises
    ------
    ImagesError
        If there are fewer digits than one batch.
    """
    batches = len(digits) // 128
    if not batches:
        raise ImagesError(f"got {len(digits)} digits to train on, expected at least a batch of 128")
    place = torch.device(pick_device(device))
    torch.manual_seed(seed)
    network = LeNet().to(place)
    digits, test = digits.to(place), test.to(place)
    assert digits.labels is not None and test.labels is not None
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    progress.begin("training LeNet-5", epochs * batches, "steps")
    for _ in range(epochs):
        order = torch.randperm(len(digits), generator=generator).to(place)
        for chosen in order[: batches * 128].split(128):
            optimiser.zero_grad()
            cross_entropy(network(signed(digits.images[chosen])), digits.labels[chosen]).backward()
            optimiser.step()
            schedule.step()
            progress.advance()
    progress.end()
    accuracy = float((LeNetFeatures(network, "").classify(test.images) == test.labels).float().mean())
    write_checkpoint(
        path,
        {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()},
        {"kind": "lenet", "accuracy": accuracy, "epochs": epochs, "seed": seed, "images": len(digits)},
    )
    return short_hash(path.read_bytes()), accuracy


def short_hash(content: bytes) -> str:
    """First 12 digits of the SHA-256 of a file or an array."""
    return hashlib.sha256(content).hexdigest()[:12]
