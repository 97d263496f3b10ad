"""Features of the FID: the Inception network of 2015-12-05, read from a file or downloaded by torchmetrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from cryowae.baselines.features import short_hash
from cryowae.errors import CheckpointError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.io.outputs import make_folder
from cryowae.models.weights import pick_device
from cryowae.progress import SILENT, Progress

DOWNLOAD = "download"
"""Given instead of a file: torchmetrics downloads the network."""
_BATCH = 20  # fits into the cache of a core: 25 % faster than 50
_FILE = 1000  # images whose features are cached in one file

Network = Callable[[Tensor], Tensor]
"""`(n, 3, size, size)` uint8 to `(n, 2048)`."""


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
