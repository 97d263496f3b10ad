"""Features in which images are compared: those of a LeNet-5 for digits, and those of the FID, by Inception."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from cryowae.data.images import ImageSet, signed
from cryowae.errors import CheckpointError, ImagesError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.outputs import make_folder
from cryowae.models.filling import filled
from cryowae.models.weights import pick_device, short_hash
from cryowae.progress import SILENT, Progress
from cryowae.train.loop import RunOptions

ACCURACY = 0.97
"""Share of test digits that a LeNet must classify correctly to be used without a warning."""
DOWNLOAD = "download"
"""Value in place of a file: torchmetrics downloads the network."""
_BATCH = 20  # fits into the cache of a core: 25 % faster than 50
_FILE = 1000  # images whose features are cached in one file

Network = Callable[[Tensor], Tensor]
"""`(n, 3, size, size)` uint8 to `(n, 2048)`."""


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


@dataclass(frozen=True, eq=False)
class LeNetFeatures:
    """The 84 features of a trained LeNet.

    Attributes
    ----------
    network
        In evaluation mode.
    name
        Kind and the first digits of the hash of its file. Distances are comparable only with the same name.
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
            If there is no file, or it has other content.
        """
        if not path.is_file():
            raise CheckpointError(f"no LeNet in {path}; train one by `cryowae baseline lenet`, or give --lenet FILE")
        tensors, metadata = read_checkpoint(path)
        if metadata.get("kind") != "lenet":
            raise CheckpointError(f"{path} holds no LeNet; expected a file of `cryowae baseline lenet`")
        network = filled(LeNet, tensors, path)
        network.to(pick_device(device)).eval().requires_grad_(False)
        return cls(network, f"lenet-{short_hash(path.read_bytes())}", float(metadata.get("accuracy", 1.0)))

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self.network.features(signed(some)) for some in images.split(1000)])

    @torch.inference_mode()
    def classify(self, images: Tensor) -> Tensor:
        """`(n, 1, 32, 32)` uint8 to `(n,)` classes."""
        return torch.cat([self.network(signed(some)).argmax(1) for some in images.split(1000)])


class InceptionFeatures:
    """The 2048 features of the Inception network of the FID (Heusel et al. 2017), with the input of torchmetrics.

    Images are resized to three channels of 299 x 299, bilinear with antialiasing, then scaled: `(value - 128) / 128`.

    Parameters
    ----------
    source
        TorchScript file of the network of 2015-12-05, from such images to `(n, 2048)`; or `download`: torchmetrics and
        torch-fidelity download the network and resize the images.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Advances with every batch; a CPU needs half an hour for 12 000 images.
    cache
        Folder for computed features: one file for every 1000 images, 8 MB, named by their hash. An interrupted
        computation continues, and the same images are not computed twice.

    Raises
    ------
    CheckpointError
        If the file holds no such network, or the download fails.
    """

    def __init__(
        self, source: Path | str, device: str = "auto", progress: Progress = SILENT, cache: Path | None = None
    ) -> None:
        place = pick_device(device)
        self._network, self.name = _downloaded(place) if str(source) == DOWNLOAD else _read(Path(source), place)
        self._progress, self._cache = progress, cache

    def __call__(self, images: Tensor) -> Tensor:
        """`(n, c, size, size)` uint8 to `(n, 2048)`."""
        files = self._files(images)
        missing = [some for some, file in files if not file or not file.is_file()]
        self._progress.begin("Inception", sum(map(len, missing)), "images")
        parts = [self._read_or_compute(some, file) for some, file in files]
        self._progress.end()
        return torch.cat(parts)

    def forget(self, images: Tensor) -> None:
        """Remove cached features of images that will not be needed again."""
        for _, file in self._files(images):
            if file:
                file.unlink(missing_ok=True)

    def _files(self, images: Tensor) -> list[tuple[Tensor, Path | None]]:
        if self._cache is None:
            return [(images, None)]
        digests = [(some, short_hash(some.cpu().numpy().tobytes())) for some in images.split(_FILE)]
        return [(some, self._cache / f"{self.name}-{digest}.safetensors") for some, digest in digests]

    @torch.inference_mode()
    def _read_or_compute(self, images: Tensor, file: Path | None) -> Tensor:
        if file and file.is_file():
            return torch.from_numpy(read_checkpoint(file)[0]["features"]).to(images.device)
        parts = []
        for some in images.split(_BATCH):
            parts.append(self._network(some.expand(-1, 3, -1, -1)).flatten(1))
            self._progress.advance(len(some))
        features = torch.cat(parts)
        if file:
            make_folder(file.parent)
            write_checkpoint(file, {"features": features.cpu().numpy()}, {"kind": "features", "extractor": self.name})
        return features


def accuracy_warning(accuracy: float) -> str:
    """One line if a LeNet classifies too few test digits correctly for meaningful distances, otherwise empty."""
    if accuracy >= ACCURACY:
        return ""
    return (
        f"warning: the LeNet classifies {accuracy:.1%} of the test digits correctly, expected at least {ACCURACY:.0%}: "
        "its distances are not reliable; train it on all digits, or for more epochs, by `cryowae baseline lenet`"
    )


def train_lenet(
    digits: ImageSet, test: ImageSet, path: Path, epochs: int = 6, seed: int = 0, **options: Unpack[RunOptions]
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
    options
        `device` and `progress`, as in `cryowae.train.loop.RunOptions`.

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
    place = torch.device(pick_device(options.get("device", "auto")))
    torch.manual_seed(seed)
    network = LeNet().to(place)
    digits, test = digits.to(place), test.to(place)
    assert digits.labels is not None and test.labels is not None
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    orders = (torch.randperm(len(digits), generator=generator).to(place) for _ in range(epochs))
    steps = [chosen for order in orders for chosen in order[: batches * 128].split(128)]
    for chosen in options.get("progress", SILENT).track("training LeNet-5", steps, "steps"):
        optimiser.zero_grad()
        cross_entropy(network(signed(digits.images[chosen])), digits.labels[chosen]).backward()
        optimiser.step()
        schedule.step()
    accuracy = float((LeNetFeatures(network, "").classify(test.images) == test.labels).float().mean())
    weights = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
    metadata = {"kind": "lenet", "accuracy": accuracy, "epochs": epochs, "seed": seed, "images": len(digits)}
    write_checkpoint(path, weights, metadata)
    return short_hash(path.read_bytes()), accuracy


def _read(path: Path, device: str) -> tuple[Network, str]:
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
        name = f"inception-{short_hash(path.read_bytes())}"
        if device == "cpu":
            network = torch.jit.optimize_for_inference(network)  # 12 % faster, bit-equal
    except (RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} holds no TorchScript network; expected Inception for --fid-weights, or the word {DOWNLOAD}"
        ) from error

    def features(images: Tensor) -> Tensor:
        large = interpolate(images.float(), (299, 299), mode="bilinear", antialias=True)
        made: Tensor = network(((large - 128) / 128).contiguous(memory_format=torch.channels_last))
        return made

    return features, name


def _downloaded(device: str) -> tuple[Network, str]:
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("inception-v3-compat", ["2048"]).to(device)
    except ImportError as error:
        raise CheckpointError(
            f"--fid-weights {DOWNLOAD} needs {error.name or 'torchmetrics'}, which is not installed: "
            "pip install torchmetrics torch-fidelity torchvision, or give a file"
        ) from error
    except OSError as error:
        raise CheckpointError(f"Inception cannot be downloaded ({error}); give --fid-weights a file") from error
    return network, "inception-2015-12-05"
