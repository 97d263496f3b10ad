"""What turns images into features whose laws are compared, and the cheap one: a LeNet-5 for digits."""

from __future__ import annotations

import hashlib
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


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998, fig. 2) with ReLU and maxima: 32 x 32 digits to 84 features, and these to classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten(), nn.Linear(120, 84), nn.ReLU()),
        )
        self.classes = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        """`(n, 1, 32, 32)` in [-1, 1] to `(n, 10)` logits."""
        logits: Tensor = self.classes(self.features(images))
        return logits


class Extractor(Protocol):
    """Features of images.

    Attributes
    ----------
    name
        What it is, with the first digits of its file's hash: only distances under one extractor compare.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, images: Tensor) -> Tensor:
        """`(n, c, size, size)` uint8 to `(n, d)` float32, on the device of the images."""


@dataclass(frozen=True, eq=False)
class LeNetFeatures:
    """The 84 features of a trained LeNet."""

    network: LeNet
    name: str

    @classmethod
    def read(cls, path: Path, device: str = "auto") -> LeNetFeatures:
        """Those of a file that `train_lenet` wrote.

        Raises
        ------
        CheckpointError
            If there is none, or it holds something else.
        """
        if not path.is_file():
            raise CheckpointError(f"no LeNet in {path}; train one by `cryowae baseline lenet`, or give --lenet FILE")
        tensors, metadata = read_checkpoint(path)
        if metadata.get("kind") != "lenet":
            raise CheckpointError(f"{path} holds no LeNet; expected what `cryowae baseline lenet` wrote")
        network = LeNet()
        network.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
        return cls(network.to(pick_device(device)).eval().requires_grad_(False), f"lenet-{file_hash(path)}")

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self.network.features(signed(some)) for some in images.split(1000)])

    @torch.inference_mode()
    def classify(self, images: Tensor) -> Tensor:
        """`(n, 1, 32, 32)` uint8 to `(n,)` classes."""
        return torch.cat([self.network(signed(some)).argmax(1) for some in images.split(1000)])


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
    """Train a LeNet and keep it.

    Parameters
    ----------
    digits, test
        To train on, and to count errors on.
    path
        Where the weights go; an existing file is replaced.
    epochs, seed
        Length, and the seed of weights and order.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Told every step.

    Returns
    -------
    hash, accuracy
        First 12 digits of the SHA-256 of the file, and the share of right answers on `test`.

    Raises
    ------
    ImagesError
        If there is not one batch of digits.
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
    with torch.inference_mode():
        answers = torch.cat([network(signed(some)).argmax(1) for some in test.images.split(1000)])
    accuracy = float((answers == test.labels).float().mean())
    write_checkpoint(
        path,
        {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()},
        {"kind": "lenet", "accuracy": accuracy, "epochs": epochs, "seed": seed, "images": len(digits)},
    )
    return file_hash(path), accuracy


def file_hash(path: Path) -> str:
    """First 12 digits of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
