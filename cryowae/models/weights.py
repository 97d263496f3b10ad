"""Weights for restoration: find, read, write and apply them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryowae.config import TrainConfig
from cryowae.errors import CheckpointError, ConfigError
from cryowae.io.checkpoint import read_checkpoint, write_checkpoint
from cryowae.models import Autoencoder
from cryowae.models.draws import Draw
from cryowae.models.filling import filled, model_shape, voxel_range

DEFAULT = "cryowae-3"
SAMPLING = "cryowae-3-samples"
"""The default weights with random codes."""


@dataclass(frozen=True, eq=False)
class RestorationModel:
    """A network with all information needed for its use.

    Attributes
    ----------
    network
        In evaluation mode.
    name
        Name of the shipped weights, or of the file.
    sha256
        First 12 digits of the file's hash.
    voxel_sizes
        Range of the training in angstrom.
    metadata
        Metadata of the file.
    half
        Compute in bfloat16 (CUDA: float16) instead of float32.
    """

    network: Autoencoder
    name: str
    sha256: str
    voxel_sizes: tuple[float, float]
    metadata: dict[str, Any]
    device: torch.device
    half: bool

    @property
    def stride(self) -> int:
        """Every axis of a window is a multiple of it."""
        return int(self.network.stride)

    @property
    def random(self) -> bool:
        """Whether its codes are random, so that samples can be drawn."""
        return bool(self.network.random)

    @property
    def receptive_field(self) -> int:
        """Voxels around an output voxel that can change it."""
        return int(self.network.receptive_field)

    @torch.inference_mode()
    def __call__(self, window: Tensor) -> Tensor:
        """Restore a window.

        Parameters
        ----------
        window
            `(1, 1, z, y, x)` in units of the tomogram's standard deviation about its mean, protein bright.

        Returns
        -------
        density
            The same shape and units, float32, 0 in the solvent.
        """
        with self._precision():
            restored: Tensor = self.network(self._placed(window))
        return restored.float()

    @torch.inference_mode()
    def sample(self, window: Tensor, draw: Draw, origin: Sequence[int]) -> Tensor:
        """A sample of the restored window: its codes are drawn from their posterior.

        Parameters
        ----------
        window
            As for a restoration.
        draw
            Which sample.
        origin
            `(z, y, x)` of the window in the tomogram, multiples of the stride: all windows of a sample draw the same
            codes at the same place.
        """
        with self._precision():
            codes = []
            for scale, (mean, log) in enumerate(self.network.posterior(self._placed(window))):
                noise = draw.normal(scale, [start // 2 ** (scale + 1) for start in origin], mean.shape[1:], self.device)
                codes.append(mean + ((0.5 * log).exp() * noise).to(mean.dtype))
            restored: Tensor = self.network.decode(codes)
        return restored.float()

    def _placed(self, window: Tensor) -> Tensor:
        return window.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last_3d)

    def _precision(self) -> torch.autocast:
        kind = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        return torch.autocast(self.device.type, kind, enabled=self.half)


def load_model(
    name_or_path: str | Path = "default", device: str = "auto", half: bool | None = None, *, random: bool = False
) -> RestorationModel:
    """Load shipped weights by name, or any checkpoint by path.

    Parameters
    ----------
    name_or_path
        `default`, the name of shipped weights, or a `.safetensors` file.
    device
        `auto`, `cpu`, `cuda` or `mps`.
    half
        Half precision. Default: on CUDA, and on CPUs with bfloat16 arithmetic.
    random
        `default` stands for weights with random codes, from which samples can be drawn.

    Raises
    ------
    CheckpointError
        If there is no such file, or it holds no network of cryowae.
    """
    place = torch.device(pick_device(device))
    path = find_weights(name_or_path, random)
    weights, metadata = read_network(path)
    config = metadata.get("config")
    config = config if isinstance(config, dict) else {}
    data = config.get("data")
    sizes = voxel_range(data.get("voxel_sizes") if isinstance(data, dict) else None, path)
    shape = model_shape(config.get("model"), weights, path)
    network = filled(lambda: Autoencoder(shape), weights, path)
    network = network.placed(place).eval().requires_grad_(False)
    half, sha = is_fast_in_half(place) if half is None else half, short_hash(path.read_bytes())
    return RestorationModel(network, path.stem, sha, sizes, metadata, place, half)


def read_network(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The float32 weights of a network and the metadata of its file: of a weights file, or of the checkpoint of a run.

    For a checkpoint, the running average of the weights is used if there is one.
    """
    tensors, metadata = read_checkpoint(path)
    prefix = "ema." if any(k.startswith("ema.") for k in tensors) else "network."
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        return {name: torch.from_numpy(value).float() for name, value in own.items()}, metadata
    except TypeError as error:
        raise CheckpointError(f"{path} holds weights of an unknown type ({error}); train it again") from None


def write_weights(path: Path, network: Autoencoder, config: TrainConfig, steps: int) -> None:
    """Write a network without optimisers, in float16, with the configuration of its training."""
    tensors = {f"network.{k}": v.detach().cpu().numpy().astype(np.float16) for k, v in network.state_dict().items()}
    metadata = {"kind": "weights", "step": steps, "normalisation": "zscore", "config": config.model_dump(mode="json")}
    write_checkpoint(path, tensors, {**metadata, "structures": list(config.data.structures)})


def short_hash(content: bytes) -> str:
    """First 12 digits of the SHA-256 of a file or an array."""
    return hashlib.sha256(content).hexdigest()[:12]


def pick_device(name: str) -> str:
    """The name of a device: `auto` is resolved, any other name is checked.

    Raises
    ------
    ConfigError
        If there is no such device on this machine.
    """
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(d for d in ("cuda", "mps", "cpu") if have[d])
    if not have.get(name.split(":")[0], False):
        usable = ", ".join(["auto", *(d for d, there in have.items() if there)])
        raise ConfigError(f"got device {name!r}, expected one that this machine has: {usable}")
    return name


def find_weights(name_or_path: str | Path, random: bool = False) -> Path:
    """The file of shipped weights by name, or the path itself.

    `default` are the recommended ones: for samples, if they must have random codes.

    Raises
    ------
    CheckpointError
        If there is no such file.
    """
    shipped = Path(str(files("cryowae"))) / "weights"
    recommended = SAMPLING if random else DEFAULT
    name = recommended if str(name_or_path) == "default" else str(name_or_path)
    if name in {path.stem for path in shipped.glob("*.safetensors")}:
        return shipped / f"{name}.safetensors"
    try:
        there = Path(name).is_file()
    except (OSError, ValueError) as error:  # a folder on the way may not be searched, or the name is impossible
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"weights {name[:100]} cannot be read ({reason}); give a .safetensors file") from None
    if not there:
        known = ", ".join(sorted(p.stem for p in shipped.glob("*.safetensors"))) or "none"
        raise CheckpointError(
            f"no weights {name[:100]!r}; give a .safetensors file or the name of shipped weights: {known}"
        )
    return Path(name)


def is_fast_in_half(device: torch.device) -> bool:
    """Whether half precision is faster than float32: on CUDA, and on CPUs with bfloat16 arithmetic."""
    if device.type != "cpu":
        return device.type == "cuda"
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in the oldest supported PyTorch
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
