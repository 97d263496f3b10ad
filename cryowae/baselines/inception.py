"""The features of the FID: the Inception network of 2015-12-05, from a file or downloaded by torchmetrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from cryowae.baselines.features import Extractor, file_hash
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.space import make_folder
from cryowae.models.pretrained import pick_device
from cryowae.progress import SILENT, Progress

DOWNLOAD = "download"
"""In place of a file: torchmetrics' own download."""
_BATCH = 50

Network = Callable[[Tensor], Tensor]
"""`(n, 3, size, size)` uint8 to `(n, 2048)`."""


class InceptionFeatures:
    """The 2048 features of the Inception network of the FID (Heusel et al. 2017), fed as torchmetrics feeds it.

    Images become three channels of 299 x 299, bilinear with antialiasing, and then `(value - 128) / 128`.

    Parameters
    ----------
    source
        TorchScript file of the network of 2015-12-05, from such images to `(n, 2048)`; or `download`, which leaves it
        to torchmetrics and torch-fidelity.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    progress
        Told every batch: the network takes a CPU half an hour for 12 000 images.

    Raises
    ------
    CheckpointError
        If it is no such file, or cannot be downloaded.
    """

    def __init__(self, source: Path | str, device: str = "auto", progress: Progress = SILENT) -> None:
        place = pick_device(device)
        self._network, self.name = _downloaded(place) if str(source) == DOWNLOAD else _read(Path(source), place)
        self._progress = progress

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        parts = []
        self._progress.begin("Inception", len(images), "images")
        for some in images.split(_BATCH):
            parts.append(self._network(some.expand(-1, 3, -1, -1)).flatten(1))
            self._progress.advance(len(some))
        self._progress.end()
        return torch.cat(parts)


def kept_features(extractor: Extractor, images: Tensor, folder: Path) -> Tensor:
    """Features of images that will be asked for again: computed once, and kept in a folder by what they are of."""
    digest = hashlib.sha256(images.cpu().numpy().tobytes()).hexdigest()[:12]
    path = folder / f"{extractor.name}-{digest}.safetensors"
    if path.is_file():
        return torch.from_numpy(read_checkpoint(path)[0]["features"]).to(images.device)
    features = extractor(images)
    make_folder(folder)
    write_checkpoint(path, {"features": features.cpu().numpy()}, {"kind": "features", "extractor": extractor.name})
    return features


def _read(path: Path, device: str) -> tuple[Network, str]:
    try:
        network, name = torch.jit.load(str(path), map_location=device).eval(), f"inception-{file_hash(path)}"
    except (RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} holds no TorchScript network, expected Inception for --fid-weights, or the word {DOWNLOAD}"
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
            f"--fid-weights {DOWNLOAD} needs packages of which {error.name or 'one'} is not installed: "
            "pip install torchmetrics torch-fidelity torchvision, or give a file"
        ) from error
    except OSError as error:
        raise CheckpointError(f"Inception cannot be downloaded ({error}); give --fid-weights a file") from error

    def features(images: Tensor) -> Tensor:
        made: Tensor = network(images)
        return made

    return features, "inception-2015-12-05"
